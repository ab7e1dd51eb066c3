#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Compressed clusters, made by qemu-img convert -c, are read, written over and
# given back.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img

{ seq 1 200000; head -c 500000 /dev/urandom; seq 5 99999; } > raw
truncate -s $((($(stat -c %s raw) + 511) / 512 * 512)) raw

compressed()
{
	rm -f x
	qemu-img convert -c -f raw -O qcow2 -o "$1" raw x || return
	cp raw want
	clean x || return
	holds x qcow2 want || return
	model -s 5 -n 1500 x qcow2 want || return
	clean x && holds x qcow2 want
}

for cluster in 512 4k 64k 2M; do
	ok "zlib, cluster size $cluster" compressed cluster_size=$cluster
	ok "zstd, cluster size $cluster" \
		compressed compression_type=zstd,cluster_size=$cluster
done
ok 'version 2' compressed compat=v2
qemu-img convert -c -f raw -O qcow2 raw below
xdisk create -q -f qcow2 -b below -F qcow2 over
ok 'below an overlay' holds over qcow2 raw
cp raw want
ok 'that is written to' model -s 6 -n 1500 over qcow2 want
ok 'and holds what it should' holds over qcow2 want
ok 'the compressed one is as it was' holds below qcow2 raw
finish
