#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes images of formats that qemu-img reads but does not write.

    mkimage.py FORMAT RAW IMAGE

FORMAT is bochs1, bochs2, cloop, dmg, dmg-fork (tables in a resource fork, not in
a property list), dmg-bzip2 (half of the packed chunks are that; -cut, -long,
-short, -sum: none of them is right), dmg-lzfse or parallels1 (the old magic, table entries in sectors, clusters
that are no power of two).
"""

import base64
import bz2
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
                out[n * SECTOR:n * SECTOR + 4] = b'junk'
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


def bzip2_damaged(how):
    def pack(part):
        packed = bytearray(bz2.compress(part))
        if how == 'cut':
            del packed[len(packed) // 2:]
        elif how == 'sum':
            packed[10] ^= 1
        elif how == 'long':
            packed = bz2.compress(part + bytes(10 ** 7))
        else:
            packed = bz2.compress(part[:-1])
        return 0x80000006, bytes(packed)
    return pack


DMG_PACKERS = {
    'zlib': lambda part: (0x80000005, zlib.compress(part)),
    'bzip2': lambda part: (0x80000006, bz2.compress(part)),
    'lzfse': lambda part: (0x80000007, b'bvx$'),
}
for defect in 'cut', 'long', 'short', 'sum':
    DMG_PACKERS['bzip2-' + defect] = bzip2_damaged(defect)


def dmg_table(data, first, body, packer):
    """One partition's table; adds its chunks to body."""
    entries = b''
    size = 256 * 1024
    for n in range(-(-len(data) // size)):
        part = data[n * size:(n + 1) * size]
        where = (n * 512, len(part) // SECTOR, len(body))
        if not any(part):
            entry = (n % 3 and 2, 0) + where + (0,)
        elif n % 4 == 1:
            entry = (1, 0) + where + (len(part),)
            body += part
        else:
            kind, packed = DMG_PACKERS[packer if n % 2 == 0 else 'zlib'](part)
            entry = (kind, 0) + where + (len(packed),)
            body += packed
        entries += struct.pack('>IIQQQQ', *entry)
    entries += struct.pack('>IIQQQQ', 0x7ffffffe, 0, 0, 0, 0, 0)
    entries += struct.pack('>IIQQQQ', 0xffffffff, 0, len(data) // SECTOR, 0,
                           len(body), 0)
    head = b'mish' + struct.pack('>IQQQII', 1, first, len(data) // SECTOR, 0,
                                 520, 0)
    return head.ljust(200, b'\0') + struct.pack(
        '>I', len(entries) // 40) + entries


def dmg(data, fork, packer='zlib'):
    half = len(data) // 2 // SECTOR * SECTOR
    body = bytearray()
    tables = [dmg_table(data[:half], 0, body, packer),
              dmg_table(data[half:], half // SECTOR, body, packer)]
    if fork:
        joined = b''.join(struct.pack('>I', len(t)) + t for t in tables)
        text = struct.pack('>IIII', 256, 256 + len(joined), len(joined), 0)
        text = text.ljust(256, b'\0') + joined
    else:
        text = b'<plist><dict><key>resource-fork</key><dict>'
        text += b'<key>blkx</key><array>'
        for t in tables:
            text += b'<dict><key>Data</key><data>\n'
            text += base64.encodebytes(t) + b'</data></dict>'
        text += b'</array></dict></dict></plist>'
    koly = bytearray(512)
    koly[0:12] = b'koly' + struct.pack('>II', 4, 512)
    struct.pack_into('>QQ', koly, 24, 0, len(body))
    struct.pack_into('>QQ', koly, 40 if fork else 216, len(body), len(text))
    struct.pack_into('>Q', koly, 492, len(data) // SECTOR)
    return bytes(body) + text + bytes(koly)


MAKERS = {
    'bochs1': lambda data: bochs(data, 1),
    'bochs2': lambda data: bochs(data, 2),
    'cloop': cloop,
    'dmg': lambda data: dmg(data, False),
    'dmg-fork': lambda data: dmg(data, True),
    'parallels1': parallels1,
}
for name in DMG_PACKERS:
    MAKERS['dmg-' + name] = lambda data, packer=name: dmg(data, False, packer)


def main():
    with open(sys.argv[2], 'rb') as f:
        data = f.read()
    with open(sys.argv[3], 'wb') as f:
        f.write(MAKERS[sys.argv[1]](data))


main()
