#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random requests on images with subclusters.
. "${srcdir:=.}/tests/functional/model-lib.sh"

sizes='cluster_size=16k cluster_size=64k cluster_size=2M
	preallocation=metadata,cluster_size=16k'

for options in $sizes; do
	fresh extended_l2=on,$options 9M
	ok "$options" run qcow2
	ok "$options, again" run qcow2
done
fresh extended_l2=on 3000320
ok 'an odd size' run qcow2

head -c 6M /dev/urandom > base
for options in $sizes; do
	cp base want
	truncate -s 7M want
	rm -f x
	xdisk create -q -f qcow2 -b base -F raw -o extended_l2=on,$options x 7M
	ok "overlay, $options" run qcow2
	ok "overlay, $options, again" run qcow2
done

group 'clusters that a snapshot shares, and compressed ones'
cp base want
rm -f x
xdisk create -q -f qcow2 -o extended_l2=on x 6M
qemu-img convert -n -f raw -O qcow2 base x
qemu-img snapshot -c s x
ok 'after a snapshot' run qcow2
qemu-img snapshot -c t x
ok 'after another' run qcow2
ok 'what the first holds' qemu-img convert -f qcow2 -l s -O raw x old
ok 'is as it was' cmp base old
qemu-img convert -c -f raw -O qcow2 -o extended_l2=on want x
ok 'compressed' run qcow2
finish
