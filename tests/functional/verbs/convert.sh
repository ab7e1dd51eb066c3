#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# convert against qemu-img convert: the same contents, clean, no larger.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# All there is: text, noise, holes of all sizes, zeroes that are written.
{
	seq 1 200000
	head -c 300000 /dev/zero
	head -c 700001 /dev/urandom
	for i in 1 2 3 4 5 6 7 8 9; do
		head -c $((i * 3333)) /dev/urandom
		head -c $((i * 1000)) /dev/zero
	done
} > raw
truncate -s 20M raw
seq 5 99999 >> raw
truncate -s $((22 * 1048576 + 1536)) raw

kib() { du -k "$1" | cut -f 1; }

# like NAME OPTIONS SOURCES...: what we make is what qemu-img makes.
like()
{
	local options=$1 format=raw o

	shift
	rm -f ours theirs
	for o in $options; do
		case $o in raw | qcow2) format=$o ;; esac
	done
	xdisk convert $options "$@" ours || return
	qemu-img convert $options "$@" theirs || return
	qemu-img compare -f $format -F $format theirs ours || return
	[ $format = raw ] || clean ours || return
	echo "$(kib ours) KiB, qemu-img makes $(kib theirs)"
	[ "$(kib ours)" -le $(($(kib theirs) * 101 / 100 + 16)) ]
}

for options in '' '-S 0' '-S 512' '-S 64k' '-S 1536' '-m 1' '-m 16 -W' '-C' \
	'-t none' '-t writethrough' '-T none' '-o preallocation=falloc' \
	'-r 200M'; do
	ok "raw to raw $options" like "-f raw -O raw $options" raw
done
for options in '' '-S 0' '-S 512' '-S 128k' '-m 1' '-W -m 16' '-C' '-t none' \
	'-t writeback' '-t directsync' '-o compat=v2' '-o cluster_size=512' \
	'-o cluster_size=4k' '-o cluster_size=2M' '-o refcount_bits=1' \
	'-o preallocation=metadata' '-o preallocation=full' \
	'-o lazy_refcounts=on'; do
	ok "raw to qcow2 $options" like "-f raw -O qcow2 $options" raw
done

# a chain, with a larger overlay and clusters of all kinds
qemu-img convert -f raw -O qcow2 raw low
qemu-img create -q -f qcow2 -b low -F qcow2 -o cluster_size=4k mid 30M
qemu-io -f qcow2 -c 'write -P 1 1M 300k' -c 'write -z 2M 1M' \
	-c 'discard 4M 64k' -c 'write -P 2 29M 1M' mid > /dev/null
qemu-img create -q -f qcow2 -b mid -F qcow2 top 29M
qemu-io -f qcow2 -c 'write -P 3 1100k 3k' -c 'write -z 21M 512' \
	-c 'write -P 4 26M 70k' top > /dev/null
for format in raw qcow2; do
	ok "a chain to $format" like "-f qcow2 -O $format" top
	ok "a chain to $format -S 0" like "-f qcow2 -O $format -S 0" top
done
ok 'several to one' like '-f qcow2 -O qcow2' top low mid
ok 'several raw ones' like '-f raw -O raw' raw raw
head -c 1000 raw > odd
ok 'not a whole sector' like '-f raw -O raw' odd
ok 'and more behind it' like '-f raw -O qcow2' odd raw odd
: > empty
ok 'nothing at all' like '-f raw -O raw' empty
ok 'a qcow2 image of nothing' like '-f raw -O qcow2' empty

# internal snapshots
cp low snaps
qemu-img snapshot -c one snaps
qemu-io -f qcow2 -c 'write -P 8 0 5M' snaps > /dev/null
qemu-img snapshot -c 1 snaps
qemu-img resize -q -f qcow2 snaps 40M
qemu-io -f qcow2 -c 'write -P 9 1M 38M' snaps > /dev/null
for l in 1 2 one snapshot.name=one snapshot.id=2 \
	snapshot.id=1,snapshot.name=one; do
	ok "snapshot $l" like "-f qcow2 -O raw -l $l" snaps
done

# overlays: only what is above the backing image is copied
overlay()
{
	rm -f ours theirs
	xdisk convert -f qcow2 -O qcow2 "$@" ours &&
		qemu-img convert -f qcow2 -O qcow2 "$@" theirs &&
		qemu-img compare -f qcow2 -F qcow2 top ours && clean ours &&
		[ "$(kib ours)" -le $(($(kib theirs) + 16)) ]
}
ok 'an overlay of the same image' overlay -B mid -F qcow2 top
ok 'as options' overlay -o backing_file=mid,backing_fmt=qcow2 top
ok 'with other clusters' \
	overlay -B mid -F qcow2 -o cluster_size=512 top
ok 'compressed' overlay -c -B mid -F qcow2 top
xdisk convert -f qcow2 -O qcow2 -B mid -F qcow2 top ours
ok 'is an overlay' xdisk info -f qcow2 ours
said 'with a name and a format' 'backing file format: qcow2'

# -n: into what is there
into()
{
	local format=$1

	shift
	xdisk convert -n -f raw -O "$format" "$@" raw there &&
		qemu-img compare -f raw -F "$format" raw there
}
qemu-img create -q -f qcow2 there 23M
qemu-io -f qcow2 -c 'write -P 7 0 23M' there > /dev/null
ok 'into a qcow2 image' into qcow2
ok 'that is clean' clean there
ok 'compressed, over it' into qcow2 -c
ok 'that is clean still' clean there
qemu-img create -q -f qcow2 -b top -F qcow2 there
ok 'into an overlay' into qcow2
ok 'over an overlay, with -S 0' into qcow2 -S 0
qemu-img create -q -f qcow2 -o compat=v2 -b top -F qcow2 there \
	"$(stat -c %s raw)"
ok 'into a version 2 overlay' into qcow2
truncate -s 23M there
qemu-io -f raw -c 'write -P 7 0 23M' there > /dev/null
ok 'into a raw image' into raw
rm there
truncate -s 23M there
ok 'into one known to be zero' into raw --target-is-zero
finish
