#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images of other formats as qemu-img makes them: we read the same bytes out of
# them, and say the same about them.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

try()
{
	local format=$1 options=$2 raw=$3

	rm -f x*
	qemu-img convert -f raw -O "$format" ${options:+-o "$options"} \
		"$raw" x.img || return
	same_info x.img "$format" && same_map x.img "$format" &&
		same_check x.img "$format" || return
	# vpc rounds a disk up to whole cylinders
	truncate -s "$(xdisk info -f "$format" --output=json x.img |
		jq '."virtual-size"')" "$raw"
	holds x.img "$format" "$raw" || return
	rc=0
	xdisk io -f "$format" -c 'write 0 512' x.img > written 2>&1 || rc=$?
	[ "$rc" = 0 ] || grep -q 'can only be read' written
}

while read -r format options; do
	noise odd.raw 9440768 1
	noise small.raw 512 2
	: > none.raw
	for raw in odd small; do
		ok "$format $options, $raw" try "$format" "$options" $raw.raw
	done
done << 'END'
parallels
parallels cluster_size=64k
qcow
qed
qed cluster_size=4k,table_size=2
qed cluster_size=1M,table_size=2
vdi
vdi static=on
vhdx
vhdx block_size=1M
vhdx subformat=fixed,block_size=1M
vhdx block_state_zero=off,block_size=2M
vmdk
vmdk zeroed_grain=on
vmdk subformat=streamOptimized
vmdk subformat=monolithicFlat
vmdk subformat=twoGbMaxExtentSparse
vmdk subformat=twoGbMaxExtentFlat
vpc
vpc force_size=on
vpc subformat=fixed
vpc subformat=fixed,force_size=on
END
finish
