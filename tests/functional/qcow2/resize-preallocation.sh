#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Preallocation of what is added to an image that does not end with a cluster:
# none of it may need more space when it is written, the rest of the cluster at
# the old end least of all.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# Has all of x from START on a place in the image's or its data file?
placed() # START [ARGUMENTS of map]
{
	qemu-img map --output=json "${@:2}" | python3 -c '
import json, sys
start = int(sys.argv[1])
for e in json.load(sys.stdin):
    if e["start"] + e["length"] > start and (e["depth"] or "offset" not in e):
        sys.exit("no place at %d" % max(e["start"], start))' "$1"
}

# Writing to x makes FILE no longer, nor does FILE take more of its file system,
# unless MODE left that open.
takes_nothing() # MODE FILE START LEN ARGUMENTS of qemu-io
{
	local space end

	space=$(stat -c %b "$2")
	end=$(stat -c %s "$2")
	qemu-io "${@:5}" -c "write -P 9 $3 $4" || return 1
	[ "$1" = metadata ] || [ "$(stat -c %b "$2")" = "$space" ] || return 1
	[ "$(stat -c %s "$2")" -le "$end" ]
}

size() { stat -c %s want; }

# grows TEXT MODE BY [FILE]: x becomes larger by that, holds what it did and then
# zeroes, and has space for what is written over these
grows()
{
	local old end

	old=$(size)
	truncate -s "+$3" want
	group "$2, $1: +$3"
	ok 'it grows' xdisk resize -q -f qcow2 --preallocation=$2 x "+$3"
	end=$(size)
	ok 'all has a place' placed "$old" -f qcow2 x
	ok 'the disk holds what was written' holds x qcow2 want
	ok 'written to, it takes no more space' takes_nothing $2 "${4:-x}" \
		"$old" $((end - old)) -f qcow2 x
	qemu-io -f raw -c "write -P 9 $old $((end - old))" want > /dev/null
	ok 'the disk holds what was written then' holds x qcow2 want
	ok 'the image is clean' clean x
}

fresh() # SIZE ARGUMENTS...
{
	rm -f x x.data want; truncate -s "$1" want
	qemu-img create -q -f qcow2 "${@:2}" x "$1"
}

for mode in metadata falloc full; do
	for options in cluster_size=64k cluster_size=4k \
		extended_l2=on cluster_size=64k,compat=v2; do
		fresh 2048512 -o $options
		grows "empty, $options" $mode 512
		grows "empty, $options" $mode 16K
		grows "again, $options" $mode 3M
		fresh 2048512 -o $options
		model -s 1 -n 100 x qcow2 want
		grows "with data, $options" $mode 16K
		xdisk resize -q -f qcow2 --shrink x 1000448
		truncate -s 1000448 want
		grows "smaller before, $options" $mode 5K
		grows "and once more, $options" $mode 1M
		[ "$options" = "${options%v2}" ] || continue
		qemu-img snapshot -c s x
		cp want want.s
		grows "a snapshot has the end, $options" $mode 1K
		ok 'the snapshot is what it was' model -l s -n 0 x qcow2 want.s
	done
	truncate -s 2048512 raw
	model -s 2 -n 200 raw raw want
	for options in cluster_size=64k extended_l2=on; do
		fresh 2048512 -o $options -b raw -F raw
		cp raw want
		grows "a backing image has the end, $options" $mode 9K
		rm x
		xdisk convert -f raw -O qcow2 -c -o cluster_size=64k raw x
		cp raw want
		grows 'compressed' $mode 9K
		fresh 2048512 -o $options,data_file=x.data
		grows "data file, $options" $mode 16K x.data
		grows "data file, $options" $mode 1M x.data
	done
	fresh 2048512 -o data_file=x.data,data_file_raw=on
	grows 'raw data file' $mode 16K x.data
	rm x
	group "$mode, created"
	ok 'it is made' xdisk create -q -f qcow2 -o preallocation=$mode x \
		2048512
	ok 'all has a place' placed 0 -f qcow2 x
	ok 'all has space' takes_nothing $mode x 2031616 16896 -f qcow2 x
	rm x
	group "$mode, converted"
	ok 'it is made' xdisk convert -f raw -O qcow2 \
		-o preallocation=$mode raw x
	ok 'all has a place' placed 0 -f qcow2 x
	ok 'all has space' takes_nothing $mode x 2031616 16896 -f qcow2 x
done

# Zero clusters with a place, and the rest of the old one.
group 'encrypted'
secret='--object secret,id=s,data=key'
opts='driver=qcow2,file.filename=x,encrypt.key-secret=s'
for mode in metadata falloc full; do
	xdisk create -q -f qcow2 $secret -o \
		encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 \
		x 1000448
	ok "$mode, encrypted" xdisk resize -q $secret --image-opts \
		--preallocation=$mode "$opts" +16K
	ok 'zeroes' qemu-io $secret --image-opts -c 'read -P 0 0 1016832' "$opts"
	said 'all of them' 'read 1016832/1016832'
	ok 'space' takes_nothing $mode x 1000448 16K $secret --image-opts "$opts"
done

# They end where they end: their file system's block there has space, too.
group 'raw files'
for mode in falloc full; do
	for start in 1000 4608 1000448; do
		rm -f r; truncate -s $start r
		ok "raw, $mode, from $start" xdisk resize -q -f raw \
			--preallocation=$mode r 2048512
		ok 'has space' takes_nothing $mode r $((start + 511 & ~511)) \
			64K -f raw r
	done
done
finish
