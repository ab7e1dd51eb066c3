#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Compressed writes: over every kind of cluster, in all geometries, read by
# both, packed as tightly as qemu-img packs them.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# over OPTIONS: a cluster of each kind becomes compressed, and back.
over()
{
	local c=65536

	rm -f x low
	case $1 in *cluster_size=*) c=${1##*cluster_size=}; c=${c%%,*} ;; esac
	qemu-img create -q -f raw low $((c * 12)) || return
	xdisk io -q -f raw -c "write -P 9 0 $((c * 12))" low || return
	qemu-img create -q -f qcow2 -o "$1" -b low -F raw x || return
	xdisk io -q -f qcow2 -c "write -P 1 $c $c" \
		-c "write -c -P 2 $((c * 2)) $c" \
		-c "write -P 3 $((c * 3)) $c" -c "write -z $((c * 3)) $c" \
		-c "write -zu $((c * 4)) $c" x || return
	xdisk io -q -f qcow2 -c "write -c -P 5 0 $((c * 6))" \
		-c "read -P 5 0 $((c * 6))" -c flush \
		-c "read -P 9 $((c * 6)) $((c * 6))" x || return
	clean x || return
	qemu-io -f qcow2 -c "read -P 5 0 $((c * 6))" \
		-c "read -P 9 $((c * 6)) $((c * 6))" x > out || return
	! grep -q failed out || return
	xdisk io -q -f qcow2 -c "write -P 6 0 $c" -c "write -z $c $c" \
		-c "discard $((c * 2)) $c" -c "write -P 7 $((c * 3 + 1)) 3" \
		-c flush -c "write -c -P 8 0 $((c * 3))" \
		-c "read -P 8 0 $((c * 3))" -c "read -P 5 $((c * 3)) 1" \
		-c "read -P 7 $((c * 3 + 1)) 3" x || return
	clean x
}

for options in cluster_size=512 cluster_size=4096 cluster_size=65536 \
	cluster_size=2097152 compression_type=zstd \
	compression_type=zstd,cluster_size=4096 refcount_bits=1 \
	refcount_bits=2 refcount_bits=64,cluster_size=1024; do
	ok "over all kinds: $options" over $options
done
qemu-img create -q -f qcow2 -o compat=v2 x 1M
ok 'version 2' xdisk io -q -f qcow2 -c 'write -c -P 1 0 1M' -c reopen \
	-c 'write -P 2 64k 64k' -c 'write -c -P 3 128k 64k' \
	-c 'read -P 1 0 64k' -c 'read -P 2 64k 64k' -c 'read -P 3 128k 64k' x
ok 'the image is clean' clean x

# the last cluster ends with the disk
qemu-img create -q -f qcow2 x 100k
ok 'the end of the disk' xdisk io -q -f qcow2 -c 'write -c -P 4 64k 36k' \
	-c reopen -c 'read -P 4 64k 36k' -c 'read -P 0 0 64k' x
ok 'is clean, too' clean x
ok 'and qemu reads it' bash -c \
	"qemu-io -f qcow2 -c 'read -P 4 64k 36k' x | grep -qv failed"
rc 1 'not a whole cluster' xdisk io -f qcow2 -c 'write -c 0 4k' x
says 'Invalid argument'
rc 1 'not at a cluster' xdisk io -f qcow2 -c 'write -c 4k 64k' x
truncate -s 1M raw
rc 1 'raw images have no compression' xdisk io -f raw -c 'write -c 0 64k' raw
said 'is said, too' 'not supported'

# a snapshot keeps what is written over
qemu-img create -q -f qcow2 x 8M
xdisk io -q -f qcow2 -c 'write -c -P 1 0 8M' x
qemu-img snapshot -c one x
ok 'over the clusters of a snapshot' xdisk io -q -f qcow2 \
	-c 'write -c -P 2 1M 4M' -c 'read -P 1 0 1M' -c 'read -P 2 1M 4M' x
ok 'all counts are right' clean x
qemu-img snapshot -a one x
ok 'the snapshot is as it was' xdisk io -q -f qcow2 -c 'read -P 1 0 8M' x
qemu-img snapshot -d one x
ok 'nothing is lost with it' clean x

# what is written again and again takes the space of what it replaces
qemu-img create -q -f qcow2 x 4M
for i in 1 2 3 4 5 6 7 8; do
	xdisk io -q -f qcow2 -c "write -c -P $i 0 4M" -c flush \
		-c "write -c -P 2$i 0 4M" -c flush -c "read -P 2$i 0 4M" x ||
		echo failed
done > out
is 'again and again' "$(cat out)" ''
ok 'does not grow' test "$(stat -c %s x)" -lt 1000000
ok 'and stays clean' clean x

# incompressible clusters are stored as they are
head -c 2M /dev/urandom > random
qemu-img create -q -f qcow2 x 2M
xdisk io -q -f qcow2 -c 'write -c -s random 0 2M' x
ok 'random bytes' holds x qcow2 random
is 'are not compressed' \
	"$(qemu-img check --output=json x | grep -c compressed-clusters)" 0
finish
