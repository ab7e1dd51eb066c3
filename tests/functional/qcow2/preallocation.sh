#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Preallocated images: as large and as full as they say, writeable by both.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

blocks() { stat -c '%b * 512 / 1048576' "$1" | { read -r e; echo $((e)); }; }

for size in 512 4k 64k 2M; do
	for mode in metadata falloc full; do
		rm -f x
		group "$mode, cluster size $size"
		ok 'it is made' xdisk create -q -f qcow2 \
			-o preallocation=$mode,cluster_size=$size x 21M
		ok 'the image is clean' clean x
		if [ $mode = metadata ]; then
			ok 'takes little' test "$(blocks x)" -lt 12
		else
			ok 'takes it all' test "$(blocks x)" -ge 21
		fi
		is 'reads as zeroes' '' "$(qemu-io -f qcow2 -c 'read -P 0 0 21M' \
			x | grep fail)"
		ok 'we write' xdisk io -f qcow2 -c 'write -P 5 512 7M' x
		ok 'they write' qemu-io -f qcow2 -c 'write -P 6 8M 3333k' x
		ok 'is clean still' clean x
		ok 'they read' qemu-io -f qcow2 -c 'read -P 5 512 7M' x
		ok 'we read' xdisk io -f qcow2 -c 'read -P 6 8M 3333k' \
			-c 'read -P 0 0 512' -c 'read -P 0 12M 9M' x
	done
done
group 'a terabyte of metadata'
ok 'is made' xdisk create -q -f qcow2 \
	-o preallocation=metadata x 1T
ok 'is checked in little memory' in_kib 200000 xdisk check -f qcow2 x
says '16777216/16777216 = 100.00% allocated'
finish
