#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that were cut short. What their tables promise and the file does not
# hold is an error that names the image, the place on the disk and that in the
# file; all the rest can be had. What programs make of whole images is none.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

noise disk $((10 << 20)) 1

# $1, which is a cut image, read in all ways. $2 is its format, $3 the disk.
is_told()
{
	local image=$1 format=$2 disk=$3
	local told="error: $1: .*guest offset [^)]*).* at 0x[0-9a-f]* .*the file"

	cp "$image" before
	rm -f out
	rc 1 "$image: convert fails" \
		xdisk convert -f "$format" -O raw "$image" out
	said 'and says where' "$told"
	rc 2 'verify finds it' \
		xdisk verify -f "$format" --output=json "$image"
	said 'and says where, too' "$told"
	xdisk verify -f "$format" --output=json "$image" 2> err > verify.json
	ok 'its JSON is whole, with the places' jq -e \
		'.intact == false and .layers[0]."bytes-unreadable" > 0' verify.json
	ok 'compare cannot read it' not_compared "$format" "$disk" "$image"
	said 'and says where' "$told"
	rc 1 'dd fails' xdisk dd -f "$format" -O raw bs=64k if="$image" of=out
	said 'and says where' "$told"
	ok 'the rest is salvaged' salvaged "$image" "$format" "$disk"
	is 'nothing was written to it' "$(sha256sum < before)" \
		"$(sha256sum < "$image")"
}

not_compared()
{
	xdisk compare -f raw -F "$1" "$2" "$3"
	case $? in
	3 | 4) ;;	# where what is cannot be told, or read
	*) return 1 ;;
	esac
}

# The disk but for what verify calls unreadable, which is zeroes.
salvaged()
{
	cp "$3" wanted
	jq -r '.layers[0].unreadable[] | "\(.start) \(.length)"' verify.json |
		while read -r start length; do
			dd if=/dev/zero of=wanted bs=512 conv=notrunc status=none \
				seek=$((start / 512)) count=$((length / 512))
		done
	rm -f out
	xdisk convert -q --salvage -f "$2" -O raw "$1" out || return
	truncate -s "$(stat -c %s "$3")" out
	cmp wanted out
}

# By how much to cut so that the last block goes in part, and more goes. Behind
# the last grain of a stream there is more than a sector.
cuts()
{
	[ "$1" = vmdk-stream ] || echo 513
	echo 98304 $(($(stat -c %s "$1") / 4))
}

try()
{
	local name=$1 format=$2 disk=$3

	for cut in $(cuts "$name"); do
		cp "$name" "$name-$cut"
		truncate -s -"$cut" "$name-$cut"
		is_told "$name-$cut" "$format" "$disk"
		case $format in
		bochs | cloop) ;;
		*)
			rc 2 'check finds it' xdisk check -f "$format" \
				"$name-$cut"
			said 'and says where' \
				'^ERROR.*guest offset.*at 0x[0-9a-f]* .*file'
			;;
		esac
		rm -f "$name-$cut"
	done
}

make()
{
	qemu-img convert -n -f raw -O "$2" disk "$1" 2> /dev/null ||
		qemu-img convert -f raw -O "$2" ${3:+-o "$3"} disk "$1"
}

while read -r name format options; do
	make "$name" "$format" "$options"
	cp disk shown
	truncate -s "$(xdisk info -f "$format" --output=json "$name" |
		jq '."virtual-size"')" shown
	rc 0 "$name: the whole image is read" \
		xdisk compare -f raw -F "$format" shown "$name"
	is 'without a word' "$(grep -v identical .log)" ''
	ok 'and verified' xdisk verify -f "$format" "$name"
	try "$name" "$format" shown
done << 'END'
vdi vdi
vdi-static vdi static=on
vhdx vhdx block_size=1M
vhdx-fixed vhdx subformat=fixed,block_size=1M
qed qed
parallels parallels
vmdk vmdk
vmdk-stream vmdk subformat=streamOptimized
qcow qcow
vpc vpc force_size=on
END
for name in bochs2 cloop; do
	python3 "$srcdir/tests/functional/formats/mkimage.py" $name disk $name
	try $name ${name%2} disk
