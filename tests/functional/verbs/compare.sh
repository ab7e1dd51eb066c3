#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk compare against qemu-img compare: statuses, texts, options.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# both ARGUMENTS...: status and standard output of the two programs
both()
{
	qemu-img compare "$@" > "$T/.qemu" 2> /dev/null
	echo "status $?" >> "$T/.qemu"
	xdisk compare "$@" > "$T/.ours" 2> "$T/.err"
	echo "status $?" >> "$T/.ours"
	diff "$T/.qemu" "$T/.ours" || { cat "$T/.err"; false; }
}

# image NAME FORMAT COMMAND...: 4 MiB and a bit, changed by qemu-io
image()
{
	local name=$1 format=$2

	shift 2
	qemu-img create -q -f "$format" "$name" "${SIZE:-4259840}"
	for c; do
		qemu-io -f "$format" -c "$c" "$name" > /dev/null || exit 99
	done
}

image a.raw raw 'write -P 1 0 128k' 'write -P 2 1M 1M' 'write -P 3 4M 64k'
image b.qcow2 qcow2 'write -P 1 0 128k' 'write -P 2 1M 1M' 'write -P 3 4M 64k'
group 'like qemu-img'
ok 'raw and qcow2: identical' both -f raw -F qcow2 a.raw b.qcow2
is 'identical images are told' "$(head -n 1 .ours)" 'Images are identical.'
ok 'the other way round' both -f qcow2 -F raw b.qcow2 a.raw
ok '-s: what is allocated differs' both -s -f raw -F qcow2 a.raw b.qcow2
ok '-q says nothing' both -q -f raw -F qcow2 a.raw b.qcow2
ok '-p' both -q -p -f raw -F qcow2 a.raw b.qcow2
ok '-U' both -U -f raw -F qcow2 a.raw b.qcow2
ok '-T none' both -T none -f raw -F qcow2 a.raw b.qcow2
ok '-T unsafe' both -T unsafe -f raw -F qcow2 a.raw b.qcow2
cp a.raw a2.raw
ok '-s: a copy' both -s -f raw -F raw a.raw a2.raw
cp b.qcow2 b2.qcow2
ok '-s: a copy of a qcow2' both -s -f qcow2 -F qcow2 b.qcow2 b2.qcow2
qemu-img convert -c -O qcow2 b.qcow2 bc.qcow2
ok 'a compressed image and one that is not' both -f qcow2 -F qcow2 b.qcow2 bc.qcow2
ok '-s: compressed' both -s -f qcow2 -F qcow2 b.qcow2 bc.qcow2

group 'zeroes of all kinds are the same'
image z0.qcow2 qcow2
image z1.qcow2 qcow2 'write -z 0 4M'
image z2.qcow2 qcow2 'write -P 0 0 4M'
image z3.raw raw
image z4.raw raw 'write -P 0 64k 2M'
for a in z?.*; do
	for b in z?.*; do
		ok "zeroes $a $b" both -f "${a#*.}" -F "${b#*.}" "$a" "$b"
		ok "-s $a $b" both -q -s -f "${a#*.}" -F "${b#*.}" "$a" "$b"
	done
done

group 'one byte, at edges of sectors, clusters, pieces and the image'
for at in 0 511 512 65535 65536 1048575 1048576 2097152 4194303 4259839; do
	cp b.qcow2 d.qcow2
	qemu-io -f qcow2 -c "write -P 9 $at 1" d.qcow2 > /dev/null
	ok "one byte at $at" both -f raw -F qcow2 a.raw d.qcow2
	ok "one byte at $at in a hole" both -f qcow2 -F qcow2 z0.qcow2 d.qcow2
done
is 'the offset is named' "$(head -n 1 .ours)" 'Content mismatch at offset 0!'
image d2.raw raw 'write -P 9 200k 1' 'write -P 9 1900k 1' 'write -P 9 3M 1M'
image d3.raw raw 'write -P 9 3M 1M'
ok 'the first of several' both -f raw -F raw d2.raw d3.raw
ok 'different content, -q' both -q -f raw -F raw d2.raw d3.raw

group 'sizes'
SIZE=8M image l0.qcow2 qcow2 'write -P 1 0 128k' 'write -P 2 1M 1M' \
	'write -P 3 4M 64k'
