#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VMDK images with a parent: what they show of it, when they are written to and
# when they have several extents.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

# A parent of $2 bytes as subformat $1, and a child that is empty.
make_child()
{
	rm -f ./*.vmdk
	noise want "$2" 1
	qemu-img convert -f raw -O vmdk -o subformat="$1" want parent.vmdk &&
		qemu-img create -q -f vmdk -b parent.vmdk -F vmdk \
			-o subformat="$1" child.vmdk
}

for size in 3000320 9440768; do
	ok "$size bytes: a child" make_child monolithicSparse $size
	sha256sum parent.vmdk > sum
	ok 'shows its parent' holds child.vmdk vmdk want
	ok 'one sector is written' \
		xdisk io -f vmdk -c 'write -P 1 512 512' child.vmdk
	xdisk io -f raw -c 'write -q -P 1 512 512' want
	ok 'and shows its parent around it' holds child.vmdk vmdk want
	ok 'written to at random' model -s 4 -n 600 child.vmdk vmdk want
	ok 'and shows its parent around that' holds child.vmdk vmdk want
	ok 'nothing is wrong in it' xdisk check -f vmdk child.vmdk
	ok 'its parent is as it was' sha256sum -c sum
done

# a second extent begins at 2047 MiB
ok 'a child of two extents' make_child twoGbMaxExtentSparse $((2060 << 20))
ok 'shows all of its parent' xdisk compare -f vmdk -F raw child.vmdk want
finish
