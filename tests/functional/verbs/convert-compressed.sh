#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# convert -c: what comes out is no larger than what qemu-img makes.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img

{ seq 1 100000; head -c 700000 /dev/urandom; seq 5 2 99999; } > raw
truncate -s 5M raw
{ seq 7 7 200000; cat /bin/sh /usr/bin/env; } >> raw
truncate -s $(($(stat -c %s raw) / 512 * 512)) raw

bytes() { du -B 1 "$1" | cut -f 1; }

packed()
{
	local options=$1

	shift
	rm -f ours theirs
	xdisk convert -c -f raw -O qcow2 -o "$options" "$@" raw ours &&
		qemu-img convert -c -f raw -O qcow2 -o "$options" raw theirs ||
		return
	clean ours && holds ours qcow2 raw || return
	echo "$(bytes ours) bytes, qemu-img makes $(bytes theirs)"
	[ "$(bytes ours)" -le $(($(bytes theirs) * 1005 / 1000 + 8192)) ]
}

for type in zlib zstd; do
	for size in 512 4k 64k 1M 2M; do
		ok "$type, cluster_size=$size" \
			packed compression_type=$type,cluster_size=$size
	done
	ok "$type, best" packed compression_type=$type --compression-level 9
	ok "$type, one at a time" packed compression_type=$type -m 1
done
ok 'version 2' packed compat=v2
ok 'refcount_bits=1' packed refcount_bits=1
ok 'refcount_bits=2, many to a cluster' packed refcount_bits=2
ok 'with the zeroes' packed cluster_size=64k -S 0
rc 1 'level 0' xdisk convert -c --compression-level 0 -f raw -O qcow2 raw x
rc 1 'level 10 of zlib' \
	xdisk convert -c --compression-level 10 -f raw -O qcow2 raw x
said 'is too much' '1 to 9'
ok 'level 19 of zstd' packed compression_type=zstd --compression-level 19

# and back again
xdisk convert -c -f raw -O qcow2 raw ours
xdisk convert -f qcow2 -O raw ours back
ok 'to raw' cmp raw back
ok 'to a stream' bash -c \
	"$builddir/tool/xdisk convert -f qcow2 -O raw ours - | cmp - raw"
ok 'compressed to compressed' xdisk convert -c -f qcow2 -O qcow2 \
	-o compression_type=zstd,cluster_size=8k ours again
ok 'is the same' holds again qcow2 raw
finish