ok 'a longer one' both -f qcow2 -F qcow2 b.qcow2 l0.qcow2
is 'a longer one is warned of' "$(head -n 1 .ours)" 'Warning: Image size mismatch!'
ok 'a longer one, first' both -f qcow2 -F qcow2 l0.qcow2 b.qcow2
ok '-s does not have it' both -s -f qcow2 -F qcow2 l0.qcow2 b.qcow2
ok 'a longer one, -q' both -q -f qcow2 -F qcow2 l0.qcow2 b.qcow2
cp l0.qcow2 l1.qcow2
qemu-io -f qcow2 -c 'write -P 0 5M 1M' l1.qcow2 > /dev/null
ok 'zeroes behind the end' both -f qcow2 -F raw l1.qcow2 a.raw
qemu-io -f qcow2 -c 'write -P 7 5632k 1' l1.qcow2 > /dev/null
ok 'a byte behind the end' both -f raw -F qcow2 a.raw l1.qcow2
qemu-io -f qcow2 -c 'write -P 7 100k 1' l1.qcow2 > /dev/null
ok 'a byte behind the end and one before' both -f raw -F qcow2 a.raw l1.qcow2
: > empty.raw
ok 'nothing at all' both -f raw -F raw empty.raw empty.raw
ok 'nothing and zeroes' both -f raw -F raw empty.raw z3.raw
printf 'odd' > odd.raw
ok 'an odd length' both -f raw -F raw odd.raw empty.raw

group 'overlays'
qemu-img create -q -f qcow2 -b a.raw -F raw o.qcow2
ok 'an overlay and its base' both -f qcow2 -F raw o.qcow2 a.raw
ok 'an overlay and its base, -s' both -s -f qcow2 -F raw o.qcow2 a.raw
qemu-io -f qcow2 -c 'write -z 1M 64k' o.qcow2 > /dev/null
ok 'zeroes over data' both -f qcow2 -F raw o.qcow2 a.raw

group 'trouble'
ok 'no such image' both -f raw -F raw a.raw nope
rc 2 'no such image is status 2' xdisk compare -f raw -F raw nope a.raw
ok 'not that format' both -f qcow2 -F raw a.raw a.raw
ok 'no such format' both -f raw -F foo a.raw a.raw
ok 'no such cache mode' both -f raw -F raw -T foo a.raw a.raw
ok 'one image' both -f raw a.raw
ok 'three images' both -f raw a.raw a.raw a.raw
qemu-img create -q -f qcow2 bad.qcow2 4259840
qemu-io -f qcow2 -c 'write -P 1 0 128k' -c 'write -P 2 1M 1M' bad.qcow2 \
	> /dev/null
cp bad.qcow2 bad2.qcow2
l2=$((0x$(od -An -tx1 -j196608 -N8 bad.qcow2 | tr -d ' ') & 0xffffffffffffff))
printf '\200\0\0\0\0\005\002\0' |
	dd of=bad.qcow2 bs=1 seek=$((l2 + 16 * 8)) conv=notrunc status=none
rc 3 'an entry that is wrong' xdisk compare -f qcow2 -F qcow2 bad.qcow2 b.qcow2
says 'Sector allocation test failed for bad.qcow2'
qemu-img convert -c -O qcow2 bad2.qcow2 badc.qcow2
dd if=/dev/zero of=badc.qcow2 bs=64k seek=5 count=1 conv=notrunc status=none
ok 'a compressed cluster that is garbage' both -f qcow2 -F qcow2 badc.qcow2 \
	b.qcow2
rc 4 'a compressed cluster that is garbage is status 4' xdisk compare -f qcow2 -F qcow2 badc.qcow2 b.qcow2
says 'Error while reading offset [0-9]* of badc.qcow2: '

group
ok 'formats are guessed' both a.raw b.qcow2
is 'both guesses are told' "$(grep -c guessed .err)" 2
json() { xdisk compare --output=json -f raw -F raw "$@" | tr -d ' \n'; }
is 'JSON: identical' "$(json a.raw a2.raw)" \
	'{"identical":true,"size-mismatch":false}'
is 'JSON: different' "$(json d2.raw d3.raw)" \
	'{"identical":false,"size-mismatch":false,"reason":"content","offset":204800}'
is 'JSON: size' "$(json -s a.raw empty.raw)" \
	'{"identical":false,"size-mismatch":true,"reason":"size","offset":0}'
finish
