#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A block device as data file: never longer than it is, not emptied when the
# image is made.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/model-lib.sh"
requires qemu-img qemu-io losetup

head -c 9000448 /dev/urandom > disk
dev=$(losetup --show -f disk 2> /dev/null) || {
	echo '1..0 # SKIP no loop devices'
	exit 0
}
trap 'losetup -d "$dev"; rm -rf "$T"' EXIT

rc 1 'one that is too small' \
	xdisk create -q -f qcow2 -o data_file="$dev" x 10M
says "has 9000448 bytes, not 10485760"

for options in cluster_size=64k cluster_size=4k extended_l2=on; do
	fresh data_file="$dev",$options 9000448
	ok "$options: new is empty, whatever the device holds" \
		qemu-img compare -f raw -F qcow2 want x
	ok 'random requests' run qcow2
	ok 'and again' run qcow2
done

cp disk want
for options in cluster_size=64k cluster_size=4k extended_l2=on; do
	rm -f x
	cat "$dev" > want
	xdisk create -q -f qcow2 -o data_file="$dev",data_file_raw=on,$options \
		x 9000448
	ok "raw, $options: the image is the device" holds x qcow2 want
	ok 'random requests' run qcow2
	ok 'the device is the image' cmp "$dev" want
done

group 'what the kernel has not written yet must survive a discard that fails'
for seed in 1 2 3; do
	cat "$dev" > want
	ok "the device as a disk, seed $seed" model -s $seed -n 1500 "$dev" raw want
done

group 'resize'
rm -f x
xdisk create -q -f qcow2 -o data_file="$dev" x 4M
xdisk io -f qcow2 -c 'write -P 1 0 4M' x
ok 'grows on the device' xdisk resize -q -f qcow2 x 9000448
ok 'where it is empty' xdisk io -f qcow2 -c 'read -P 1 0 4M' \
	-c 'read -P 0 4M 4806144' x
rc 1 'not beyond its end' xdisk resize -q -f qcow2 x 9M
says "is a device of 9000448 bytes"
ok 'the image is clean' clean x
ok 'shrinks' xdisk resize -q -f qcow2 --shrink x 1M
ok 'the image is clean' clean x
is 'the device is as long as ever' 9000448 "$(blockdev --getsize64 "$dev")"
finish
