#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# qcow2 on a block device, which never becomes longer: tables go where there is
# room.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img losetup

truncate -s 40M disk
dev=$(losetup --show -f disk 2> /dev/null) || {
	echo '1..0 # SKIP no loop devices'
	exit 0
}
trap 'losetup -d "$dev"; rm -rf "$T"' EXIT

for options in cluster_size=64k cluster_size=512 cluster_size=4k,refcount_bits=64; do
	rm -f want; truncate -s 10M want
	dd if=/dev/urandom of="$dev" bs=1M count=40 2> /dev/null
	ok "$options: created" qemu-img create -q -f qcow2 -o $options "$dev" 10M
	ok 'random requests on it hold' model -s 1 -n 800 "$dev" qcow2 want
	ok 'the image is clean' clean "$dev"
	ok 'grows its L1 table' xdisk resize -q -f qcow2 "$dev" 20G
	ok 'again' xdisk resize -q -f qcow2 "$dev" 60G
	ok 'the image is clean' clean "$dev"
	ok 'shrinks' xdisk resize -q -f qcow2 --shrink "$dev" 12M
	truncate -s 12M want
	ok 'the disk holds what was written' holds "$dev" qcow2 want
	ok 'random requests on it hold' model -s 2 -n 800 "$dev" qcow2 want
	ok 'the image is clean' clean "$dev"
	xdisk resize -q -f qcow2 "$dev" 50M
	rc 1 'is full in the end' xdisk io -f qcow2 -c 'write -P 3 8M 42M' "$dev"
	says 'No space left'
	rc 0 'is sound still' xdisk check -q -f qcow2 -r leaks "$dev"
	ok 'can be used after room was made' xdisk io -f qcow2 -c 'discard 12M 38M' \
		-c 'write -P 4 12M 5M' "$dev"
	ok 'the image is clean' clean "$dev"
done
finish
