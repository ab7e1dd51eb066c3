#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes a VHDX image into one that was not closed.

    mkvhdxlog.py KIND IMAGE

Sectors of the tables are spoilt in place, and what they were goes into the log,
in one of many ways (the functions below). Those whose name begins with bad_
damage the log so that it must be refused.
"""
import struct
import sys

SECTOR = 4096
MIB = 1 << 20
GUID = b'log of this one.'
TABLE = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
    TABLE.append(i)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def put_sum(data, at, length):
    data[at + 4:at + 8] = bytes(4)
    struct.pack_into('<I', data, at + 4, crc32c(data[at:at + length]))


class Image:
    def __init__(self, path):
        self.path = path
        with open(path, 'rb') as f:
            self.data = bytearray(f.read())
        self.header = max((65536, 131072), key=lambda at: struct.unpack_from(
            '<Q', self.data, at + 8)[0])
        self.log_length, self.log = struct.unpack_from(
            '<IQ', self.data, self.header + 68)
        self.regions = {}
        for at in (196624, 196656):
            self.regions[self.data[at]] = struct.unpack_from(
                '<Q', self.data, at + 16)[0]
        self.bat, self.metadata = self.regions[0x66], self.regions[0x06]
        self.at = 0             # where the next log entry goes
        self.number = 1000
        self.flushed = self.last = len(self.data)

    def sector(self, at):
        return bytes(self.data[at:at + SECTOR])

    def spoil(self, at, what=b'\0'):
        """Returns what the sector was."""
        old = self.sector(at)
        self.data[at:at + SECTOR] = (what * SECTOR)[:SECTOR]
        return old

    def log_write(self, at, data):
        for i in range(0, len(data), SECTOR):
            to = self.log + (at + i) % self.log_length
            self.data[to:to + SECTOR] = data[i:i + SECTOR]

    def entry(self, changes, tail=None, guid=GUID, damage=None):
        """changes: (offset, sector's bytes or length of zeroes)"""
        descriptors, sectors = b'', b''
        for at, what in changes:
            if isinstance(what, int):
                descriptors += struct.pack('<4sIQQQ', b'zero', 0, what, at,
                                           self.number)
                continue
            descriptors += struct.pack('<4s4s8sQQ', b'desc', what[-4:],
                                       what[:8], at, self.number)
            sectors += struct.pack('<4sI', b'data', self.number >> 32)
            sectors += what[8:-4]
            sectors += struct.pack('<I', self.number & 0xffffffff)
        head = 64 + len(descriptors)
        descriptors += bytes(-head % SECTOR)
        length = 64 + len(descriptors) + len(sectors)
        out = bytearray(struct.pack(
            '<4sIIIQII16sQQ', b'loge', 0, length,
            self.at if tail is None else tail, self.number, len(changes), 0,
            guid, self.flushed, self.last) + descriptors + sectors)
        if damage:
            damage(out)
        put_sum(out, 0, length)
        if damage == torn:
            out[-1] ^= 0xff
        self.log_write(self.at, out)
        self.at = (self.at + length) % self.log_length
        self.number += 1

    def save(self):
        self.data[self.header + 48:self.header + 64] = GUID
        put_sum(self.data, self.header, 4096)
        with open(self.path, 'wb') as f:
            f.write(self.data)


def torn(_):
    """The checksum is wrong; see entry()."""


def one(img):
    img.entry([(img.bat, img.spoil(img.bat))])


def many(img):
    """The last one counts."""
    bat = img.spoil(img.bat, b'junk')
    img.entry([(img.bat, b'\xff' * SECTOR)])
    img.entry([(img.bat - SECTOR, 3 * SECTOR)], tail=0)
    img.entry([(img.bat, b'\x22' * SECTOR), (img.bat, bat)], tail=0)


def zero(img):
    """What is behind the BAT's first sector is zeroes again."""
    for i in range(1, 5):
        img.spoil(img.bat + i * SECTOR, b'junk')
    img.entry([(img.bat, img.spoil(img.bat)),
               (img.bat + SECTOR, 4 * SECTOR)])


def wrap(img):
    """The sequence goes around the end."""
    wrap_from(img, img.log_length - 4 * SECTOR)


def wrap_entry(img):
    """An entry does, too."""
    wrap_from(img, img.log_length - 3 * SECTOR)


def wrap_from(img, start):
    bat, meta = img.spoil(img.bat), img.spoil(img.metadata)
    img.at = start
    img.entry([(img.bat, b'\xff' * SECTOR)])
    img.entry([(img.bat, bat)], tail=start)
    img.entry([(img.metadata, meta)], tail=start)


def stale(img):
    """Entries of the round before, and of another log, which is newer."""
    bat = img.spoil(img.bat)
    img.at = 20 * SECTOR
    img.entry([(img.bat, b'\xff' * SECTOR)])
    img.entry([(img.bat, b'\xff' * SECTOR)], tail=20 * SECTOR)
    img.at = 0
    img.entry([(img.bat, bat)])
    img.at = 100 * SECTOR
    img.number = 10 ** 12
    img.entry([(img.bat, b'\xff' * SECTOR)], guid=b'log before that.')


def last_torn(img):
    """What was being written when the power failed does not count."""
    img.entry([(img.bat, img.spoil(img.bat))])
    img.entry([(img.bat, b'\xff' * SECTOR)], tail=0, damage=torn)


def only_torn(img):
    """The tables have not been touched yet."""
    img.entry([(img.bat, b'\xff' * SECTOR)], damage=torn)


def empty(img):
    """Nothing was logged yet."""


def tail(img):
    """What is before the tail is not done again."""
    img.entry([(img.metadata, b'\xff' * SECTOR)])
    img.entry([(img.bat, img.spoil(img.bat))])


def large_number(img):
    img.number = 0x123456789abcdef0
    img.entry([(img.bat, img.spoil(img.bat))])


def metadata(img):
    items = img.metadata + 65536
    img.entry([(img.metadata, img.spoil(img.metadata)),
               (items, img.spoil(items))])


def grow(img):
    """A block that is not in the file yet: zeroes."""
    bat = bytearray(img.spoil(img.bat))
    index = 11
    assert bat[index * 8] & 7 != 6
    struct.pack_into('<Q', bat, index * 8, len(img.data) | 6)
    img.last = len(img.data) + 2 * MIB
    img.entry([(img.bat, bytes(bat))])


def payload(img):
    """A log may change data, too; here of the block that is first in use."""
    bat = img.spoil(img.bat)
    block = next(struct.unpack_from('<Q', bat, i)[0] for i in range(0, 80, 8)
                 if bat[i] & 7 == 6) & ~0xfffff
    img.entry([(img.bat, bat), (block + 8 * SECTOR, bytes(range(256)) * 16),
               (block + 9 * SECTOR, 16 * SECTOR),
               (block + 12 * SECTOR, b'overlaid' * 512)])


def bad_tail(img):
    img.entry([(img.bat, img.spoil(img.bat))], tail=50 * SECTOR)


def bad_middle(img):
    img.entry([(img.bat, img.spoil(img.bat))])
    img.entry([(img.bat, bytes(SECTOR))], tail=0, damage=torn)
    img.entry([(img.bat, bytes(SECTOR))], tail=0)
    img.log_write(0, bytes(SECTOR))


def bad_cut(img):
    img.flushed += SECTOR
    img.entry([(img.bat, img.spoil(img.bat))])


def bad_last(img):
    img.last = 2 ** 64 - 1
    img.entry([(img.bat, img.spoil(img.bat))])


def bad_far(img):
    img.entry([(2 ** 64 - SECTOR, bytes(SECTOR))])


def bad_zero(img):
    img.entry([(img.bat, 2 ** 64 - SECTOR)])


def bad_over(img):
    """Each sector begins an entry that is as long as the log: were all their
    checksums looked at, it would take hours."""
    entry = struct.pack('<4sIIIQII16sQQ', b'loge', 7, img.log_length, 0, 1, 0,
                        0, GUID, 0, 0).ljust(SECTOR, b'\0')
    img.log_write(0, entry * (img.log_length // SECTOR))


def bad_version(img):
    struct.pack_into('<H', img.data, img.header + 64, 1)


def bad_large(img):
    struct.pack_into('<I', img.data, img.header + 68, 0xfff00000)


def bad_place(img):
    struct.pack_into('<Q', img.data, img.header + 72, 2 ** 63)


def bad_odd(img):
    struct.pack_into('<I', img.data, img.header + 68, MIB + SECTOR)


def junk_length(img):
    """Entries that cannot be: none of them counts."""
    for n, (off, layout, value) in enumerate((
            (8, '<I', 0), (8, '<I', 0xfffff000), (8, '<I', 100),
            (12, '<I', 0xfffff000), (12, '<I', 100), (16, '<Q', 0),
            (24, '<I', 0xffffffff), (64, '4s', b'what'),
            (64 + 16, '<Q', 100), (64 + 24, '<Q', 1), (4096, '4s', b'what'),
            (4096 + 4, '<I', 1), (4096 + 4092, '<I', 1))):
        img.at = n * 4 * SECTOR
        img.entry([(img.bat, b'\xff' * SECTOR)], damage=lambda e: (
            struct.pack_into(layout, e, off, value)))


def main():
    img = Image(sys.argv[2])
    globals()[sys.argv[1]](img)
    img.save()


main()
