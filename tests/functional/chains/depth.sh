#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Backing chains of as many images as are allowed, of all formats that can have
# a backing image, each with a piece of every block: all is done with them that
# is done with two. One image more is refused.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

most=256
size=1M

# A piece of its own of layer N, in the image and in `want`. A chain's pieces fall
# side by side, so that no block is one layer's.
mark()
{
	local image=$1 format=$2 n=$3 at=$(($3 % 2048 * 512))

	xdisk io -f "$format" -c "write -q -P $((n % 255 + 1)) $at 512" \
		"$image" &&
	head -c 512 /dev/zero | tr '\0' "\\$(printf %o $((n % 255 + 1)))" |
		dd of=want bs=512 seek=$((n % 2048)) conv=notrunc status=none
}

# qcow2 images on `below`, up to the number $1; odd ones have clusters of 512
# bytes, others of 4096.
pile()
{
	while [ "$layers" -lt "$1" ]; do
		layers=$((layers + 1))
		xdisk create -q -u -f qcow2 -b "$below" -F "$format" -o \
			cluster_size=$((layers % 2 ? 512 : 4096)) \
			"$layers.qcow2" $size &&
		mark "$layers.qcow2" qcow2 "$layers" || return
		below=$layers.qcow2 format=qcow2
	done
}

begin()
{
	rm -rf ./*
	head -c $((1024 * 1024)) /dev/urandom > want
	layers=1
}

# All of it, through the whole of the chain.
judge()
{
	local top=$1

	ok "$2: all is there" holds "$top" qcow2 want
	ok "$2: the map" xdisk map -f qcow2 "$top"
	ok "$2: written to at random" model -s 1 -n 300 "$top" qcow2 want
	ok "$2: all is there, and what was written" holds "$top" qcow2 want
	ok "$2: written, copied on write, flushed" xdisk io -f qcow2 \
		-c 'write -P 9 1000 3000' -c flush -c 'write -z 9000 70000' \
		-c 'discard 200k 100k' -c flush -c 'read -P 9 1000 3000' \
		-c 'read -P 0 9000 70000' "$top"
	ok "$2: converted" xdisk convert -f qcow2 -O raw "$top" out
	ok "$2: compared" xdisk compare -f qcow2 -F raw "$top" out
}

begin
cp want bottom
below=bottom format=raw
ok "qcow2: $most images" pile $most
judge "$below" qcow2
ok 'qcow2: nothing is wrong in the topmost' clean "$below"
ok 'qcow2: the chain is listed' xdisk info -f qcow2 --backing-chain "$below"
ok 'qcow2: all images are verified' xdisk verify -f qcow2 "$below"
ok 'qcow2: rebased onto the last but two' \
	xdisk rebase -q -f qcow2 -b 253.qcow2 -F qcow2 "$below"
ok 'qcow2: as before' xdisk compare -f qcow2 -F raw "$below" out
ok 'qcow2: rebased back' \
	xdisk rebase -q -f qcow2 -b 255.qcow2 -F qcow2 "$below"
ok 'qcow2: as before' xdisk compare -f qcow2 -F raw "$below" out
ok 'qcow2: into the bottom' xdisk commit -q -d -f qcow2 -b bottom "$below"
truncate -s $size bottom out
ok 'qcow2: the bottom has it all' cmp bottom out

begin
cp want bottom
below=bottom format=raw
pile $most
xdisk create -q -u -f qcow2 -b "$below" -F qcow2 one-more $size
rc 1 'one image more is refused' xdisk io -f qcow2 -c 'read 0 512' one-more
said 'which says so' \
	"backing file '2.qcow2': more than 256 images in the backing chain"
rc 1 'by all verbs' xdisk convert -f qcow2 -O raw one-more out
said 'in the same words' 'more than 256 images in the backing chain'
ok 'its header can be looked at' xdisk info -f qcow2 one-more
ok 'what it stands on is opened' xdisk io -r -f qcow2 -c 'read 0 1M' "$below"

# vmdk images that are each other's parents, as all of a chain are vmdk
vmdk()
{
	qemu-img convert -f raw -O vmdk want 1.vmdk || return
	while [ "$layers" -lt "$1" ]; do
		layers=$((layers + 1))
		qemu-img create -q -f vmdk -b $((layers - 1)).vmdk -F vmdk \
			"$layers.vmdk" && mark "$layers.vmdk" vmdk "$layers" ||
			return
	done
	below=$layers.vmdk format=vmdk
}

begin
ok 'vmdk: half of the images' vmdk $((most / 2))
ok 'vmdk: the rest is qcow2' pile $most
judge "$below" vmdk

# differencing VHD images; they differ by what `mark` would write
vhd()
{
	qemu-img convert -f raw -O vpc -o force_size=on want 1.vhd || return
	while [ "$layers" -lt "$1" ]; do
		cp want before
		layers=$((layers + 1))
		head -c 512 /dev/urandom |
			dd of=want bs=512 seek="$layers" conv=notrunc \
				status=none
		python3 "$srcdir/tests/functional/mkvhdchild.py" \
			$((layers - 1)).vhd before want "$layers.vhd" \
			block=65536 > held || return
	done
	below=$layers.vhd format=vpc
}

begin
ok 'vpc: half of the images' vhd $((most / 2))
ok 'vpc: the rest is qcow2' pile $most
# qemu-img knows no such VHD images.
ok 'vpc: all is there' model -n 0 "$below" qcow2 want
ok 'vpc: written to at random' model -s 2 -n 300 "$below" qcow2 want
ok 'vpc: all is there, and what was written' model -n 0 "$below" qcow2 want

group 'these name no format of what they stand on: it is raw'
for kind in qed qcow; do
	begin
	cp want bottom
	qemu-img create -q -f $kind -b bottom -F raw 1.$kind
	qemu-io -f $kind -c 'write -P 77 300k 100k' 1.$kind > io.log
	layers=2 below=1.$kind format=$kind
	xdisk io -f raw -c 'write -q -P 77 300k 100k' want
	ok "$kind on raw: the rest is qcow2" pile $most
	judge "$below" $kind
done
finish
