# SPDX-License-Identifier: LGPL-2.1-or-later
# nbd-hostile.py SOCKET CASE [EXPORT]: a client that an NBD server must survive. Prints
# what the server made of it: "refused" (the connection was ended), "error N"
# (it was answered so), "alive" (all is well still).
import os
import random
import socket
import struct
import sys

OPT, REPLY, REQ = 0x49484156454F5054, 0x0003E889045565A9, 0x25609513
SIMPLE, STRUCTURED = 0x67446698, 0x668E33EF

NAME = b"".join(a.encode() for a in sys.argv[3:])


class Refused(Exception):
    pass


class Client:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.connect(path)
        self.read(18)
        self.size = 0

    def read(self, n):
        data = b""
        while len(data) < n:
            part = self.s.recv(n - len(data))
            if not part:
                raise Refused
            data += part
        return data

    def send(self, data):
        try:
            self.s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Refused from None

    def option(self, number, data, length=None):
        length = len(data) if length is None else length
        self.send(struct.pack(">QII", OPT, number, length) + data)

    def answer(self):
        magic, _, kind, length = struct.unpack(">QIII", self.read(20))
        assert magic == REPLY
        return kind, self.read(length)

    def go(self, structured=False):
        self.send(struct.pack(">I", 3))
        if structured:
            self.option(8, b"")
            assert self.answer()[0] == 1
        self.option(7, struct.pack(">I", len(NAME)) + NAME + b"\0\0")
        while True:
            kind, data = self.answer()
            if kind == 3 and data[:2] == b"\0\0":
                self.size = struct.unpack(">Q", data[2:10])[0]
            if kind != 3:
                assert kind == 1, hex(kind)
                return self

    def request(self, command, offset, length, flags=0, data=b"", magic=REQ):
        self.send(struct.pack(">IHHQQI", magic, flags, command, 7, offset,
                              length) + data)

    def error(self):
        magic = struct.unpack(">I", self.read(4))[0]
        if magic == SIMPLE:
            error, cookie = struct.unpack(">IQ", self.read(12))
        else:
            assert magic == STRUCTURED
            _, _, cookie, length = struct.unpack(">HHQI", self.read(16))
            error = struct.unpack(">I", self.read(length)[:4])[0]
        assert cookie == 7
        return "error %d" % error


def option_case(number, data, length=None):
    def run(path):
        c = Client(path)
        c.send(struct.pack(">I", 3))
        c.option(number, data, length)
        return "error %x" % (c.answer()[0] & 0xFFFF)
    return run


def request_case(command, offset, length, flags=0, structured=False, **more):
    def run(path):
        c = Client(path).go(structured)
        at = c.size + offset if offset < 0 else offset
        c.request(command, at, length, flags, **more)
        return c.error()
    return run


def noise(path):
    rng = random.Random(1)
    for _ in range(50):
        c = Client(path)
        try:
            if rng.random() < 0.7:
                c.go(rng.random() < 0.5)
            c.send(rng.randbytes(rng.randrange(1, 5000)))
            c.s.shutdown(socket.SHUT_WR)
            while c.s.recv(65536):
                pass
        except (Refused, OSError):
            pass
    return "alive"


# Asks for much and takes nothing.
def deaf(path):
    c = Client(path).go()
    c.s.setblocking(False)
    try:
        for _ in range(10000):
            c.request(0, 0, 8 << 20)
    except (BlockingIOError, Refused):
        pass
    return "alive"


CASES = {
    "flags": lambda p: Client(p).send(struct.pack(">I", 0x80)) or
    Client(p) and "alive",
    "option-magic": lambda p: (lambda c: (
        c.send(struct.pack(">IQII", 3, 1, 7, 0)), c.answer()))(Client(p)),
    "option-unknown": option_case(99, b"x"),
    "option-long": option_case(7, b"x" * 60000),
    "option-huge": option_case(7, b"", 0xFFFFFFFF),
    "go-short": option_case(7, b"abc"),
    "go-lengths": option_case(7, struct.pack(">IH", 0xFFFFFFFA, 0)),
    "go-infos": option_case(7, struct.pack(">IH", 0, 0xFFFF)),
    "go-name": option_case(7, struct.pack(">I", 3) + b"xyz\0\0"),
    "meta-before": option_case(10, struct.pack(">II", 0, 0)),
    "meta-short": option_case(10, b"1234567"),
    "read-beyond": request_case(0, -512, 1024),
    "read-wraps": request_case(0, 0xFFFFFFFFFFFFFE00, 1024),
    "read-nothing": request_case(0, 0, 0),
    "read-long": request_case(0, 0, 0x7FFFFFFF),
    "read-long-structured": request_case(0, 0, 0x7FFFFFFF, structured=True),
    "write-beyond": request_case(1, -512, 1024, data=b"x" * 1024),
    "write-long": request_case(1, 0, 0x7FFFFFFF),
    "trim-beyond": request_case(4, -512, 1024),
    "zero-beyond": request_case(6, -512, 1024),
    "flush-odd": request_case(3, 512, 512),
    "status-unasked": request_case(7, 0, 512, structured=True),
    "command": request_case(77, 0, 512),
    "request-magic": request_case(0, 0, 512, magic=1),
    "noise": noise,
    "deaf": deaf,
}


def main():
    path, name = sys.argv[1:3]
    try:
        said = CASES[name](path)
    except (Refused, ConnectionResetError):
        said = "refused"
    print(said)
    sys.stdout.flush()
    os._exit(0)


main()
