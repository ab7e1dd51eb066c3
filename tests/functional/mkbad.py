#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes malformed qcow2 images, one named defect each.

    mkbad.py DIR [FIRST LAST]

writes DIR/NN-name.qcow2 for the defects FIRST to LAST (all of them), each a
small change in one of a few good images that qemu-img makes in DIR/good. The
numbers are stable: tests and notes refer to them.

Every good image has 64 KiB clusters and this layout, with 16 MiB of disk of
which the first 15 clusters hold data:

    0 header, 1 refcount table, 2 refcount block, 3 L1, 4 L2, 5... data
"""

import os
import shutil
import struct
import subprocess
import sys

CS = 65536
RT, RB, L1, L2, DATA = (CS * i for i in range(1, 6))
COPIED = 1 << 63
COMPRESSED = 1 << 62
FAR = 1 << 40                       # far beyond the end of the file


class Image:
    """A file and the few things that the defects change in it."""

    def __init__(self, path):
        self.file = open(path, 'r+b')

    def put(self, off, data):
        self.file.seek(off)
        self.file.write(data)

    def get(self, off, n):
        self.file.seek(off)
        return self.file.read(n)

    def u16(self, off, v):
        self.put(off, struct.pack('>H', v))

    def u32(self, off, v):
        self.put(off, struct.pack('>I', v))

    def u64(self, off, v):
        self.put(off, struct.pack('>Q', v & (2 ** 64 - 1)))

    def get32(self, off):
        return struct.unpack('>I', self.get(off, 4))[0]

    def get64(self, off):
        return struct.unpack('>Q', self.get(off, 8))[0]

    def flip64(self, off, bits):
        self.u64(off, self.get64(off) ^ bits)

    def size(self):
        return self.file.seek(0, 2)

    def cut(self, n):
        self.file.truncate(n)

    def snapshots(self):
        return self.get64(64)

    def extension(self, kind):
        """Offset of the data of a header extension."""
        pos = self.get32(100) if self.get32(4) >= 3 else 72
        while True:
            t, n = struct.unpack('>II', self.get(pos, 8))
            if t == kind:
                return pos + 8
            if t == 0:
                raise KeyError(hex(kind))
            pos += 8 + (n + 7 & ~7)

    def add_extension(self, kind, data):
        """Puts one before all others, in an image without backing file."""
        pos = self.get32(100)
        rest = self.get(pos, 4096)
        head = struct.pack('>II', kind, len(data)) + data
        head += bytes(-len(head) % 8)
        self.put(pos, head + rest)


DEFECTS = []


def defect(name, base='plain'):
    def add(function):
        DEFECTS.append((name, base, function))
        return function
    return add


def simple(name, function, base='plain'):
    DEFECTS.append((name, base, function))


def field32(name, off, v, base='plain'):
    simple(name, lambda i: i.u32(off, v), base)


def field64(name, off, v, base='plain'):
    simple(name, lambda i: i.u64(off, v), base)


def l1(name, v, base='plain'):
    field64(name, L1, v, base)


def l2(name, v, base='plain'):
    field64(name, L2, v, base)


# 00
simple('control', lambda i: None)
field32('magic', 0, 0x514649fc)
field32('version-1', 4, 1)
field32('version-4', 4, 4)
field32('cluster-bits-8', 20, 8)
field32('cluster-bits-22', 20, 22)
field32('cluster-bits-63', 20, 63)
field32('header-length-96', 100, 96)


@defect('header-length-104')
def _(i):
    data = i.get(112, 2048)
    i.put(104, data)
    i.u32(100, 104)


field32('header-length-huge', 100, 0x7fffffff)


# 10
@defect('header-length-106')
def _(i):
    data = i.get(112, 2048)
    i.put(106, data)
    i.put(104, b'\0\0')
    i.u32(100, 106)


field64('incompat-bit-5', 72, 1 << 5)
field64('incompat-bit-63', 72, 1 << 63)
field64('compat-bit-40', 80, 1 << 40)
field64('autoclear-bit-9', 88, 1 << 9)
field64('dirty', 72, 1)
field64('corrupt', 72, 2)
field64('compression-bit-type-0', 72, 8)
simple('compression-type-1-no-bit', lambda i: i.put(104, b'\1'))


@defect('compression-type-9')
def _(i):
    i.u64(72, 8)
    i.put(104, b'\x09')


# 20
field32('refcount-order-7', 96, 7)
field32('reftable-clusters-0', 56, 0)
field32('reftable-clusters-huge', 56, 0x7fffffff)
field32('reftable-clusters-129', 56, 129)
field64('reftable-offset-unaligned', 48, RT + 512)
field64('reftable-offset-2-63', 48, 1 << 63)
field64('reftable-offset-0', 48, 0)
field32('l1-size-0', 36, 0)
field32('l1-size-0x400001', 36, 0x400001)
field32('l1-size-huge', 36, 0x7fffffff)
# 30
field64('l1-offset-unaligned', 40, L1 + 512)
field64('l1-offset-2-63', 40, 1 << 63)
field64('l1-offset-0', 40, 0)
field64('size-2-63', 24, 1 << 63)
field64('size-unaligned', 24, (16 << 20) + 1)
field64('size-beyond-l1', 24, 1 << 40)
field32('nb-snapshots-65537', 60, 65537, 'snap')
field32('nb-snapshots-1-offset-0', 60, 1)
simple('snapshots-offset-unaligned',
       lambda i: i.u64(64, i.snapshots() + 512), 'snap')
field64('snapshots-offset-beyond-end', 64, FAR, 'snap')
# 40
simple('snapshot-l1-size', lambda i: i.u32(i.snapshots() + 8, 0x400001),
       'snap')
simple('snapshot-l1-unaligned',
       lambda i: i.flip64(i.snapshots(), 512), 'snap')
simple('snapshot-name-size', lambda i: i.u16(i.snapshots() + 14, 65535),
       'snap')
simple('snapshot-extra-4', lambda i: i.u32(i.snapshots() + 36, 4), 'snap')
simple('snapshot-extra-1M', lambda i: i.u32(i.snapshots() + 36, 1 << 20),
       'snap')
field64('backing-offset-beyond-cluster', 8, CS + 8, 'backed')
field32('backing-size-1024', 16, 1024, 'backed')


def set_backing(i, name):
    i.put(i.get64(8), name)
    i.u32(16, len(name))


simple('backing-self', lambda i: set_backing(i, b'47-backing-self.qcow2'),
       'backed')
simple('backing-json', lambda i: set_backing(
    i, b'json:{"driver":"file","filename":"/etc/passwd"}'), 'backed')
simple('extension-too-long',
       lambda i: i.u32(i.extension(0x6803f857) - 4, 0x7fffffff))
# 50
simple('extension-unknown', lambda i: i.add_extension(0x12345678, b'hello'))
l1('l1-unaligned', COPIED | L2 + 512)
l1('l1-beyond-end', COPIED | FAR)
l1('l1-reserved-bit-5', COPIED | L2 | 1 << 5)
l1('l1-reserved-bit-60', COPIED | L2 | 1 << 60)
l1('l1-points-at-l1', COPIED | L1)
l1('l1-points-at-header', COPIED)


@defect('l1-two-same-l2', 'small')
def _(i):
    i.u64(40, i.get64(40))          # two entries: 512-byte clusters
    first = i.get64(40)
    i.u64(first + 8, i.get64(first))


l2('l2-unaligned', COPIED | DATA + 512)
l2('l2-beyond-end', COPIED | FAR)
# 60
l2('l2-reserved-bit-3', COPIED | DATA | 8)
l2('l2-points-at-refblock', COPIED | RB)
l2('l2-points-at-l1', COPIED | L1)
l2('l2-points-at-header', COPIED)
simple('l2-same-data-twice', lambda i: i.u64(L2 + 8, i.get64(L2)))
l2('l2-copied-cleared', DATA)
l2('l2-zero-with-offset', COPIED | DATA | 1)
l2('l2-zero-version-2', COPIED | DATA | 1, 'v2')
simple('compressed-copied', lambda i: i.flip64(L2, COPIED), 'compressed')
l2('compressed-beyond-end', COMPRESSED | FAR, 'compressed')


# 70
@defect('compressed-length-max', 'compressed')
def _(i):
    i.u64(L2, i.get64(L2) | 0xff << 54)


simple('compressed-garbage',
       lambda i: i.put(i.get64(L2) & (1 << 54) - 1, b'\xff\x13\x77' * 8),
       'compressed')
field64('reftable-entry-unaligned', RT, RB + 512)
field64('reftable-entry-reserved', RT, RB | 8)
field64('reftable-entry-beyond-end', RT, FAR)
field64('reftable-entry-0', RT, 0)
simple('refblock-all-zero', lambda i: i.put(RB, bytes(CS)))
simple('refcount-header-0', lambda i: i.u16(RB, 0))
simple('refcount-data-0', lambda i: i.u16(RB + 10, 0))
simple('refcount-data-2', lambda i: i.u16(RB + 10, 2))
# 80
l2('leak', 0)
simple('refcount-data-65535', lambda i: i.u16(RB + 10, 65535))
field64('reftable-entry-at-l2', RT, L2)
field64('extended-alloc-and-zero', L2 + 8, 0xffffffffffffffff, 'extended')


@defect('extended-alloc-no-offset', 'extended')
def _(i):
    i.u64(L2, 0)
    i.u64(L2 + 8, 0xffffffff)


simple('extended-zero-flag', lambda i: i.flip64(L2, 1), 'extended')
field64('extended-bit-on-plain', 72, 16)


@defect('extended-cluster-bits-13', 'extended')
def _(i):
    i.u32(20, 13)


field32('crypt-1-no-key', 32, 1)
field32('crypt-2-no-extension', 32, 2)
# 90
field32('crypt-7', 32, 7)
field64('data-file-no-extension', 72, 4)
field64('raw-data-without-data-file', 88, 2)
field64('bitmaps-bit-cleared', 88, 0, 'bitmap')
field64('bitmaps-bit-no-extension', 88, 1)
simple('cut-to-64k', lambda i: i.cut(CS))
simple('cut-to-50-bytes', lambda i: i.cut(50))
simple('cut-in-last-cluster', lambda i: i.cut(i.size() - 100))
simple('empty', lambda i: i.cut(0))
# 99: beyond the list above, what only we look at
simple('l1-all-garbage', lambda i: i.put(L1, b'\xa5\x5a\x13' * 100), 'large')
# 100
simple('l2-all-garbage', lambda i: i.put(L2, b'\xa5\x5a\x13' * 3000))
simple('reftable-all-garbage', lambda i: i.put(RT, b'\xa5\x5a\x13' * 3000))
simple('refblock-garbage', lambda i: i.put(RB, b'\xa5\x5a\x13' * 3000))
l2('l2-points-at-l2', COPIED | L2)
l1('l1-points-at-data', COPIED | DATA)
field64('compressed-at-header', L2, COMPRESSED | 512)


@defect('long-sparse-file')
def _(i):
    i.cut(1 << 42)
    i.u64(L2, COPIED | (1 << 42) - CS)


@defect('many-snapshots-one-l1', 'snap')
def _(i):
    at = i.snapshots()
    record = i.get(at, 72)[:64]
    extra, = struct.unpack('>I', record[36:40])
    size = 40 + extra + sum(struct.unpack('>HH', record[12:16]))
    record = i.get(at, size) + bytes(-size % 8)
    i.put(at, record * 2000)
    i.u32(60, 2000)


@defect('bitmap-table-beyond-end', 'bitmap')
def _(i):
    ext = i.extension(0x23852875)
    i.u64(i.get64(ext + 16), FAR)


@defect('extended-bitmap-on-compressed', 'extended-compressed')
def _(i):
    i.u64(L2 + 8, 0xff)


# 110
simple('extended-unaligned', lambda i: i.flip64(L2, 512), 'extended')
simple('extended-copied-cleared', lambda i: i.flip64(L2, COPIED), 'extended')


def set_data_file(i, name):
    at = i.extension(0x44415441)
    i.u32(at - 4, len(name))
    i.put(at, name)


def data_file(name, value):
    simple(name, lambda i: set_data_file(i, value), 'data')


data_file('data-file-missing', b'nowhere.raw')
data_file('data-file-itself', b'w.qcow2')       # as the test calls it
data_file('data-file-device', b'/dev/zero')
data_file('data-file-folder', b'/etc')
data_file('data-file-protocol', b'nbd:localhost')
data_file('data-file-no-name', b'')
l2('data-entry-elsewhere', COPIED | DATA, 'data')
l2('data-entry-unaligned', COPIED | 512, 'data')
# 120
l2('data-entry-compressed', COMPRESSED | DATA, 'data')
simple('data-entry-not-copied', lambda i: i.flip64(L2 + 8, COPIED), 'data')
field32('data-file-with-encryption', 32, 1, 'data')


@defect('data-file-all-elsewhere', 'data')
def _(i):
    for n in range(15):
        i.u64(L2 + 8 * n, COPIED | DATA + n * CS)


# 124: dirty bitmaps
def bitmap(name, offset, put, value, good='bitmap'):
    """A field of the first entry of the bitmap directory."""
    def change(i):
        put(i, i.get64(i.extension(0x23852875) + 16) + offset, value)
    simple('bitmap-' + name, change, good)


def bitmap_table(name, value, good='bitmap'):
    def change(i):
        entry = i.get64(i.extension(0x23852875) + 16)
        i.u64(i.get64(entry), value)
    simple('bitmap-entry-' + name, change, good)


def bitmap_extension(name, offset, put, value):
    def change(i):
        put(i, i.extension(0x23852875) + offset, value)
    simple('bitmaps-' + name, change, 'bitmap')


bitmap_extension('none', 0, Image.u32, 0)
bitmap_extension('one-too-many', 0, Image.u32, 2)
bitmap_extension('65536', 0, Image.u32, 65536)
bitmap_extension('reserved', 4, Image.u32, 1)
bitmap_extension('directory-8-bytes', 8, Image.u64, 8)
bitmap_extension('directory-huge', 8, Image.u64, 1 << 60)
bitmap_extension('directory-63M', 8, Image.u64, 63 << 20)
bitmap_extension('directory-far', 16, Image.u64, FAR)
bitmap_extension('directory-unaligned', 16, Image.u64, 512)
bitmap_extension('directory-on-l1', 16, Image.u64, L1)
bitmap('table-offset-0', 0, Image.u64, 0)
bitmap('table-unaligned', 0, Image.u64, 512)
bitmap('table-on-l2', 0, Image.u64, L2)
bitmap('table-empty', 8, Image.u32, 0)
bitmap('table-huge', 8, Image.u32, 0xffffffff)
bitmap('table-of-512M', 8, Image.u32, 8192)
bitmap('flags-reserved', 12, Image.u32, 0x80000002)
bitmap('type-2', 16, lambda i, off, v: i.put(off, v), b'\2')
bitmap('granularity-8', 17, lambda i, off, v: i.put(off, v), b'\x08')
bitmap('granularity-60', 17, lambda i, off, v: i.put(off, v), b'\x3c')
bitmap('name-empty', 18, Image.u16, 0)
bitmap('name-65535', 18, Image.u16, 0xffff)
bitmap('extra-4G', 20, Image.u32, 0xffffffff)
bitmap_table('reserved', 6)
bitmap_table('unaligned', 512)
bitmap_table('far', FAR)
bitmap_table('on-l2', L2)
bitmap_table('on-data', DATA)
bitmap_table('ones', 1)
bitmap('granularity-9', 17, lambda i, off, v: i.put(off, v), b'\x09')


@defect('bitmap-in-use-table-far', 'bitmap')
def _(i):
    entry = i.get64(i.extension(0x23852875) + 16)
    i.u32(entry + 12, 3)
    i.u64(i.get64(entry), FAR)


@defect('bitmap-in-use-too-short', 'bitmap')
def _(i):
    entry = i.get64(i.extension(0x23852875) + 16)
    i.u32(entry + 12, 3)
    i.put(entry + 17, b'\x09')


@defect('bitmaps-of-one-name', 'bitmap')
def _(i):
    ext = i.extension(0x23852875)
    at = i.get64(ext + 16)
    i.put(at + 32, i.get(at, 32))
    i.u32(ext, 2)
    i.u64(ext + 8, 64)


# ---- snapshots, aliases and refcounts, in combination

def snapshot(name, offset, put, value):
    simple('snapshot-' + name, lambda i: put(i, i.snapshots() + offset, value),
           'snap')


snapshot('l1-on-active-l1', 0, Image.u64, L1)
snapshot('l1-on-header', 0, Image.u64, 0)
snapshot('l1-on-data', 0, Image.u64, DATA)
snapshot('l1-on-reftable', 0, Image.u64, RT)
snapshot('l1-far', 0, Image.u64, FAR)
snapshot('l1-empty', 8, Image.u32, 0)
snapshot('id-65535', 12, Image.u16, 65535)
snapshot('extra-1024', 36, Image.u32, 1024)
snapshot('count-2', -1, lambda i, off, v: i.u32(60, v), 2)
snapshot('count-65536', -1, lambda i, off, v: i.u32(60, v), 65536)


@defect('snapshot-table-on-data', 'snap')
def _(i):
    i.u64(64, DATA)


@defect('snapshot-l1-entry-far', 'snap')
def _(i):
    i.u64(i.get64(i.snapshots()), FAR)


@defect('snapshot-shared-refcount-1', 'snap')
def _(i):
    i.u16(RB + 10, 1)


@defect('compressed-same-twice', 'compressed')
def _(i):
    i.u64(L2 + 8, i.get64(L2))


@defect('compressed-and-normal', 'compressed')
def _(i):
    i.u64(L2 + 8, COPIED | (i.get64(L2) & (1 << 54) - 1) & ~(CS - 1))


@defect('reftable-two-same-block')
def _(i):
    i.u64(RT + 8, i.get64(RT))


@defect('reftable-points-at-itself')
def _(i):
    i.u64(RT, RT)


@defect('dirty-and-no-refcounts')
def _(i):
    i.u64(72, 1)
    i.put(RB, bytes(CS))


@defect('dirty-and-entry-far')
def _(i):
    i.u64(72, 1)
    i.u64(L2, COPIED | FAR)


@defect('corrupt-and-entry-far')
def _(i):
    i.u64(72, 2)
    i.u64(L2, COPIED | FAR)


@defect('l2-all-one-cluster')
def _(i):
    for n in range(15):
        i.u64(L2 + 8 * n, COPIED | DATA)


@defect('l1-of-small-in-reverse', 'small')
def _(i):
    at = i.get64(40)
    entries = [i.get64(at + 8 * n) for n in range(30)]
    for n, e in enumerate(reversed(entries)):
        i.u64(at + 8 * n, e)


@defect('cut-in-refcounts')
def _(i):
    i.cut(RB + 100)


@defect('cut-in-l2')
def _(i):
    i.cut(L2 + 100)


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL)


def make_good(d):
    def create(name, *args, size='16M'):
        path = os.path.join(d, name)
        run('qemu-img', 'create', '-q', '-f', 'qcow2', *args, path, size)
        return path

    def fill(path):
        run('qemu-io', '-f', 'qcow2', '-c', 'write -P 17 0 960k', path)

    for name, args in (
            ('plain', ()), ('v2', ('-o', 'compat=0.10')), ('snap', ()),
            ('extended', ('-o', 'extended_l2=on')), ('bitmap', ())):
        fill(create(name, *args))
    fill(create('data', '-o', 'data_file=data-file-1.raw'))
    fill(create('small', '-o', 'cluster_size=512'))
    # 64 entries in the L1 table
    fill(create('large', size='32G'))
    run('qemu-img', 'snapshot', '-c', 's', os.path.join(d, 'snap'))
    run('qemu-img', 'bitmap', '--add', os.path.join(d, 'bitmap'), 'b')
    run('qemu-img', 'convert', '-c', '-O', 'qcow2', os.path.join(d, 'plain'),
        os.path.join(d, 'compressed'))
    run('qemu-img', 'convert', '-c', '-O', 'qcow2', '-o', 'extended_l2=on',
        os.path.join(d, 'plain'), os.path.join(d, 'extended-compressed'))
    shutil.copy(os.path.join(d, 'plain'), os.path.join(d, '..', 'base.qcow2'))
    create('backed', '-u', '-b', 'base.qcow2', '-F', 'qcow2')


def main():
    out = sys.argv[1]
    first, last = (int(a) for a in sys.argv[2:4]) if len(sys.argv) > 3 \
        else (0, len(DEFECTS) - 1)
    good = os.path.join(out, 'good')
    os.makedirs(good, exist_ok=True)
    make_good(good)
    for n, (name, base, change) in enumerate(DEFECTS):
        if not first <= n <= last:
            continue
        path = os.path.join(out, f'{n:02}-{name}.qcow2')
        shutil.copy(os.path.join(good, base), path)
        image = Image(path)
        change(image)
        image.file.close()
    print(len(DEFECTS))


main()
