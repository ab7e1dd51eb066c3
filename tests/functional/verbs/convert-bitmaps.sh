#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Bitmaps that go with a converted image, like qemu-img's.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

bitmaps() { python3 "$srcdir/tests/functional/bitmaps.py" "$@"; }

refused()
{
	local want

	want=$(qemu-img convert "$@" 2>&1 | head -n 1)
	rm -f y
	rc 1 "refused: $*" xdisk convert "$@"
	said '... in qemu-img words' "${want#qemu-img: }"
}

qemu-img create -q -f qcow2 x 8M
qemu-img bitmap -f qcow2 --add -g 4k x fine
qemu-io -f qcow2 -c 'write -P 3 1M 100k' x > /dev/null
qemu-img bitmap -f qcow2 --add --disable -g 1M x off
qemu-img bitmap -f qcow2 --add --merge fine x all
truncate -s 1M r
refused --bitmaps -f qcow2 -O raw x y
refused --bitmaps -f raw -O qcow2 r y
refused --bitmaps -f qcow2 -O qcow2 x x y
refused --skip-broken-bitmaps -f qcow2 -O qcow2 x y
for options in cluster_size=64k cluster_size=512 \
	cluster_size=16k,extended_l2=on; do
	rm -f y theirs
	ok "to $options" xdisk convert --bitmaps -f qcow2 -O qcow2 -o $options x y
	ok 'the image is clean' clean y
	qemu-img convert --bitmaps -f qcow2 -O qcow2 -o $options x theirs
	is 'the same list' \
		"$(qemu-img info y | sed -n '/bitmaps:/,/refcount/p')" \
		"$(qemu-img info theirs | sed -n '/bitmaps:/,/refcount/p')"
	for b in fine off all; do
		is "$b has the same bits" "$(bitmaps dump y $b)" \
			"$(bitmaps dump theirs $b)"
	done
	ok 'qemu-img uses them' qemu-img bitmap -f qcow2 --merge fine y off
done
rm -f y
ok 'without the option there are none' xdisk convert -f qcow2 -O qcow2 x y
rc 1 'there are none' sh -c 'qemu-img info y | grep bitmaps'
bitmaps flags x all 3
refused --bitmaps -f qcow2 -O qcow2 x y
ok 'nothing was made' test ! -e y
ok 'left out' xdisk convert --bitmaps --skip-broken-bitmaps -f qcow2 -O qcow2 x y
says "warning: Skipping inconsistent bitmap 'all'"
is 'the others are there' "$(qemu-img info y | grep -w name:)" \
	"            name: fine
            name: off"
rc 1 'names that are there already' \
	xdisk convert -n --bitmaps --skip-broken-bitmaps -f qcow2 -O qcow2 x y
says 'Bitmap already exists: fine'
ok 'the image is clean' clean y
ok 'not into version 2' \
	sh -c '! "$0" convert --bitmaps --skip-broken-bitmaps -f qcow2 -O qcow2 -o compat=v2 x z' \
	"$builddir/tool/xdisk"
finish
