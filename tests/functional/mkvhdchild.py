#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a differencing VHD image, which no tool at hand does.

    mkvhdchild.py PARENT PARENT-RAW RAW CHILD [NAME=VALUE]...

CHILD shows RAW over the VHD image PARENT, which shows PARENT-RAW. It holds the
sectors that differ and some that do not; what it does not hold of a block is
junk. Prints which bytes it holds, a range a line: start, length.

    block=BYTES         of a block [2097152]
    relative=, absolute=NAME    locators; relative=.\\PARENT unless any is named
    name=NAME           in the header
    id=                 a parent's id that is not PARENT's
"""
import os
import struct
import sys

SECTOR = 512


def put_sum(data, at):
    data[at:at + 4] = bytes(4)
    struct.pack_into('>I', data, at, ~sum(data) & 0xffffffff)


def footer_of(parent, size):
    with open(parent, 'rb') as f:
        f.seek(-512, os.SEEK_END)
        footer = bytearray(f.read())
    uuid = bytes(footer[68:84])
    struct.pack_into('>Q', footer, 16, 512)
    footer[28:32] = b'win '         # who goes by the size
    struct.pack_into('>Q', footer, 48, size)
    struct.pack_into('>I', footer, 60, 4)
    footer[68:84] = os.urandom(16)
    put_sum(footer, 64)
    return footer, uuid


def here(n, parent, raw):
    """Is the sector in the child?"""
    old = parent[n * SECTOR:(n + 1) * SECTOR].ljust(SECTOR, b'\0')
    return old != raw[n * SECTOR:(n + 1) * SECTOR] or n % 977 in (3, 4, 9)


def make_block(first, count, parent, raw, ranges):
    """Bitmap and data, or nothing."""
    bits = bytearray(-(-count // 8 // SECTOR) * SECTOR or SECTOR)
    data = bytearray(b'junk' * (count * SECTOR // 4))
    for i in range(count):
        n = first + i
        if n * SECTOR >= len(raw) or not here(n, parent, raw):
            continue
        bits[i // 8] |= 0x80 >> i % 8
        data[i * SECTOR:(i + 1) * SECTOR] = raw[n * SECTOR:(n + 1) * SECTOR]
        if ranges and sum(ranges[-1]) == n * SECTOR:
            ranges[-1][1] += SECTOR
        else:
            ranges.append([n * SECTOR, SECTOR])
    return bytes(bits + data) if any(bits) else b''


def make_header(args, uuid, entries, block):
    """The dynamic header, and what its locators point to, from 1536 on."""
    h = bytearray(1024)
    h[0:8] = b'cxsparse'
    texts = b''
    struct.pack_into('>Q', h, 8, 2 ** 64 - 1)
    struct.pack_into('>III', h, 24, 0x10000, entries, block)
    h[40:56] = bytes(16) if 'id' in args else uuid
    name = args.get('name', '').encode('utf-16-be')
    h[64:64 + len(name)] = name
    # absolute before relative, and others between
    for n, (code, key) in enumerate(((b'W2ku', 'absolute'), (b'MacX', 'name'),
                                     (b'W2ru', 'relative'))):
        if key not in args:
            continue
        text = args[key].encode('utf-16-le')
        struct.pack_into('>4sIIIQ', h, 576 + 24 * n, code, 512, len(text), 0,
                         1536 + len(texts))
        texts += text.ljust(SECTOR, b'\0')
    struct.pack_into('>Q', h, 16, 1536 + len(texts))
    put_sum(h, 36)
    return bytes(h) + texts


def main():
    parent, parent_raw, raw, child = sys.argv[1:5]
    args = dict(a.split('=', 1) for a in sys.argv[5:])
    if not {'relative', 'absolute', 'name'} & set(args):
        args['relative'] = '.\\' + os.path.basename(parent)
    block = int(args.get('block', 2 << 20))
    with open(parent_raw, 'rb') as f:
        parent_data = f.read()
    with open(raw, 'rb') as f:
        data = f.read()
    entries = -(-len(data) // block)
    footer, uuid = footer_of(parent, len(data))
    out = bytearray(footer + make_header(args, uuid, entries, block))
    bat = len(out)
    out += b'\xff' * (-(-entries * 4 // SECTOR) * SECTOR)
    ranges = []
    for n in range(entries):
        piece = make_block(n * block // SECTOR, block // SECTOR, parent_data,
                           data, ranges)
        if piece:
            struct.pack_into('>I', out, bat + n * 4, len(out) // SECTOR)
            out += piece
    with open(child, 'wb') as f:
        f.write(out + footer)
    for start, length in ranges:
        print(start, length)


main()