done

group 'one file of several'
qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse parts.vmdk 4G
qemu-io -f vmdk -c 'write -P 1 0 64k' -c 'write -P 2 3G 128k' parts.vmdk \
	> /dev/null
truncate -s -1000 parts-s002.vmdk
rc 1 'one of several files: what is cut off is not read' \
	xdisk io -r -f vmdk -c 'read 3G 128k' parts.vmdk
said 'which file, and where on the disk' \
	'error: parts-s002.vmdk: block.*guest offset 0xc0010000'
ok 'all else is' xdisk io -r -f vmdk -c 'read -P 1 0 64k' \
	-c 'read -P 2 3G 130048' parts.vmdk

group 'served'
cp vdi cut
truncate -s -98304 cut
"$builddir/tool/xdisk" serve -k "$T/s" -f vdi cut > serve.log 2>&1 &
server=$!
for i in $(seq 100); do
	grep -q '^Serving' serve.log && break
	sleep 0.05
done
uri="nbd+unix:///?socket=$T/s"
rc 1 'a client that comes to what is missing' \
	qemu-io -r -f raw -c 'read 10452992 32k' "$uri"
says 'Input/output error'
ok 'served is all else' qemu-io -r -f raw -c 'read 0 9M' "$uri"
kill -TERM $server
wait $server
ok 'the server says what it is' grep -q 'error: cut: block 9 .*guest offset' \
	serve.log

group 'what is refused as a whole'
qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat disk flat.vmdk
truncate -s -1 flat-flat.vmdk
rc 1 'a flat file that is too short' xdisk io -r -f vmdk -c 'read 0 512' flat.vmdk
said 'with its length' 'is not within the file of 10485759 bytes'
rc 1 'a file shorter than the size that is said' xdisk io -r -c 'read 0 512' \
	--image-opts driver=raw,size=10M,file.filename=flat-flat.vmdk
said 'with its length' '10485759'
xdisk create -q -f luks --object secret,id=s,data=x \
	-o key-secret=s,iter-time=10 luks 1M
truncate -s 1M luks
rc 1 'a LUKS header that is cut off' \
	xdisk io -r --object secret,id=s,data=x -c 'read 0 512' \
	--image-opts driver=luks,key-secret=s,file.filename=luks
said 'with the length of the file' '1048576'

group 'VHD: footers'
good() { cp vpc x.vhd; }
good
truncate -s -512 x.vhd
ok 'VHD without its footer' xdisk convert -f vpc -O raw x.vhd out
said 'is used, but not without a word' 'warn: x.vhd: the VHD footer is missing'
ok 'and is the same' cmp disk out
xdisk info -f vpc --output=json x.vhd > json 2> err
ok 'info: the JSON is whole' jq -e .format json
ok 'beside the warning' grep -q 'the VHD footer is missing' err
rc 2 'check finds it' xdisk check -f vpc x.vhd
says '^ERROR: the footer is missing at the end of the file'
is 'counted in JSON' 1 \
	"$(xdisk check -q -f vpc --output=json x.vhd | jq .corruptions)"
cp x.vhd before
rc 2 'the repair can be tried' xdisk check -f vpc -r all --dry-run x.vhd
said 'and would mend it' 'would mend 0 leaked clusters and 1 corruptions'
ok 'without a write' cmp before x.vhd

mended()
{
	rc 2 "$1" xdisk check -f vpc x.vhd
	ok 'is mended' xdisk check -f vpc -r all x.vhd
	ok 'and the same as before' cmp vpc x.vhd
}

mended 'a footer that is missing'
truncate -s -100 x.vhd
mended 'a footer that is cut'
dd if=/dev/zero of=x.vhd bs=1 count=512 conv=notrunc status=none \
	seek=$(($(stat -c %s x.vhd) - 512))
