#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# convert --salvage: what cannot be read becomes zeroes, the rest is kept.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img python3 jq

# a compressed cluster that is garbage
seq 1 100000 > text
truncate -s 1M text
qemu-img convert -c -f raw -O qcow2 text t
python3 - t <<'P'
import struct, sys
f = open(sys.argv[1], "r+b")
h = f.read(104)
l1 = struct.unpack(">Q", h[40:48])[0]
f.seek(l1)
l2 = struct.unpack(">Q", f.read(8))[0] & 0x00fffffffffffe00
f.seek(l2 + 8)
e = struct.unpack(">Q", f.read(8))[0]
f.seek(e & ((1 << 54) - 1))
f.write(b"\xff" * 100)
P
rc 1 'what cannot be read' xdisk convert -f qcow2 -O raw t r
said 'is an error' 'error while reading at byte'
ok 'is salvaged' xdisk convert --salvage -f qcow2 -O raw t r
said 'with a warning' 'warning: error while reading at byte 65536'
head -c 64k /dev/zero | dd of=text bs=64k seek=1 conv=notrunc status=none
ok 'all but that is there' cmp text r
qemu-img convert -q --salvage -f qcow2 -O raw t q
ok 'as qemu-img has it' cmp q r
ok 'quietly' xdisk convert -q --salvage --output=json -f qcow2 -O raw t r
is 'it is counted' "$(jq '."bytes-unreadable"' .log)" 65536
finish
