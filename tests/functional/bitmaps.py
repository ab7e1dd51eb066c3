#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Dirty bitmaps of a qcow2 image, read for themselves.

    bitmaps.py dump FILE NAME       what is marked: "START END" in bytes, a line
                                    each; "in-use" first if it is
    bitmaps.py flags FILE NAME N    sets the flags
    bitmaps.py entry FILE NAME I N  sets table entry I
    bitmaps.py covers FILE NAME RAW1 RAW2
                                    is all that differs between RAW1 and RAW2
                                    marked?
"""
import struct
import sys


class Bitmap:
    def __init__(self, path, name):
        self.path = path
        with open(path, "rb") as f:
            self.image = bytearray(f.read())
        d = self.image
        self.cluster = 1 << struct.unpack_from(">I", d, 20)[0]
        self.size = struct.unpack_from(">Q", d, 24)[0]
        autoclear, = struct.unpack_from(">Q", d, 88)
        assert autoclear & 1, "the bitmaps bit is not set"
        pos = struct.unpack_from(">I", d, 100)[0]
        while True:
            kind, length = struct.unpack_from(">II", d, pos)
            if kind == 0x23852875:
                break
            assert kind, "no bitmaps extension"
            pos += 8 + (length + 7) // 8 * 8
        nr, _, _, pos = struct.unpack_from(">IIQQ", d, pos + 8)
        for _ in range(nr):
            head = struct.unpack_from(">QIIBBHI", d, pos)
            start = pos + 24 + head[6]
            self.pos = pos
            (self.table, self.entries, self.flags, self.type, self.bits,
             name_len, _) = head
            if d[start:start + name_len] == name.encode():
                return
            pos += (24 + head[6] + name_len + 7) // 8 * 8
        sys.exit("no bitmap " + name)

    def marked(self):
        data = b""
        for e in struct.unpack_from(">%dQ" % self.entries, self.image,
                                    self.table):
            offset = e & 0x00fffffffffffe00
            if offset:
                data += self.image[offset:offset + self.cluster]
            else:
                data += (b"\xff" if e & 1 else b"\0") * self.cluster
        n = (self.size + (1 << self.bits) - 1) >> self.bits
        for byte in range((n + 7) // 8, len(data)):
            assert not data[byte] or data[byte] == 0xff, "bits behind the end"
        return [data[i // 8] >> (i % 8) & 1 for i in range(n)]

    def runs(self):
        start = None
        marked = self.marked() + [0]
        for i, bit in enumerate(marked):
            if bit and start is None:
                start = i
            if not bit and start is not None:
                yield start << self.bits, i << self.bits
                start = None

    def save(self):
        with open(self.path, "r+b") as f:
            f.write(self.image)


def main():
    verb, path, name = sys.argv[1:4]
    b = Bitmap(path, name)
    if verb == "dump":
        if b.flags & 1:
            print("in-use")
        for start, end in b.runs():
            print(start, end)
    elif verb == "flags":
        struct.pack_into(">I", b.image, b.pos + 12, int(sys.argv[4], 0))
        b.save()
    elif verb == "entry":
        struct.pack_into(">Q", b.image, b.table + 8 * int(sys.argv[4]),
                         int(sys.argv[5], 0))
        b.save()
    elif verb == "covers":
        assert not b.flags & 1, "in use"
        marked = b.marked()
        with open(sys.argv[4], "rb") as f, open(sys.argv[5], "rb") as g:
            for i, bit in enumerate(marked):
                if f.read(1 << b.bits) != g.read(1 << b.bits) and not bit:
                    sys.exit("not marked: %d" % (i << b.bits))
        print(sum(marked), "of", len(marked), "marked")


main()
