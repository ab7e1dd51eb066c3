#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every read, write, flush and allocation of the file fails once while images
# are written to, repaired and created: nothing gets worse, and all can be done
# again.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

failnth() { timeout 100 "$builddir/tests/crash/failnth" "$@" work; }

make_image()
{
	qemu-img create -q -f qcow2 -o "$1" "${@:3}" "$2" 4M &&
		qemu-io -f qcow2 -c 'write -P 17 0 400k' \
			-c 'write -P 18 1M 300k' "$2"
}

truncate -s 3M base.raw
qemu-io -f raw -c 'write -P 1 0 3M' base.raw > /dev/null
make_image cluster_size=4k plain > /dev/null
make_image cluster_size=512,refcount_bits=64 small > /dev/null
make_image cluster_size=64k overlay -b base.raw -F raw > /dev/null
make_image cluster_size=4k snap > /dev/null
qemu-img snapshot -c s snap
make_image cluster_size=16k,extended_l2=on extended > /dev/null
qemu-img convert -c -O qcow2 -o cluster_size=4k plain packed

for what in write discard zero grow; do
	for image in plain small overlay; do
		ok "$what, $image" failnth $what $image
	done
done
for image in snap extended packed; do
	ok "write, $image" failnth write $image
	ok "discard, $image" failnth discard $image
done
ok 'create' failnth create none

# ---- repairs, of what each of their steps is for
python3 "$srcdir/tests/functional/mkbad.py" . 37 108 > /dev/null
for bad in 41-* 58-* 64-* 74-* 78-* 80-* 97-* 103-* 108-*; do
	ok "repair ${bad%.qcow2}" failnth repair "$bad"
done
finish
