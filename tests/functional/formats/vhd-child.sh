#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Differencing VHD images, made by mkvhdchild.py: what they show, where it comes
# from, and parents that are not to be had.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

child() { python3 "$srcdir/tests/functional/mkvhdchild.py" "$@" > held; }

# Content over that of $1: data, zeroes, single sectors.
changed()
{
	python3 - "$1" "$2" "$3" <<- 'END'
	import random, sys
	data = bytearray(open(sys.argv[1], 'rb').read())
	random.seed(int(sys.argv[3]))
	sectors = len(data) // 512
	for n in range(60):
	    at = random.randrange(sectors) * 512
	    size = min(random.choice((512, 512, 4096, 70144)), len(data) - at)
	    data[at:at + size] = bytes(size) if n % 3 == 0 else \
	        random.randbytes(size)
	data[-512:] = b'new end.' * 64
	open(sys.argv[2], 'wb').write(data)
	END
}

# The ranges that the map has at depth 0, those that touch made one.
from_child()
{
	xdisk map -f vpc --output=json "$1" | jq -r '.[] |
		select(.depth == 0 and .present) | "\(.start) \(.length)"' |
		awk 'NR > 1 && $1 == start + len { len += $2; next }
			NR > 1 { print start, len }
			{ start = $1; len = $2 }
			END { print start, len }'
}

shows()
{
	rm -f x.raw
	xdisk convert -f vpc -O raw "$1" x.raw && cmp x.raw "$2" &&
		xdisk compare -f vpc -F raw "$1" "$2" && model -n 0 "$1" vpc "$2"
}

noise base.raw 9440768 1
changed base.raw one.raw 2
changed one.raw two.raw 3
qemu-img convert -f raw -O vpc -o force_size=on base.raw base.vhd
qemu-img convert -f raw -O vpc -o force_size=on,subformat=fixed base.raw \
	fixed.vhd

for block in 512 4096 65536 2097152 16777216; do
	child base.vhd base.raw one.raw one.vhd block=$block
	ok "blocks of $block bytes" shows one.vhd one.raw
	ok 'the map goes by the bitmaps' diff held <(from_child one.vhd)
done
child fixed.vhd base.raw one.raw one.vhd
ok 'over a fixed image' shows one.vhd one.raw
child base.vhd base.raw one.raw one.vhd
child one.vhd one.raw two.raw two.vhd block=65536
ok 'over another one' shows two.vhd two.raw
ok 'the map goes by the bitmaps' diff held <(from_child two.vhd)
is 'and through both' "$(xdisk map -f vpc --output=json two.vhd |
	jq -c '[.[].depth] | unique')" '[0,1,2]'
ok 'info of the chain' xdisk info -f vpc --backing-chain --output=json two.vhd
is 'has all three' "$(xdisk info -f vpc --backing-chain --output=json two.vhd |
	jq -r '.[] | "\(.filename) \(."backing-filename") \(."cluster-size")"')" \
	"two.vhd one.vhd 65536
one.vhd base.vhd 2097152
base.vhd null 2097152"
ok 'a qcow2 overlay' xdisk create -q -f qcow2 -b two.vhd -F vpc o.qcow2
ok 'shows it' xdisk compare -f qcow2 -F raw o.qcow2 two.raw

cp one.raw large.raw && truncate -s 12M large.raw
child base.vhd base.raw large.raw large.vhd
ok 'larger than its parent' shows large.vhd large.raw
head -c 5M one.raw > small.raw
child base.vhd base.raw small.raw small.vhd
ok 'smaller than its parent' shows small.vhd small.raw

group 'names'
mkdir -p d/e && cp base.vhd 'd/bäse 😀.vhd'
child base.vhd base.raw one.raw d/e/c.vhd 'relative=..\bäse 😀.vhd'
ok 'a parent in another folder' shows d/e/c.vhd one.raw
child base.vhd base.raw one.raw c.vhd "absolute=${PWD//\//\\}\\base.vhd"
ok 'an absolute path' shows c.vhd one.raw
child base.vhd base.raw one.raw c.vhd 'absolute=C:\gone\base.vhd' \
	'relative=.\base.vhd' 'name=gone.vhd'
ok 'the relative one goes before others' shows c.vhd one.raw
child base.vhd base.raw one.raw c.vhd 'name=base.vhd'
ok 'a name in the header alone' shows c.vhd one.raw

unread()
{
	rc 1 "$1" xdisk io -r -f vpc -c 'read 0 512' c.vhd
	said "$2" "$2"
	ok 'info tells of it all the same' xdisk info -f vpc c.vhd
}

child base.vhd base.raw one.raw c.vhd 'absolute=C:\images\base.vhd'
unread 'a drive letter' 'only plain files'
child base.vhd base.raw one.raw c.vhd 'relative=.\nbd:base'
unread 'a protocol' 'only plain files'
opts=driver=vpc,file.filename=c.vhd,backing.file.filename=base.vhd
ok 'the parent can be named' xdisk io -r -c 'read 0 512' --image-opts $opts
child base.vhd base.raw one.raw c.vhd 'relative=.\gone.vhd'
unread 'a parent that is missing' "Could not open 'gone.vhd'"
child base.vhd base.raw one.raw c.vhd id=
unread 'a parent with another id' "'base.vhd' is not the parent"
child base.vhd base.raw one.raw c.vhd 'relative=.\base.raw'
unread 'a parent that is no VHD image' 'not a VHD image'
child base.vhd base.raw one.raw c.vhd 'relative=.\c.vhd'
rc 1 'its own parent' xdisk io -r -f vpc -c 'read 0 512' c.vhd
said 'circle' circle
child base.vhd base.raw one.raw b.vhd 'relative=c.vhd'
child b.vhd one.raw two.raw c.vhd
rc 1 'two that are parents of each other' \
	xdisk io -r -f vpc -c 'read 0 512' c.vhd
said 'circle' circle

group 'reading only'
before=$(cat two.vhd one.vhd base.vhd | sha256sum)
rc 1 'it is not written to' xdisk io -f vpc -c 'write 0 512' two.vhd
says 'differencing VHD images can only be read'
rc 1 'nor emptied' xdisk commit -f vpc two.vhd
rc 1 'nor put on another parent' xdisk rebase -u -f vpc -b base.vhd two.vhd
is 'all is as it was' "$(cat two.vhd one.vhd base.vhd | sha256sum)" "$before"
finish
