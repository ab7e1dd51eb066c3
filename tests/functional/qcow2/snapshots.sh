#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Internal snapshots made by qemu-img stay what they were while we write.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img

snapshot_holds()
{
	rm -f got
	qemu-img convert -f qcow2 -l "$2" -O raw "$1" got && cmp got "$3"
}

# shows IMAGE SNAPSHOT RAW: opened as a source it has that content
shows()
{
	model -l "$2" -n 0 "$1" qcow2 "$3"
}

for options in cluster_size=64k cluster_size=512,refcount_bits=8 \
	cluster_size=4k,compat=v2 cluster_size=2M,refcount_bits=64; do
	rm -f x want*
	truncate -s 6M want
	qemu-img create -q -f qcow2 -o $options x 6M
	group "$options"
	ok 'random requests hold before any snapshot' model -s 1 -n 500 x qcow2 want
	for i in 1 2 3; do
		cp want want$i
		ok "snapshot $i is made" qemu-img snapshot -c s$i x
		ok 'the image is clean' clean x
		ok 'random requests on it hold' model -s 1$i -n 400 x qcow2 want
		ok 'the image is clean still' clean x
	done
	for i in 1 2 3; do
		ok "snapshot $i is as it was" snapshot_holds x s$i want$i
		ok "snapshot $i is as it was for us" shows x $i want$i
		ok "snapshot $i is as it was by its name" shows x snapshot.name=s$i want$i
	done
	ok 'the disk is as it should be' holds x qcow2 want
	qemu-img snapshot -d s2 x
	ok 'random requests hold after one is deleted' model -s 20 -n 400 x qcow2 want
	ok 'the image is clean' clean x
	ok 'the last is as it was' snapshot_holds x s3 want3
	qemu-img snapshot -a s1 x
	ok 'the first is gone back to' holds x qcow2 want1
	ok 'random requests hold on that' model -s 21 -n 400 x qcow2 want1
	ok 'the image is clean' clean x
done
group
rc 1 'a snapshot that is not there' xdisk io -r -f qcow2 --snapshot s9 -c length x
says "there is no snapshot 's9'"
rc 1 'an id that is not there' xdisk map -f qcow2 --snapshot snapshot.id=s1 x
rc 1 'an id and a name of two snapshots' xdisk map -f qcow2 --snapshot snapshot.id=1,snapshot.name=s3 x
ok 'an id and its name' xdisk map -f qcow2 --snapshot snapshot.id=1,snapshot.name=s1 x
rc 1 'a raw image has no snapshots' xdisk map -f raw --snapshot s1 want1
rc 1 'a snapshot cannot be written to' xdisk io -f qcow2 --snapshot s1 -c length x
finish
