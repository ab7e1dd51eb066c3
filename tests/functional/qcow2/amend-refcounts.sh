#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Refcounts of all widths from all widths: qemu-img finds nothing wrong, the
# disk and its snapshots stay what they were, and allocation goes on.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img

for size in 512 4k 64k; do
	rm -f x want
	truncate -s 6M want
	qemu-img create -q -f qcow2 -o cluster_size=$size x 6M
	seed=0
	for bits in 1 2 4 64 32 8 16; do
		seed=$((seed + 1))
		ok "clusters of $size: to $bits bits" \
			xdisk amend -f qcow2 -o refcount_bits=$bits x
		is 'it is so' "$(qemu-img info x | sed -n 's/.*refcount bits: //p')" \
			$bits
		ok 'the image is clean' clean x
		ok 'random requests on it hold' model -s $seed -n 150 x qcow2 want
		ok 'the image is clean' clean x
	done
	ok 'the same width' xdisk amend -f qcow2 -o refcount_bits=16 x
	ok 'holds it all' holds x qcow2 want
	cp want want1
	qemu-img snapshot -c s x
	before=$(md5sum < x)
	rc 1 'too narrow for a snapshot' xdisk amend -f qcow2 -o refcount_bits=1 x
	said 'and which cluster' 'Cluster at offset 0x[0-9a-f]* has a refcount of [2-9]'
	is 'nothing has changed' "$(md5sum < x)" "$before"
	ok 'wide enough' xdisk amend -p -f qcow2 -o refcount_bits=8 x
	ok 'random requests on it hold' model -s 9 -n 150 x qcow2 want
	ok 'the image is clean' clean x
	qemu-img snapshot -a s x
	ok 'the snapshot is as it was' holds x qcow2 want1
done

group 'a disk of which only some refcount blocks are in use'
rm -f x && qemu-img create -q -f qcow2 -o cluster_size=512 x 64M
ok 'a sparse file' xdisk io -f qcow2 -c 'write 60M 512' x
ok 'its refcounts change' xdisk amend -f qcow2 -o refcount_bits=64 x
ok 'the image is clean' clean x
finish
