#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# convert and compare, from and to formats other than qcow2.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

noise r.raw 9440768 1

to()
{
	local format=$1 options=$2

	shift 2
	rm -f x.img
	xdisk convert "$@" -f raw -O "$format" ${options:+-o "$options"} r.raw \
		x.img && qemu-img compare -f raw -F "$format" r.raw x.img &&
		xdisk compare -f raw -F "$format" r.raw x.img || return
	qemu-img check -f "$format" x.img
	[ $? = 0 ] || [ "$format" = vpc ]
}

while read -r format options; do
	ok "to $format $options" to "$format" "$options"
	ok 'and in any order' to "$format" "$options" -W -m 16
	ok 'and without looking for zeroes' to "$format" "$options" -S 0
done << 'END'
vdi
vdi static=on
vmdk
vmdk subformat=streamOptimized
vpc force_size=on
vpc subformat=fixed,force_size=on
END

for format in vdi vmdk vpc; do
	xdisk create -q -f $format x.img 9469952
	ok "into a $format image that is there" \
		xdisk convert -n -f raw -O $format r.raw x.img
	ok 'twice' xdisk convert -n -f raw -O $format r.raw x.img
	ok 'is the same' qemu-img compare -f raw -F $format r.raw x.img
done

for format in parallels qcow qed vdi vhdx vmdk; do
	qemu-img convert -f raw -O $format r.raw x.img
	ok "from $format" xdisk convert -f $format -O qcow2 x.img x.qcow2
	ok 'is the same' qemu-img compare -f raw -F qcow2 r.raw x.qcow2
done

group 'an overlay over such an image, which is read only'
qemu-img convert -f raw -O vhdx r.raw base.vhdx
ok 'qcow2 over vhdx' xdisk create -q -f qcow2 -b base.vhdx -F vhdx o.qcow2
ok 'is the same' xdisk compare -f raw -F qcow2 r.raw o.qcow2
ok 'is written to' xdisk io -f qcow2 -c 'write -P 9 0 100k' o.qcow2
ok 'and read' xdisk io -r -f qcow2 -c 'read -P 9 0 100k' o.qcow2
ok 'the base is as it was' qemu-img compare -f raw -F vhdx r.raw base.vhdx
finish
