#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole images, damaged by lot, through the tool.

    mutate.py XDISK SEED COUNT [KEEP]

makes COUNT images, each a good one with one to four changes in its metadata,
in the working directory, and lets every verb work on them, in bounded time
and memory. None may die; what a repair calls clean must be clean, for qemu-img
too (KEEP: ask it about each KEEP-th); what was clean before a write must be
clean after it. Prints TAP; the images of a failure stay.
"""

import os
import random
import resource
import shutil
import struct
import subprocess
import sys

CHECK = ('check', '-q', '-f', 'qcow2')
DOCUMENTED = (0, 1, 2, 3)
SECONDS = 20
MEMORY = 600 << 20
LIMITED = not os.environ.get('UNLIMITED')       # ASan wants all there is


def limit():
    if LIMITED:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 33, 1 << 33))


def quietly(*args, **kw):
    return subprocess.run(args, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS, check=False, **kw)


# ---- good images

def make_seeds():
    os.makedirs('good', exist_ok=True)
    seeds = []

    def image(name, *options, size='2M', writes=((0, 320),)):
        path = 'good/' + name
        o = ','.join(options)
        quietly('qemu-img', 'create', '-q', '-f', 'qcow2',
                *(('-o', o) if o else ()), path, size)
        commands = []
        for i, (at, n) in enumerate(writes):
            commands += ['-c', f'write -P {i + 17} {at}k {n}k']
        quietly('qemu-io', '-f', 'qcow2', *commands, path)
        seeds.append(path)
        return path

    some = ((0, 200), (700, 30), (256, 64), (1500, 300))
    image('64k', writes=some)
    image('4k', 'cluster_size=4k', writes=some)
    image('512', 'cluster_size=512', writes=((0, 90), (300, 20), (900, 40)))
    image('v2', 'compat=0.10', 'cluster_size=4k', writes=some)
    image('narrow', 'cluster_size=4k', 'refcount_bits=1', writes=some)
    image('wide', 'cluster_size=4k', 'refcount_bits=64', writes=some)
    image('extended', 'cluster_size=16k', 'extended_l2=on', writes=some)
    for name, size in (('snap4k', '4k'), ('snap512', '512')):
        path = image(name, 'cluster_size=' + size, writes=((0, 90),))
        for s in ('one', 'two'):
            quietly('qemu-img', 'snapshot', '-c', s, path)
            quietly('qemu-io', '-f', 'qcow2', '-c', 'write -P 9 30k 30k', path)
    path = image('bitmap', 'cluster_size=4k', writes=some)
    quietly('qemu-img', 'bitmap', '--add', path, 'b')
    for below in 'base.raw', 'data.raw', 'good/base.raw', 'good/data.raw':
        with open(below, 'wb') as f:
            f.truncate(1 << 20)
    image('overlay', 'cluster_size=4k,backing_file=base.raw,backing_fmt=raw',
          writes=some)
    # one file for all of them: what is in it does not matter
    image('data-file', 'cluster_size=4k,data_file=data.raw', writes=some)
    for kind in 'zlib', 'zstd':
        path = 'good/' + kind
        quietly('qemu-img', 'convert', '-c', '-O', 'qcow2', '-o',
                f'cluster_size=4k,compression_type={kind}', 'good/4k', path)
        seeds.append(path)
    return seeds


# ---- damage

class Image:
    """Where the tables of a good image are."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data = bytearray(f.read())
        self.bits, = struct.unpack_from('>I', self.data, 20)
        self.cluster = 1 << self.bits
        self.version = self.u32(4)
        incompat = self.u64(72) if self.version > 2 else 0
        self.entry = 16 if incompat & 16 else 8
        self.order = self.u32(96) if self.version > 2 else 4
        self.l1 = [self.u64(40) + 8 * i for i in range(self.u32(36))]
        self.reftable = self.u64(48)
        n = self.u64(self.reftable) & ~511
        self.refblock = n
        self.l2 = []
        self.snapshots = self.u64(64) if self.u32(60) else 0
        tables = {self.u64(e) & 0xfffffffffffe00 for e in self.l1}
        for t in tables - {0}:
            self.l2 += [t + i for i in range(0, self.cluster, self.entry)
                        if self.u64(t + i)]

    def u32(self, at):
        return struct.unpack_from('>I', self.data, at)[0]

    def u64(self, at):
        return struct.unpack_from('>Q', self.data, at)[0]

    def put64(self, at, v):
        struct.pack_into('>Q', self.data, at, v & (2 ** 64 - 1))


