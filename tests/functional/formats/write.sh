#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images of other formats that we make and write to, at random and in order:
# qemu-img reads the same out of them and finds them consistent.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

consistent()
{
	local status

	for tool in qemu-img xdisk; do
		$tool check -f "$2" "$1"
		status=$?
		[ $status = 0 ] || [ $status = 63 ] || return
	done
}

fill()
{
	local format=$1 options=$2 size=$3 real

	rm -f x* model.raw
	xdisk create -f "$format" ${options:+-o "$options"} x.img "$size" ||
		return
	consistent x.img "$format" && same_info x.img "$format" || return
	real=$(qemu-img info -f "$format" --output=json x.img |
		jq '."virtual-size"')
	truncate -s "$real" model.raw
	holds x.img "$format" model.raw || return
	for seed in 1 2; do
		model -n 600 -s $seed x.img "$format" model.raw &&
			holds x.img "$format" model.raw &&
			consistent x.img "$format" || return
	done
	[[ $options != *stream* ]] || return 0	# they write grains once
	qemu-io -f "$format" -c 'write -P 7 0 512' -c 'write -P 8 1M 1M' x.img &&
		xdisk io -r -f "$format" -c 'read -P 7 0 512' \
			-c 'read -P 8 1M 1M' x.img
}

same_size()
{
	xdisk create -f "$1" ${2:+-o "$2"} ours.img "$3" > ours || return
	qemu-img create -f "$1" ${2:+-o "$2"} theirs.img "$3" > theirs || return
	diff <(sed s/theirs/ours/ theirs) ours &&
		diff <(xdisk info -f "$1" ours.img | grep virtual) \
			<(xdisk info -f "$1" theirs.img | grep virtual)
}

while read -r format options; do
	ok "$format $options" fill "$format" "$options" 9440768
	for size in 512 1000 1M 10000001 3G; do
		ok "$format $options of $size is as large as theirs" \
			same_size "$format" "$options" $size
	done
	rm -f ours.img theirs.img
done << 'END'
vdi
vdi static=on
vmdk
vmdk adapter_type=lsilogic,hwversion=6
vmdk subformat=streamOptimized
vpc
vpc force_size=on
vpc subformat=fixed
vpc subformat=fixed,force_size=on
END
rc 1 'vdi has no such option' xdisk create -f vdi -o cluster_size=1M x 1M
said 'the known ones are told' 'known: size, static'
rc 1 'nor such a value' xdisk create -f vdi -o static=maybe x 1M
said 'the known ones are told' 'known: off, on'
rc 1 'too large a vmdk' xdisk create -f vmdk x 3T
says 'at most'
rc 1 'too large a vpc' xdisk create -f vpc x 3T
says 'at most'
rc 1 'too large a vdi' xdisk create -f vdi x 2P
says 'at most'
finish
