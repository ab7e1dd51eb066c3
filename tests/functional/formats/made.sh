#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images of formats that qemu-img cannot make, by mkimage.py; compressed ones;
# backing images of formats that do not record theirs.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

made()
{
	local maker=$1 format=$2 raw=$3

	python3 "$srcdir/tests/functional/formats/mkimage.py" "$maker" "$raw" \
		x.img || return
	truncate -s "$(qemu-img info -f "$format" --output=json x.img |
		jq '."virtual-size"')" "$raw"
	same_info x.img "$format" && holds x.img "$format" "$raw"
}

noise odd.raw 9440768 1
noise small.raw 512 2
for raw in odd small; do
	ok "bochs version 1, $raw" made bochs1 bochs $raw.raw
	ok "bochs version 2, $raw" made bochs2 bochs $raw.raw
	ok "parallels with entries in sectors, $raw" \
		made parallels1 parallels $raw.raw
	cp $raw.raw dmg.raw
	ok "dmg, $raw" made dmg dmg dmg.raw
	cp $raw.raw dmg.raw
	ok "dmg with a resource fork, $raw" made dmg-fork dmg dmg.raw
	cp $raw.raw cloop.raw
	ok "cloop, $raw" made cloop cloop cloop.raw
done

# qemu-img needs a module for bzip2 that Debian does not have.
made_dmg()
{
	python3 "$srcdir/tests/functional/formats/mkimage.py" "dmg-$1" "$2" x.img
}

if grep -q 'define HAVE_LIBBZ2 1' "$builddir/config.h"; then
	for raw in odd small; do
		made_dmg bzip2 $raw.raw
		ok "dmg with bzip2 chunks, $raw" \
			xdisk compare -f raw -F dmg $raw.raw x.img
	done
	made_dmg bzip2 odd.raw
	ok 'it is converted' xdisk convert -f dmg -O raw x.img x.raw
	ok 'and the same' cmp odd.raw x.raw
	ok 'and read in any order' model -n 0 x.img dmg odd.raw
	for defect in cut long short sum; do
		made_dmg bzip2-$defect odd.raw
		rc 1 "bzip2 chunks that are wrong: $defect" \
			in_kib 700000 xdisk convert -f dmg -O raw x.img x.raw
		says 'Input/output error'
	done
else
	made_dmg bzip2 small.raw
	rc 1 'dmg with bzip2 chunks' xdisk io -r -f dmg -c 'read 0 1' x.img
	says 'built without libbz2'
fi
made_dmg lzfse odd.raw
rc 1 'dmg with lzfse chunks' xdisk io -r -f dmg -c 'read 0 1' x.img
says 'LZFSE'
ok 'info tells of it all the same' xdisk info -f dmg x.img

python3 "$srcdir/tests/functional/formats/mkimage.py" dmg odd.raw x.dmg
ok 'dmg is recognised by its name' xdisk info x.dmg
for format in bochs2 cloop parallels1; do
	python3 "$srcdir/tests/functional/formats/mkimage.py" $format odd.raw \
		x.img
	ok "$format is recognised" xdisk info x.img
	said "as that" "guessed ${format%[0-9]}"
done

noise r.raw 5000000 3
truncate -s 5001216 r.raw
# It says nothing and fails, but the image is whole.
qemu-img convert -c -f raw -O qcow r.raw c.qcow
ok 'compressed qcow' holds c.qcow qcow r.raw

# An overlay holds what was written to it, its backing image the rest.
overlay()
{
	local format=$1 base=$2

	rm -f o.img o.raw
	qemu-img create -q -f "$format" -b base.img -F "$base" o.img 6M &&
		qemu-io -f "$format" -c 'write -P 3 1M 100k' o.img &&
		qemu-img convert -f "$format" -O raw o.img o.raw
}

cp r.raw base.img
for format in qed qcow; do
	ok "$format over raw" overlay $format raw
	ok 'is read' model -n 0 o.img $format o.raw
	ok 'info says it' same_info o.img $format
done
qemu-img convert -f raw -O qcow2 r.raw base.img
for format in qed qcow; do
	ok "$format over qcow2" overlay $format qcow2
	rc 1 'is not guessed' xdisk io -r -f $format -c 'read 0 1' o.img
	says 'which looks like qcow2'
	ok 'info needs no backing image' same_info o.img $format
	ok 'it can be said' xdisk io -r --image-opts -c 'read -P 3 1M 100k' \
		"driver=$format,file.filename=o.img,backing.driver=qcow2"
done
# Several extents, and a request across their border.
for sub in Sparse Flat; do
	qemu-img create -q -f vmdk -o subformat=twoGbMaxExtent$sub big.vmdk 5G
	qemu-io -f vmdk -c 'write -P 1 2146959k 1M' -c 'write -P 2 5242879k 1k' \
		big.vmdk > /dev/null
	ok "vmdk of three extents, $sub" xdisk io -r -f vmdk \
		-c 'read -P 0 2145935k 1M' -c 'read -P 1 2146959k 1M' \
		-c 'read -P 0 2147983k 1k' -c 'read -P 2 5242879k 1k' big.vmdk
	ok 'info, map and check as qemu-img' like_qemu big.vmdk vmdk
	rm big*
done

qemu-img convert -f raw -O vmdk r.raw base.vmdk
qemu-img create -q -f vmdk -b base.vmdk -F vmdk o.vmdk
qemu-io -f vmdk -c 'write -P 3 1M 100k' -c 'write -z 2M 128k' o.vmdk > /dev/null
qemu-img convert -f vmdk -O raw o.vmdk o.raw
ok 'vmdk with a parent' model -n 0 o.vmdk vmdk o.raw
ok 'info, map and check as qemu-img' like_qemu o.vmdk vmdk
ok 'the parent is written to' xdisk io -f vmdk -c 'write 0 512' base.vmdk
rc 1 'a parent that was changed' xdisk io -r -f vmdk -c 'read 0 1' o.vmdk
says 'was changed since'

cp o.img base.img
rc 1 'an image that is its own backing image' \
	xdisk io -r --image-opts -c 'read 0 1' \
	driver=qcow,file.filename=base.img,backing.driver=qcow
says 'circle'
finish
