#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A name in an image may lead to a FIFO or a character device. Opening one has
# effects (a watchdog starts, a program goes on): it is refused unopened.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img python3

# never_opens NAME WHAT ARGUMENTS...: xdisk with these, whose image names NAME;
# $reason: a regular expression, if not which kind of file it is
never_opens()
{
	local name=$1 what=$2 kind

	shift 2
	for kind in FIFO 'character device'; do
		ok "$what is a $kind: refused, and not opened" python3 \
			"$srcdir/tests/functional/protocols/special.py" \
			"$kind" "$name" "${reason:-is a $kind}" \
			"$builddir/tool/xdisk" "$@"
	done
}

reading() { never_opens "$1" "$2" io -r -f "$3" -c 'read 0 512' "$4"; }

writing() { never_opens "$1" "$2" io -f "$3" -c 'write 0 512' "$4"; }

for format in qcow2 qed qcow; do
	truncate -s 1M base
	qemu-img create -q -f $format -b base -F raw over.$format
	reading base "the base of a $format image" $format over.$format
done
writing base 'the base of a qcow2 image, while one writes' qcow2 over.qcow2

truncate -s 1M base
qemu-img create -q -f qcow2 -b base -F raw under
qemu-img create -q -f qcow2 -b under -F qcow2 deep
reading base 'the base of a base' qcow2 deep

qemu-img create -q -f vmdk base.vmdk 1M
qemu-img create -q -f vmdk -b base.vmdk -F vmdk over.vmdk
reading base.vmdk 'the parent of a vmdk image' vmdk over.vmdk
qemu-img create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 1M
reason='not a regular file|in another folder' \
	reading flat-flat.vmdk 'the extent of a vmdk image' vmdk flat.vmdk

truncate -s 1M base.raw
cp base.raw one.raw
qemu-img convert -f raw -O vpc -o force_size=on base.raw base.vhd
python3 "$srcdir/tests/functional/mkvhdchild.py" base.vhd base.raw one.raw \
	one.vhd > held
reading base.vhd 'the parent of a VHD image' vpc one.vhd

qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on a 1M
reading data 'a data file' qcow2 a
writing data 'a data file for writing' qcow2 a

group 'what a person names, too, and where a format is guessed'
reading typed 'a name that was typed' raw typed
never_opens typed 'an image of unknown format' info typed
qemu-img create -q -f qcow2 -u -b base -F raw over.qcow2 1M
never_opens base 'one whose base is looked at' info --backing-chain over.qcow2
never_opens typed 'what an image is made from' convert -O raw typed to
never_opens typed 'what an image is written to' convert -n -O raw base.raw typed
finish