def bad_word(r, i):
    """Something that could stand in an entry."""
    kind = r.randrange(7)
    flags = r.choice((0, 1 << 63, 1, 1 << 62, 1 << 63 | 1))
    somewhere = r.randrange(len(i.data) // i.cluster + 2) << i.bits
    if kind == 0:
        return r.getrandbits(64)
    if kind == 1:
        return flags | somewhere + r.choice((0, 512, i.cluster // 2))
    if kind == 2:
        return flags | r.choice((1 << 40, 1 << 55, 1 << 54))
    return flags | somewhere


def change_table(r, i, table):
    at = r.choice(table)
    kind = r.randrange(4)
    if kind == 0:
        i.put64(at, i.u64(at) ^ 1 << r.randrange(64))
    elif kind == 1:
        i.put64(at, i.u64(r.choice(table)))
    elif kind == 2:
        i.put64(at, i.u64(r.choice(i.l1 + i.l2)))
    else:
        i.put64(at, bad_word(r, i))


def change_refcount(r, i):
    kind = r.randrange(5)
    if kind == 0:
        change_table(r, i, [i.reftable + 8 * n for n in range(4)])
    elif kind == 1:
        i.data[i.refblock:i.refblock + i.cluster] = bytes(i.cluster)
    else:
        at = i.refblock + r.randrange(min(256, i.cluster))
        i.data[at] = r.choice((0, 1, 2, 255, i.data[at] ^ 1 << r.randrange(8)))


def change_header(r, i):
    kind = r.randrange(4)
    if kind == 0:
        i.data[r.randrange(4, 112)] ^= 1 << r.randrange(8)
    elif kind == 1:
        i.put64(r.choice((40, 48, 64, 8)), bad_word(r, i))
    elif kind == 2:
        i.data[r.randrange(112, 512)] = r.randrange(256)
    else:
        i.data[79] ^= r.choice((1, 2, 3))


def change_place(r, i):
    if i.snapshots and r.randrange(2):
        at = i.snapshots + r.randrange(120)
        i.data[at] = r.choice((0, 255, i.data[at] ^ 1 << r.randrange(8)))
    elif r.randrange(2):
        del i.data[r.randrange(len(i.data) // 2, len(i.data)):]
    else:
        at = r.randrange(len(i.data) - 64)
        n = r.choice((1, 8, 64))
        i.data[at:at + n] = r.randbytes(n)


def damage(r, i):
    for _ in range(r.choice((1, 1, 1, 2, 2, 3, 4))):
        kind = r.randrange(10)
        try:
            if kind < 4:
                change_table(r, i, i.l2)
            elif kind < 6:
                change_table(r, i, i.l1)
            elif kind < 8:
                change_refcount(r, i)
            elif kind < 9:
                change_header(r, i)
            else:
                change_place(r, i)
        except (struct.error, IndexError):
            pass        # cut off by the change before


# ---- what the tool makes of it

class Failure(Exception):
    pass


def xdisk(*args):
    try:
        p = quietly(TOOL, *args, preexec_fn=limit)
    except subprocess.TimeoutExpired as e:
        raise Failure(f'{args[0]} takes too long: {args}') from e
    if p.returncode not in DOCUMENTED:
        raise Failure(f'{args} ended with {p.returncode}: '
                      f'{p.stdout[-600:].decode(errors="replace")}')
    return p.returncode


def must(what, good):
    if not good:
        raise Failure(what)


def qemu_is_happy(path):
    try:
        p = quietly('qemu-img', 'check', '-f', 'qcow2', path)
    except subprocess.TimeoutExpired:
        return
    # 1: it cannot look at this one at all (a missing backing file)
    must(f'qemu-img is not happy: {p.stdout[-300:]}', p.returncode in (0, 1))


def try_repair(path, ask_qemu, slack):
    shutil.copy(path, 'w')
    status = xdisk(*CHECK, '-r', 'all', 'w')
    must('-r all leaves leaks', status != 3)
    if status == 0:
        must('a repaired image is not clean', xdisk(*CHECK, 'w') == 0)
        xdisk('io', '-f', 'qcow2', '-c', 'write -P 3 10k 70k', '-c',
              'read -P 3 10k 70k', '-c', 'discard 64k 64k', 'w')
        must('a repaired image is not clean after a write',
             xdisk(*CHECK, 'w') <= slack)
        if ask_qemu and not slack:
            qemu_is_happy('w')


def try_changes(path, most):
    """What works on a whole image must leave it as good as it was."""
    for verb in (('resize', '-q', '-f', 'qcow2', 'w', '+3M'),
                 ('resize', '-q', '--shrink', '-f', 'qcow2', 'w', '300k'),
                 ('snapshot', '-q', '-f', 'qcow2', '-c', 'new', 'w'),
                 ('snapshot', '-q', '-f', 'qcow2', '-d', 'one', 'w'),
                 ('snapshot', '-q', '-f', 'qcow2', '-a', 'two', 'w'),
                 ('compact', '-q', '-f', 'qcow2', 'w'),
                 ('amend', '-q', '-f', 'qcow2', '-o', 'lazy_refcounts=on',
                  'w')):
        shutil.copy(path, 'w')
        xdisk(*verb)
        must(f'{verb[0]} has done harm', xdisk(*CHECK, 'w') <= most)


def try_all(path, ask_qemu, slack):
    xdisk('info', '-f', 'qcow2', path)
    before = xdisk(*CHECK, path)
    xdisk('map', '-f', 'qcow2', '--output=json', path)
    xdisk('io', '-r', '-f', 'qcow2', '-c', 'read 0 1M', '-c', 'read 1M 1M',
          path)
    shutil.copy(path, 'w')
    xdisk('io', '-f', 'qcow2', '-c', 'write -P 3 10k 70k', '-c',
          'write -z -u 300k 100k', '-c', 'discard 0 40k', '-c', 'flush', 'w')
    if before in (0, 3):
        must('a write has done harm', xdisk(*CHECK, 'w') <=
             max(before, slack))
    xdisk('verify', '-q', '-f', 'qcow2', path)
    if before in (0, 3):
        try_changes(path, max(before, slack))
    shutil.copy(path, 'w')
    after = xdisk(*CHECK, '-r', 'leaks', 'w')
    must('-r leaks has done harm', before != 0 or after == 0)
    try_repair(path, ask_qemu, slack)


def main():
    global TOOL
    TOOL = sys.argv[1]
    seed, count = int(sys.argv[2]), int(sys.argv[3])
    every = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    seeds = make_seeds()
    failed = 0
    for n in range(seed, seed + count):
        r = random.Random(n)
        source = seeds[n % len(seeds)]
        path = f'image-{n}'
        image = Image(source)
        damage(r, image)
        with open(path, 'wb') as f:
            f.write(image.data)
        name = f'image {n}, from {os.path.basename(source)}'
        try:
            # a write makes bitmaps invalid: their clusters are leaks then
            try_all(path, n % every == 0, 3 if 'bitmap' in source else 0)
            print(f'ok {n - seed + 1} - {name}')
            os.unlink(path)
        except Failure as e:
            failed = 1
            print(f'not ok {n - seed + 1} - {name}')
            print('\n'.join('# ' + line for line in str(e).split('\n')))
    print(f'1..{count}')
    return failed


sys.exit(main())
