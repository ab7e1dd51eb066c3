#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes images of formats that qemu-img reads but does not write.

    mkimage.py FORMAT RAW IMAGE

FORMAT is bochs1, bochs2, cloop or parallels1 (the old magic, table entries in
sectors, clusters that are no power of two).
"""

import struct
import sys
import zlib

SECTOR = 512


def pieces(data, size):
    """The pieces of data, the last one filled up."""
    for i in range(0, len(data), size):
        yield data[i:i + size].ljust(size, b'\0')


def bochs(data, version):
    extent = 64 * 1024
    bitmap = extent // SECTOR // 8
    parts = list(pieces(data, extent))
    catalog, body = [], b''
    for part in parts:
        if not any(part):
            catalog.append(0xffffffff)
            continue
        catalog.append(len(body) // (SECTOR + extent))
        bits = bytearray(SECTOR)
        out = bytearray(part)
        for n, sector in enumerate(pieces(part, SECTOR)):
            if any(sector):
                bits[n // 8] |= 1 << n % 8
            else:           # must not be looked at
                out[n * SECTOR:(n + 1) * SECTOR] = b'junk' * (SECTOR // 4)
        body += bytes(bits) + bytes(out)
    head = b'Bochs Virtual HD Image'.ljust(32, b'\0')
    head += b'Redolog'.ljust(16, b'\0') + b'Growing'.ljust(16, b'\0')
    head += struct.pack('<IIIII', 0x10000 * version, SECTOR, len(parts),
                        bitmap, extent)
    head += b'' if version == 1 else bytes(4)
    head += struct.pack('<Q', len(data))
    table = struct.pack('<%dI' % len(catalog), *catalog)
    return head.ljust(SECTOR, b'\0') + table + body


def cloop(data):
    script = (b'#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && '
              b'mount -r -t iso9660 /dev/cloop $1\n')
    blocks = [zlib.compress(p) for p in pieces(data, 64 * 1024)]
    out = script.ljust(128, b'\0')
    out += struct.pack('>II', 64 * 1024, len(blocks))
    at = len(out) + 8 * (len(blocks) + 1)
    for block in blocks:
        out += struct.pack('>Q', at)
        at += len(block)
    return out + struct.pack('>Q', at) + b''.join(blocks)


def parallels1(data):
    tracks = 63
    parts = list(pieces(data, tracks * SECTOR))
    start = -(-(64 + 4 * len(parts)) // SECTOR)
    table, body = [], b''
    for part in parts:
        if any(part):
            table.append(start + len(body) // SECTOR)
            body += part
        else:
            table.append(0)
    out = b'WithoutFreeSpace' + struct.pack(
        '<IIIIIQIII', 2, 16, 100, tracks, len(parts),
        0xdead << 32 | len(data) // SECTOR, 0, start, 0)
    out = out.ljust(64, b'\0') + struct.pack('<%dI' % len(table), *table)
    return out.ljust(start * SECTOR, b'\0') + body


MAKERS = {
    'bochs1': lambda data: bochs(data, 1),
    'bochs2': lambda data: bochs(data, 2),
    'cloop': cloop,
    'parallels1': parallels1,
}


def main():
    with open(sys.argv[2], 'rb') as f:
        data = f.read()
    with open(sys.argv[3], 'wb') as f:
        f.write(MAKERS[sys.argv[1]](data))


main()
