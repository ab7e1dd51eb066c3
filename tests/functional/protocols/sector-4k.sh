#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks with sectors of 4096 bytes, where O_DIRECT takes nothing smaller: a file
# system on one, and the device itself.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img losetup mkfs.ext4 mount

device=
clean_up()
{
	umount "$T/mnt" 2> /dev/null
	[ -z "$device" ] || losetup -d "$device"
	rm -rf "$T"
}
trap clean_up EXIT
truncate -s 64M disk
device=$(timeout 10 losetup --sector-size 4096 -f --show disk 2> /dev/null)
mkdir mnt
[ "$device" ] && mkfs.ext4 -q -b 4096 "$device" 2> /dev/null &&
	timeout 20 mount "$device" mnt 2> /dev/null || {
	echo '1..0 # SKIP no loop device with a file system can be had here'
	exit 0
}

io() { xdisk io -t none "$@"; }
cd mnt || exit 99
for size in 512 4k 64k; do
	qemu-img create -q -f qcow2 -o cluster_size=$size x 4M
	rm -f want
	truncate -s 4M want
	ok "clusters of $size" model -s 5 -n 200 x qcow2 want
	ok 'the image is clean' clean x
	ok 'they hold' qemu-img compare -q -f raw -F qcow2 want x
done

group 'a raw file whose last block is not whole'
truncate -s $((1048576 + 512)) x
ok 'its last sector' io -f raw -c 'write -P 3 1048576 512' \
	-c 'read -P 3 1048576 512' x
is 'is the last one still' "$(stat -c %s x)" $((1048576 + 512))
ok 'zeroes' io -f raw -c 'write -z 1048576 512' -c 'read -P 0 1048576 512' x
is 'still' "$(stat -c %s x)" $((1048576 + 512))
ok 'across sectors' io -f raw -c 'write -P 4 100 9000' -c 'read -P 4 100 9000' \
	-c 'read -P 0 9100 100' x
cd .. && umount mnt

group 'the device'
ok 'small writes to the device' io -f raw -c 'write -P 5 512 512' \
	-c 'write -P 6 4000 200' -c 'read -P 5 512 512' \
	-c 'read -P 6 4000 200' "$device"
ok 'to its end' io -f raw -c "write -P 7 $((64 * 1048576 - 512)) 512" \
	-c "read -P 7 $((64 * 1048576 - 512)) 512" "$device"
finish
