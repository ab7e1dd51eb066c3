#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images made by qemu-img: written by one, read by the other, and both find
# them clean, for cluster sizes, refcount widths and versions.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

size=9M
writes=(
	-c 'write -P 1 0 1M' -c 'write -P 2 513k 700k' -c 'write -P 3 8M 1M'
	-c 'write -P 4 5000000 1' -c 'write -z 2M 100k' -c 'discard 3M 1M'
)
reads=(
	-c 'read -P 1 0 513k' -c 'read -P 2 513k 700k' -c 'read -P 3 8M 1M'
	-c 'read -P 0 4999999 1' -c 'read -P 4 5000000 1'
	-c 'read -P 0 5000001 4095' -c 'read -P 0 2M 100k'
)

both_ways()
{
	rm -f x
	qemu-img create -q -f qcow2 -o "$1" x $size || return
	xdisk io -f qcow2 "${writes[@]}" x || return
	clean x || return
	qemu-io -f qcow2 "${reads[@]}" x || return
	qemu-io -f qcow2 -c 'write -P 9 700k 3M' -c 'write -z -u 6M 1M' x ||
		return
	clean x || return
	xdisk io -f qcow2 -c 'read -P 2 513k 187k' -c 'read -P 9 700k 3M' \
		-c 'read -P 0 6M 1M' -c 'write -P 10 1M 5M' x || return
	clean x || return
	qemu-io -f qcow2 -c 'read -P 10 1M 5M' -c 'read -P 9 700k 324k' x
}

for bits in $(seq 9 21); do
	ok "cluster size $((1 << bits)), version 2" \
		both_ways "compat=v2,cluster_size=$((1 << bits))"
done
for width in 1 2 4 8 16 32 64; do
	for cluster in 512 64k; do
		ok "refcounts of $width bits, cluster size $cluster" \
			both_ways "refcount_bits=$width,cluster_size=$cluster"
	done
done
ok 'lazy refcounts' both_ways lazy_refcounts=on
ok 'preallocated' both_ways preallocation=metadata
ok 'zstd' both_ways compression_type=zstd
size=0
qemu-img create -q -f qcow2 x 0
ok 'no disk at all' xdisk io -f qcow2 -c length -c map x
ok 'the image is clean' clean x
finish
