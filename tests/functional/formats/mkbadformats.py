#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes malformed images of the formats other than qcow2.

    mkbadformats.py DIR

takes the good images DIR/good.FORMAT and writes DIR/FORMAT-NAME.bad for each
defect, and to DIR/list a line for each: the file, the format, and what must be
said when it is read, as a pattern; "-" where only reading (not opening) fails.
"""

import base64
import os
import re
import struct
import sys

DIR = sys.argv[1]
LIST = []
HUGE = 2 ** 64 - 512


def image(fmt):
    with open(os.path.join(DIR, 'good.' + fmt), 'rb') as f:
        return bytearray(f.read())


def bad(fmt, name, said, *changes, size=None, sums=None):
    """A copy with (offset, struct format, values...) changed."""
    data = image(fmt)
    for off, layout, *values in changes:
        struct.pack_into(layout, data, off if off >= 0 else len(data) + off,
                         *values)
    if sums:
        sums(data)
    if size is not None:
        data = data[:size]
    file = '%s-%s.bad' % (fmt, name)
    with open(os.path.join(DIR, file), 'wb') as f:
        f.write(data)
    LIST.append('%s %s %s' % (file, fmt, said))


def vhd_sum(data, at, length, where):
    data[at + where:at + where + 4] = bytes(4)
    total = ~sum(data[at:at + length]) & 0xffffffff
    struct.pack_into('>I', data, at + where, total)


def vhd_sums(data):
    vhd_sum(data, 0, 512, 64)
    vhd_sum(data, len(data) - 512, 512, 64)
    if data[512:520] == b'cxsparse':
        vhd_sum(data, 512, 1024, 36)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def vhdx_sums(data):
    for at, length in ((65536, 4096), (131072, 4096), (196608, 65536)):
        data[at + 4:at + 8] = bytes(4)
        struct.pack_into('<I', data, at + 4, crc32c(data[at:at + length]))


def vdi():
    bad('vdi', 'signature', 'signature', (0x40, '<I', 1))
    bad('vdi', 'version', 'version 9.1', (0x44, '<I', 0x90001))
    bad('vdi', 'type', 'type 4', (0x4c, '<I', 4))
    bad('vdi', 'parent', 'parent', (0x1a8, '<I', 4))
    bad('vdi', 'sector', 'sector size 0', (0x168, '<I', 0))
    bad('vdi', 'block-0', 'block size 0', (0x178, '<I', 0))
    bad('vdi', 'block-odd', 'block size 1048575', (0x178, '<I', 0xfffff))
    bad('vdi', 'block-large', 'block size 2147483648', (0x178, '<I', 1 << 31))
    bad('vdi', 'extra', 'extra bytes', (0x17c, '<I', 512))
    bad('vdi', 'many-blocks', 'does not fit', (0x180, '<I', 0xffffffff))
    bad('vdi', 'far-map', 'not within the file', (0x180, '<I', 0x3fffffff))
    bad('vdi', 'disk', 'does not fit', (0x170, '<Q', HUGE))
    bad('vdi', 'map-offset', 'not within the file', (0x154, '<I', 0xfffffe00))
    bad('vdi', 'cut', 'not within the file', size=520)
    bad('vdi', 'cut-header', 'signature', size=40)
    bad('vdi', 'empty', 'signature', size=0)
    bad('vdi', 'entry', '-', (512, '<I', 0x12345))
    bad('vdi', 'cut-data', '-', size=1024)


def name_of(parent):
    return 576, '%ds' % (2 * len(parent)), parent.encode('utf-16-be')


def locator(length, off):
    return 1088, '>4sIIIQ', b'W2ru', 512, length, 0, off


def vpc():
    bad('vpc', 'sums', 'checksum', (20, '>I', 7), (-492, '>I', 7))
    bad('vpc', 'type', 'VHD type 7', (60, '>I', 7), (-452, '>I', 7),
        sums=vhd_sums)
    bad('vpc', 'dynamic-sum', 'checksum', (520, '>I', 7))
    bad('vpc', 'no-dynamic', 'no dynamic header', (512, '>I', 7))
    bad('vpc', 'far-dynamic', 'not within the file', (16, '>Q', HUGE),
        (-496, '>Q', HUGE), sums=vhd_sums)
    bad('vpc', 'block-0', 'Invalid block size 0', (544, '>I', 0),
        sums=vhd_sums)
    bad('vpc', 'block-large', 'Invalid block size', (544, '>I', 1 << 31),
        sums=vhd_sums)
    bad('vpc', 'entries', 'too large', (540, '>I', 0xffffffff), sums=vhd_sums)
    bad('vpc', 'few-entries', 'too small', (540, '>I', 1), sums=vhd_sums)
    bad('vpc', 'far-table', 'not within the file', (528, '>Q', HUGE),
        sums=vhd_sums)
    bad('vpc', 'size', 'too large', (28, '4s', b'win '), (48, '>Q', 1 << 62),
        (-484, '4s', b'win '), (-464, '>Q', 1 << 62), sums=vhd_sums)
    bad('vpc', 'entry', '-', (1536, '>I', 0xfffffff0))
    bad('vpc', 'cut', '-', size=2048)
    for name, said, *changes in (
            ('nameless', 'does not say which'),
            ('half', 'not a text', (576, '>HH', 0xd800, 0x41)),
            ('low', 'not a text', (576, '>HH', 0xdc00, 0xd800)),
            ('last-half', 'not a text', (1086, '>H', 0xd800),
             *((at, '>H', 0x41) for at in range(576, 1086, 2))),
            ('long-name', 'File name too long',
             *((at, '>H', 0x4e00) for at in range(576, 1088, 2))),
            ('raw', 'not a VHD image', name_of('raw')),
            ('other', 'is not the parent', name_of('good.vpc')),
            ('self', 'circle', name_of('vpc-child-self.bad')),
            ('protocol', 'only plain files', name_of('json:{}')),
            ('drive', 'only plain files', name_of('C:\\base.vhd')),
            ('locator-0', 'locator of 0', locator(0, 0)),
            ('locator-odd', 'locator of 7', locator(7, 0)),
            ('locator-long', 'locator of 4294967294',
             locator(0xfffffffe, 0)),
            ('locator-far', 'not within the file', locator(2, HUGE)),
            ('locator-end', 'not within the file', locator(2, 1 << 40)),
            # zeroes within: the checksum of the header is not text
            ('locator-zero', 'not a text', locator(512, 512))):
        bad('vpc', 'child-' + name, said, (60, '>I', 4), (-452, '>I', 4),
            *changes, sums=vhd_sums)


def vmdk():
    bad('vmdk', 'magic', 'not a vmdk image', (0, '<I', 7))
    bad('vmdk', 'version', 'Unsupported VMDK version 77', (4, '<I', 77))
    bad('vmdk', 'grain-0', 'Invalid granularity', (20, '<Q', 0))
    bad('vmdk', 'grain-large', 'Invalid granularity', (20, '<Q', 1 << 40))
    bad('vmdk', 'gtes-0', '0 entries', (44, '<I', 0))
    bad('vmdk', 'gtes', 'entries are not', (44, '<I', 0xffffffff))
    bad('vmdk', 'capacity', 'too large', (12, '<Q', 2 ** 63))
    bad('vmdk', 'many-tables', 'not within the file', (12, '<Q', 2 ** 50))
    bad('vmdk', 'gd', 'not within the file', (56, '<Q', 2 ** 60))
    bad('vmdk', 'no-footer', 'no footer', (56, '<Q', 2 ** 64 - 1))
    bad('vmdk', 'compression', 'compression 9', (77, '<H', 9))
    bad('vmdk', 'descriptor', 'not within the file', (36, '<Q', 2 ** 54))
    bad('vmdk', 'descriptor-at', 'not within the file', (28, '<Q', HUGE))
    bad('vmdk', 'cut', 'not within the file', size=512)
    gd = struct.unpack_from('<Q', image('vmdk'), 56)[0] * 512
    gt = struct.unpack_from('<I', image('vmdk'), gd)[0] * 512
    bad('vmdk', 'table', '-', (gd, '<I', 0xffffffff))
    bad('vmdk', 'entry', '-', (gt, '<I', 0xffffffff))
    os.symlink('/bin/sh', os.path.join(DIR, 'link'))
    for name, said, text in (
            ('outside', 'in another folder', 'RW 8 FLAT "/etc/passwd" 0'),
            ('above', 'in another folder', 'RW 8 FLAT "../x" 0'),
            ('link', 'in another folder', 'RW 8 FLAT "link" 0'),
            ('protocol', 'only plain files', 'RW 8 FLAT "nbd:x" 0'),
            ('missing', 'No such file', 'RW 8 FLAT "nowhere" 0'),
            ('short', 'not within the file', 'RW 99999999 FLAT "good.vdi" 0'),
            ('far', 'too large', 'RW 8 FLAT "good.vdi" %d' % HUGE),
            ('large', 'too large', 'RW %d FLAT "good.vdi" 0' % HUGE),
            ('not-sparse', 'no header', 'RW 8 SPARSE "good.vdi"'),
            ('kind', 'not known', 'RW 8 STRANGE "good.vdi"'),
            ('noaccess', 'without access', 'NOACCESS 8 ZERO'),
            ('many', 'more than', '\n'.join(['RW 1 ZERO'] * 5000)),
            ('type', "'fullDevice'", 'createType="fullDevice"')):
        file = 'text-%s.bad' % name
        with open(os.path.join(DIR, file), 'w', encoding='ascii') as f:
            f.write('# Disk DescriptorFile\nversion=1\nCID=1\n'
                    'parentCID=ffffffff\ncreateType="monolithicFlat"\n%s\n'
                    % text)
        LIST.append('%s vmdk %s' % (file, said))
    with open(os.path.join(DIR, 'text-self.bad'), 'w',
              encoding='ascii') as f:
        f.write('# Disk DescriptorFile\nCID=1\nparentCID=1\n'
                'parentFileNameHint="text-self.bad"\ncreateType="vmfs"\n'
                'RW 8 ZERO\n')
    LIST.append('text-self.bad vmdk circle')


def qed():
    bad('qed', 'magic', 'not a QED image', (0, '<I', 7))
    bad('qed', 'features', 'unsupported QED features', (16, '<Q', 1 << 40))
    bad('qed', 'cluster', 'cluster size 0', (4, '<I', 0))
    bad('qed', 'cluster-large', 'cluster size', (4, '<I', 1 << 31))
    bad('qed', 'table', 'tables of 0', (8, '<I', 0))
    bad('qed', 'table-large', 'tables of', (8, '<I', 1 << 31))
    bad('qed', 'header', 'header of 0', (12, '<I', 0))
    bad('qed', 'header-large', 'header of', (12, '<I', 0xffffffff))
    bad('qed', 'size', 'disk size', (48, '<Q', HUGE))
    bad('qed', 'l1', 'L1 table', (40, '<Q', 2 ** 63))
    bad('qed', 'l1-odd', 'L1 table', (40, '<Q', 4097))
    bad('qed', 'name', 'backing file name', (16, '<Q', 1),
        (56, '<II', 0xfffffff0, 100))
    bad('qed', 'cut', 'not within the file', size=65536)
    l1 = struct.unpack_from('<Q', image('qed'), 40)[0]
    bad('qed', 'l2', '-', (l1, '<Q', 2 ** 63))


def qcow():
    bad('qcow', 'version', 'version 1', (4, '>I', 7))
    bad('qcow', 'cluster', 'clusters of 2^60', (32, 'B', 60))
    bad('qcow', 'l2', 'L2 tables of 2^40', (33, 'B', 40))
    bad('qcow', 'crypt', 'encryption method 7', (36, '>I', 7))
    bad('qcow', 'aes', 'key-secret', (36, '>I', 1))
    bad('qcow', 'size', 'too small', (24, '>Q', 0))
    bad('qcow', 'size-large', 'too large', (24, '>Q', HUGE))
    bad('qcow', 'l1', 'not within the file', (40, '>Q', HUGE))
    bad('qcow', 'name', 'backing file name', (8, '>QI', HUGE, 100))
    bad('qcow', 'name-long', 'backing file name', (8, '>QI', 48, 2000))
    bad('qcow', 'cut', 'not within the file', size=50)
    l1 = struct.unpack_from('>Q', image('qcow'), 40)[0]
    bad('qcow', 'l2-far', '-', (l1, '>Q', 2 ** 62))
    l2 = struct.unpack_from('>Q', image('qcow'), l1)[0]
    bad('qcow', 'packed', '-', (l2, '>Q', 2 ** 64 - 1))


def vhdx():
    bad('vhdx', 'magic', 'magic', (0, '<I', 7))
    bad('vhdx', 'sums', 'neither VHDX header', (65540, '<I', 7),
        (131076, '<I', 7))
    bad('vhdx', 'log', 'log of 0 bytes', (65536 + 48, '<I', 7),
        (65536 + 68, '<I', 0), (131072 + 48, '<I', 7), (131072 + 68, '<I', 0),
        sums=vhdx_sums)
    bad('vhdx', 'version', 'version 7', (65536 + 66, '<H', 7),
        (131072 + 66, '<H', 7), sums=vhdx_sums)
    bad('vhdx', 'regions', 'region table', (196608 + 8, '<I', 0xffffffff),
        sums=vhdx_sums)
    bad('vhdx', 'region-far', 'not within the file',
        (196608 + 32, '<Q', 2 ** 62), sums=vhdx_sums)
    bad('vhdx', 'no-region', 'lacks', (196608 + 8, '<I', 0), sums=vhdx_sums)
    data = image('vhdx')
    meta = next(struct.unpack_from('<Q', data, at + 16)[0]
                for at in (196624, 196656) if data[at:at + 2] == b'\x06\xa2')
    item = meta + struct.unpack_from('<I', data, meta + 32 + 16)[0]
    bad('vhdx', 'metadata', 'metadata table', (meta, '<I', 7))
    bad('vhdx', 'items', 'metadata table', (meta + 10, '<H', 0xffff))
    bad('vhdx', 'item-far', 'not within the metadata',
        (meta + 32 + 16, '<I', 0xfffffff0))
    bad('vhdx', 'block-0', 'block size 0', (item, '<I', 0))
    bad('vhdx', 'parent', 'differencing', (item + 4, '<I', 2))
    bad('vhdx', 'cut', 'not within the file', size=1 << 20)


def parallels():
    bad('parallels', 'magic', 'magic', (0, '<I', 7))
    bad('parallels', 'version', 'version 7', (16, '<I', 7))
    bad('parallels', 'tracks', 'of 0 sectors', (28, '<I', 0))
    bad('parallels', 'tracks-large', 'sectors', (28, '<I', 0xffffffff))
    bad('parallels', 'entries', 'at most', (32, '<I', 0xffffffff))
    bad('parallels', 'entries-far', 'not within the file',
        (32, '<I', 0x10000000))
    bad('parallels', 'size', 'too large', (36, '<Q', 2 ** 63))
    bad('parallels', 'entry', '-', (64, '<I', 0xffffffff))


def bochs():
    bad('bochs', 'magic', 'not a growing', (0, '<I', 7))
    bad('bochs', 'version', 'not a growing', (64, '<I', 7))
    bad('bochs', 'catalog', 'Catalog size is too large', (72, '<I', 1 << 31))
    bad('bochs', 'catalog-0', 'too small', (72, '<I', 0))
    bad('bochs', 'extent', 'Extent size 0', (80, '<I', 0))
    bad('bochs', 'extent-large', 'Extent size', (80, '<I', 1 << 31))
    bad('bochs', 'bitmap', 'bitmap of 0', (76, '<I', 0))
    bad('bochs', 'size', 'too small', (88, '<Q', HUGE))
    bad('bochs', 'header', 'not within the file', (68, '<I', 0xfffffe00))


def cloop():
    bad('cloop', 'block', 'block_size 0', (128, '>I', 0))
    bad('cloop', 'block-odd', 'block_size 513', (128, '>I', 513))
    bad('cloop', 'block-large', 'block_size', (128, '>I', 0xfffffe00))
    bad('cloop', 'blocks', 'too many offsets', (132, '>I', 0xffffffff))
    bad('cloop', 'blocks-far', 'not within the file', (132, '>I', 0xffffff))
    bad('cloop', 'offset', '-', (136, '>Q', HUGE))
    bad('cloop', 'backwards', '-', (144, '>Q', 1))
    start = struct.unpack_from('>Q', image('cloop'), 136)[0]
    bad('cloop', 'stream', '-', (start, '8s', b'no zlib!'))


def bad_table(name, said, *changes):
    """The first table of a DMG image, which stands in its property list."""
    text = re.search(rb'<data>(.*?)</data>', image('dmg'), re.S)
    table = bytearray(base64.b64decode(text[1]))
    for off, layout, *values in changes:
        struct.pack_into(layout, table, off, *values)
    bad('dmg', name, said, (text.start(1), '%ds' % len(text[1]),
                            base64.b64encode(table).ljust(len(text[1]))))


def dmg():
    bad('dmg', 'trailer', 'koly', (-512, '<I', 7))
    bad('dmg', 'list', 'property list has', (-512 + 224, '>Q', HUGE))
    bad('dmg', 'no-list', 'property list has 0', (-512 + 224, '>Q', 0))
    bad('dmg', 'list-far', 'not within the file', (-512 + 216, '>Q', HUGE))
    bad('dmg', 'fork-far', 'not within the file',
        (-512 + 40, '>QQ', HUGE, 4096))
    bad('dmg', 'data-fork', 'not within the file', (-512 + 24, '>Q', HUGE))
    bad('dmg', 'cut', 'koly', size=10000)
    bad_table('table-entries', 'cannot have', (200, '>I', 0xffffffff))
    packed = 204 + 40 * 2       # the first entries are zeroes, raw, packed
    bad_table('chunk-sectors', 'cannot have', (packed + 16, '>Q', 1 << 18))
    bad_table('chunk-length', 'cannot have', (packed + 32, '>Q', 1 << 27))
    bad_table('chunk-far', 'not within the file', (packed + 24, '>Q', HUGE))
    bad_table('chunk-place', 'not possible', (packed + 8, '>Q', HUGE))
    bad_table('chunks-overlap', 'two DMG chunks', (packed + 8, '>Q', 0))


for make in vdi, vpc, vmdk, qed, qcow, vhdx, parallels, bochs, cloop, dmg:
    make()
with open(os.path.join(DIR, 'list'), 'w', encoding='ascii') as out:
    out.write('\n'.join(LIST) + '\n')
