#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Overlays: on shorter and longer images, raw and qcow2, five deep; what is
# below is never written to.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

head -c 3000320 /dev/urandom > noise
truncate -s 3000320 noise

# A base of that format with noise in it.
base()
{
	if [ "$1" = raw ]; then
		cp noise base
	else
		qemu-img convert -f raw -O "$1" noise base
	fi
	sha256sum base > base.sum
}

# What the overlay has to hold: noise cut or filled up to its size.
wanted()
{
	cp noise want
	truncate -s "$(numfmt --from=iec "$1")" want
}

overlay()
{
	local format=$1 size=$2 options=$3

	base "$format" || return
	rm -f over
	xdisk create -q -f qcow2 -b base -F "$format" -o "$options" over \
		"$size" || return
	wanted "$size"
	holds over qcow2 want || return
	model -s 3 -n 1500 over qcow2 want || return
	clean over || return
	holds over qcow2 want || return
	sha256sum -c base.sum
}

for format in raw qcow2; do
	for size in 1M 3000320 8M; do
		for cluster in 512 64k 2M; do
			ok "$size on $format, cluster size $cluster" overlay \
				$format $size cluster_size=$cluster
		done
	done
	ok "version 2 on $format" overlay $format 5M compat=v2
done

# five deep: each layer writes a stripe of its own, sizes differ
base raw
wanted 4M
below=base below_format=raw
for layer in 1 2 3 4 5; do
	name=layer$layer
	size=$((4 + layer % 3))M
	xdisk create -q -f qcow2 -b $below -F $below_format \
		-o cluster_size=$((512 << layer)) $name $size
	truncate -s $(((4 + layer % 3) << 20)) want
	ok "layer $layer" model -s $layer -n 300 $name qcow2 want
	ok 'holds what it should' holds $name qcow2 want
	cp want want$layer
	below=$name below_format=qcow2
done
for layer in 1 2 3 4 5; do
	ok "layer $layer is clean" clean layer$layer
	ok 'and was not written to' holds layer$layer qcow2 want$layer
done

qemu-img create -q -f qcow2 -b layer5 -F qcow2 -u circle 1M
qemu-img rebase -q -u -b circle -F qcow2 layer1
rc 1 'a circle is refused' xdisk io -f qcow2 -c 'read 0 1' circle
says 'circle'
xdisk create -q -u -f qcow2 -b json:{} -F raw evil 1M
rc 1 'a backing image is a plain path' xdisk io -f qcow2 -c 'read 0 1' evil
xdisk create -q -u -f qcow2 -b gone -F raw orphan 1M
rc 1 'a missing one is an error' xdisk io -f qcow2 -c 'read 0 1' orphan
said 'that names it' gone
finish
