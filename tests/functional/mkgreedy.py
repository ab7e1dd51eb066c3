#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes small qcow2 images that want much memory.

    mkgreedy.py in_use FILE NUMBER [shared]
        with NUMBER bitmaps in use, each with a table of 8 MiB, or one for all
    mkgreedy.py enabled FILE NUMBER
        with NUMBER enabled bitmaps of 512 MiB
    mkgreedy.py l1 FILE ENTRIES [BACKING]
        with an L1 table of so many entries, all empty
    mkgreedy.py dirty FILE TABLES
        not closed cleanly, with so many L2 tables of 512 clusters that lie 1 MiB
        apart; all but the tables is a hole
"""
import struct
import sys


def header(bits, size, l1, l1_offset, incompatible=0, backing=b'', autoclear=0,
           extension=b''):
    cluster = 1 << bits
    at = 104 + len(extension) + 8
    head = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3,
                       at if backing else 0, len(backing), bits, size, 0, l1,
                       l1_offset, cluster, 1, 0, 0, incompatible, 0, autoclear,
                       4, 104)
    return head + extension + bytes(8) + backing


def tables(f, bits, data):
    """Refcounts of the first clusters, up to data."""
    cluster = 1 << bits
    f.seek(cluster)
    f.write(struct.pack('>Q', 2 * cluster))
    f.seek(2 * cluster)
    f.write(struct.pack('>H', 1) * min(data, cluster // 2))


def bitmap_image(f, bits, size, flags, entries, tables_at):
    """A directory with a bitmap for each table; what follows is left to do."""
    directory = 1 << 20
    entry = bytearray()
    for n, at in enumerate(tables_at):
        name = b'%08d' % n
        entry += struct.pack('>QIIBBHI', at, entries, flags, 1, 9, len(name),
                             0) + name
    l1_entries = -(-size >> 2 * bits - 3)
    f.write(header(bits, size, l1_entries, 8 << bits, autoclear=1,
                   extension=struct.pack('>IIIIQQ', 0x23852875, 24,
                                         len(tables_at), 0, len(entry),
                                         directory)))
    tables(f, bits, 3)
    f.seek(directory)
    f.write(entry)


def in_use(f, number, kind=''):
    table, entries = 2 << 20, 1 << 20
    at = [table + (0 if kind == 'shared' else n * entries * 8)
          for n in range(number)]
    bitmap_image(f, 9, 1 << 20, 1, entries, at)
    f.truncate(at[-1] + entries * 8)


def enabled(f, number):
    bits, entries, table = 16, 8192, 2 << 20
    at = [table + n * entries * 8 for n in range(number)]
    end = at[-1] + entries * 8
    bitmap_image(f, bits, entries * 512 * 8 << bits, 2, entries, at)
    f.seek(table)
    for n in range(number * entries):
        f.write(struct.pack('>Q', end + (n << bits)))
    f.truncate(end + (number * entries << bits))


def l1(f, entries, backing=''):
    f.write(header(16, 1 << 20, entries, 3 << 16, backing=backing.encode(),
                   extension=struct.pack('>II5s3x', 0xe2792aca, 5, b'qcow2')
                   if backing else b''))
    tables(f, 16, 3 + (entries * 8 >> 16))
    f.truncate((3 << 16) + entries * 8)


def dirty(f, number):
    bits, per = 12, 512
    step, first = 1 << 20, 3 + -(-number * 8 >> 12)
    f.write(header(bits, number * per << bits, number, 3 << bits, 1))
    tables(f, bits, 0)
    data = -(-((first + number) << bits) // step) * step
    f.seek(3 << bits)
    f.write(struct.pack('>%dQ' % number, *(1 << 63 | (first + n) << bits
                                           for n in range(number))))
    f.seek(first << bits)
    for n in range(number):
        f.write(struct.pack('>%dQ' % per, *(
            1 << 63 | data + (n * per + i) * step for i in range(per))))
    f.truncate(data + number * per * step)


def main():
    kind, path, *rest = sys.argv[1:]
    with open(path, 'w+b') as f:
        globals()[kind](f, *(int(a) if a.isdigit() else a for a in rest))


main()