mended 'a footer that is damaged'
printf x | dd of=x.vhd bs=1 seek=8 conv=notrunc status=none
mended 'a copy of the footer that is damaged'
truncate -s -70000 x.vhd
cp x.vhd before
rc 2 'with a block that is cut off' xdisk check -f vpc -r all x.vhd
said 'it is not mended' 'not written while something else is wrong'
ok 'nor written to' cmp before x.vhd

qemu-img convert -f raw -O vpc -o force_size=on,subformat=fixed disk fixed.vhd
ok 'a fixed one has nothing to find' xdisk check -f vpc fixed.vhd
cp fixed.vhd cut.vhd
truncate -s -70000 cut.vhd
rc 1 'cut short it is no image' xdisk info -f vpc cut.vhd
said 'with its length' 'the file has 10416272 bytes'
tail -c 512 fixed.vhd | dd of=cut.vhd conv=notrunc status=none
rc 1 'whatever its first sector looks like' xdisk info -f vpc cut.vhd

group 'the file ends where its footer does, whatever the size of its blocks'
xdisk create -q -f vpc -o force_size=on x.vhd 10M
ok 'a disk with sectors of 4 KiB is written to' xdisk io -c 'write -P 1 0 64k' \
	--image-opts \
	driver=vpc,file.driver=blkdebug,file.align=4096,file.image.filename=x.vhd
ok 'and has its footer' xdisk check -f vpc x.vhd
is 'as its last bytes' $((512 + 1024 + 512 + 512 + (2 << 20) + 512)) \
	"$(stat -c %s x.vhd)"

group 'VHD: blocks that are not where they can be'
# Entry $1 of the table of x.vhd, and the same set to $2.
entry()
{
	python3 - "$@" <<- 'END'
	import struct, sys
	with open('x.vhd', 'r+b') as f:
	    f.seek(1536 + 4 * int(sys.argv[1]))
	    if len(sys.argv) > 2:
	        f.write(struct.pack('>I', int(sys.argv[2])))
	    else:
	        print(struct.unpack('>I', f.read(4))[0])
	END
}

bad_entry()
{
	good
	entry 1 "$2"
	rc 2 "$1" xdisk check -f vpc x.vhd
	says "$3"
}

good
first=$(entry 0)
last=$(entry 4)
bad_entry 'a block that is used twice' "$first" 'is used twice'
bad_entry 'blocks that overlap' $((first + 8)) 'the blocks at .* overlap'
bad_entry 'a block in the table' 2 'overlaps the metadata'
bad_entry 'a block in the header' 0 'overlaps the metadata'
bad_entry 'a block beyond the end' $((last + 9000)) \
	'block 1 (guest offset 0x200000) at .* beyond the end of the file'
good
size=$(($(stat -c %s x.vhd) - 512))
tail -c 512 vpc > footer
truncate -s $((size - 512)) x.vhd
cat footer >> x.vhd
rc 2 'a block over the footer' xdisk check -f vpc x.vhd
says 'over the footer'

group 'differencing VHD'
cp disk base.raw
noise top.raw $((10 << 20)) 2
printf 'another end' | dd of=top.raw bs=1 conv=notrunc status=none \
	seek=$(((10 << 20) - 512))
python3 "$srcdir/tests/functional/mkvhdchild.py" vpc base.raw top.raw child.vhd \
	> /dev/null
ok 'a differencing VHD' xdisk check -f vpc child.vhd
cp child.vhd x.vhd
truncate -s -512 x.vhd
ok 'without its footer it is mended' xdisk check -f vpc -r all x.vhd
ok 'and the same as before' cmp child.vhd x.vhd
for cut in 70000 2097252; do	# some data; all of it and a part of the bitmap
	truncate -s -$cut x.vhd
	rc 2 "cut short by $cut" xdisk check -f vpc x.vhd
	said 'it has a block that is cut off' 'guest offset.*at .*the file'
	rc 1 'which does not show the parent' \
		xdisk convert -f vpc -O raw x.vhd out
	said 'and is told' 'error: x.vhd: block .*the file'
	cp child.vhd x.vhd
done
finish
