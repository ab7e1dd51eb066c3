#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random requests on images with dirty bitmaps: all that has changed is marked.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/model-lib.sh"
requires python3

covers()
{
	python3 "$srcdir/tests/functional/bitmaps.py" covers x "$1" before want
}

for options in cluster_size=512 cluster_size=64k cluster_size=2M \
	cluster_size=16k,extended_l2=on; do
	rm -f x want
	truncate -s 9M want
	qemu-img create -q -f qcow2 -o $options x 9M
	ok "$options: before there are bitmaps" run qcow2
	cp want before
	ok 'a fine one' xdisk bitmap -f qcow2 --add -g 512 x fine
	ok 'a coarse one' xdisk bitmap -f qcow2 --add -g 64k x coarse
	ok 'and one that stays clear' xdisk bitmap -f qcow2 --add --disable x off
	operations=40
	ok 'few requests' run qcow2
	ok 'the fine one covers them' covers fine
	ok 'the coarse one covers them' covers coarse
	operations=${MODEL_OPERATIONS:-400}
	ok 'many requests' run qcow2
	ok 'the fine one covers them' covers fine
	ok 'the coarse one covers them' covers coarse
	is 'nothing is in the other' "$(python3 \
		"$srcdir/tests/functional/bitmaps.py" dump x off)" ''
	ok 'qemu-img merges ours' qemu-img bitmap -f qcow2 --merge coarse x off
	ok 'it covers them' covers off
done
finish
