#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every cluster size, refcount width and version that we create is an image to
# qemu-img like its own.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

# What qemu-img says of an image, but for what it takes on the host.
facts() { qemu-img info -f qcow2 --output=json "$1" | jq -S 'del(.["actual-size"], .children)'; }

matches()
{
	rm -f x.qcow2 want
	xdisk create -q -f qcow2 -o "$1" x.qcow2 33M || return
	facts x.qcow2 > got
	clean x.qcow2 || return
	qemu-io -f qcow2 -c 'write -P 7 1M 3M' x.qcow2 || return
	clean x.qcow2 || return
	xdisk io -f qcow2 -c 'read -P 7 1M 3M' -c 'write -P 8 2M 9M' x.qcow2 ||
		return
	clean x.qcow2 || return
	qemu-io -f qcow2 -c 'read -P 7 1M 1M' -c 'read -P 8 2M 9M' x.qcow2 ||
		return
	rm x.qcow2
	qemu-img create -q -f qcow2 -o "$1" x.qcow2 33M || return
	facts x.qcow2 > want
	diff want got
}

for bits in $(seq 9 21); do
	size=$((1 << bits))
	ok "cluster size $size, version 2" matches "cluster_size=$size,compat=v2"
	width=$((1 << (bits - 9) * 3 % 7))
	ok "cluster size $size, refcounts of $width bits" \
		matches "cluster_size=$size,refcount_bits=$width"
done
finish
