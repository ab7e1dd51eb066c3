#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check: what it prints and exits with, what it repairs and what it must not.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

# The same words on stdout and the same status from both, each on its copy.
same()
{
	local image=${!#} got want

	cp "$image" .theirs
	xdisk check "$@" > got
	got=$?
	mv .theirs "$image"
	qemu-img check "$@" > want
	want=$?
	diff want got && test $got -eq $want
}

# The 64-bit word at $2 of image $1 becomes $3 (hex).
poke() { printf '%s' "$3" | sed 's/../\\x&/g' | xargs -0 printf |
	dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

qemu-img create -q -f qcow2 good 16M
qemu-io -f qcow2 -c 'write -P 5 0 960k' good > /dev/null
L1=$((3 << 16)) L2=$((4 << 16)) REFS=$((2 << 16))
cp good one
group 'like qemu-img'
ok 'a good image' same -f qcow2 good
ok 'a good image, with -q' same -f qcow2 -q good
ok 'a good image, in JSON' bash -c "diff <(qemu-img check -f qcow2 --output=json good |
	jq -S .) <($builddir/tool/xdisk check -f qcow2 --output=json good |
	jq -S .)"
qemu-img create -q -f qcow2 empty 16M
ok 'an empty image' same -f qcow2 empty
ok 'a compressed image is made' qemu-img convert -c -O qcow2 good compressed
ok 'a compressed image' same -f qcow2 compressed
for i in 9 7 3 1 8 2; do qemu-io -f qcow2 -c "write ${i}M 64k" one; done \
	> /dev/null
ok 'fragments are counted' same -f qcow2 one
qemu-img snapshot -c s one
qemu-io -f qcow2 -c 'write 2M 3M' one > /dev/null
ok 'an image with snapshots' same -f qcow2 one
qemu-img bitmap --add one b
ok 'an image with bitmaps' same -f qcow2 one
truncate -s 1M raw
group 'refused'
rc 63 'raw has nothing to check' xdisk check -f raw raw
rc 1 'no such image' xdisk check -f qcow2 nowhere
rc 1 'no such repair' xdisk check -f qcow2 -r some good
rc 1 'an image others use is not repaired' xdisk check -U -r all -f qcow2 good

group 'a leak'
leak() { cp good x; poke x $L2 0000000000000000; }
leak
rc 3 'is found' xdisk check -f qcow2 x
said 'is named as qemu-img names it' '^Leaked cluster 5 refcount=1 reference=0$'
ok 'is counted like qemu-img' same -f qcow2 x
ok '-r leaks mends it' same -f qcow2 -r leaks x
ok 'the image is clean' clean x
leak
is 'JSON tells of it' 1 "$(xdisk check -f qcow2 --output=json -r leaks x 2> err |
	jq '.["leaks-fixed"]')"
leak
ok '-r all, too' same -f qcow2 -r all x

for r in leaks all; do
	group "refcounts too high, flags wrong, -r $r"
	cp good x
	qemu-img snapshot -c s x
	poke x 60 00000000	# the snapshot is gone, and no flag is right
	poke x 64 0000000000000000
	rc 3 'only leaks are found' xdisk check -f qcow2 x
	ok 'sets the flags, too' xdisk check -f qcow2 -r $r x
	ok 'the image is clean' clean x
done
group 'a refcount too low'
cp good x
poke x $((REFS + 10)) 0000
rc 2 'is found' xdisk check -f qcow2 x
says '^ERROR cluster 5 refcount=0 reference=1$'
rc 2 '-r leaks leaves it' xdisk check -f qcow2 -r leaks x
ok '-r all mends it' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x

# ---- what a power cut leaves while a snapshot is made or deleted
for state in "$((REFS + 10)) 0002" "$((L2 + 8)) 0000000000060000"; do
	for r in leaks all; do
		group "refcount or flag ${state#* }, -r $r"
		cp good x
		poke x $state
		ok 'a flag that does not agree is found' same -f qcow2 x
		said 'it is named' '^ERROR OFLAG_COPIED data cluster: '
		ok 'is set right' xdisk check -f qcow2 -r $r x
		ok 'the image is clean' clean x
	done
done
group 'both, and of the L2 table'
cp good x
poke x $((REFS + 10)) 0002
poke x $((L2 + 8)) 0000000000060000
poke x $((REFS + 8)) 0002
ok 'like qemu-img' same -f qcow2 x
ok '-r leaks sets all right' xdisk check -f qcow2 -r leaks x
ok 'the image is clean' clean x
group 'a wrong flag beside a refcount too low'
cp good x
poke x $((REFS + 10)) 0000
poke x $((L2 + 8)) 0000000000060000
rc 2 'is found' xdisk check -f qcow2 x
cp x y
rc 2 '-r leaks sets no flag' xdisk check -f qcow2 -r leaks x
ok '-r leaks writes nothing' cmp x y

# ---- what -r leaks must not do
for entry in 8000000000040200 8000010000000000; do
	group "L1 entry $entry"
	cp good x
	poke x $L1 $entry
	rc 2 'is found' xdisk check -f qcow2 x
	said 'is one line' '^ERROR L1 entry 0 (active)'
	cp x y
	rc 2 '-r leaks frees nothing' xdisk check -f qcow2 -r leaks x
	ok '-r leaks writes nothing' cmp x y
	ok '-r all drops it' xdisk check -f qcow2 -r all x
	ok 'the image is clean' clean x
	ok 'it reads as zeroes' xdisk io -f qcow2 -c 'read -P 0 0 16M' x
done
group 'an unaligned L2 entry'
cp good x
poke x $((L2 + 8)) 8000000000060200
rc 2 'is found' xdisk check -f qcow2 x
cp x y
rc 2 '-r leaks frees nothing' xdisk check -f qcow2 -r leaks x
ok '-r leaks writes nothing' cmp x y
ok '-r all drops it' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x
ok 'only that cluster is lost' xdisk io -f qcow2 -c 'read -P 5 0 64k' \
	-c 'read -P 0 64k 64k' -c 'read -P 5 128k 832k' x
group 'reserved bits'
cp good x
poke x $L1 8000000000040020
ok 'are mended' xdisk check -f qcow2 -r all x
ok 'nothing is lost' xdisk io -f qcow2 -c 'read -P 5 0 960k' x

group 'one cluster twice'
cp good x
poke x $((L2 + 8)) 8000000000050000
ok 'is repaired' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x
xdisk io -f qcow2 -c 'write -P 9 64k 64k' x > /dev/null
ok 'is two when written to' xdisk io -f qcow2 -c 'read -P 5 0 64k' \
	-c 'read -P 9 64k 64k' x
ok 'the image is clean still' clean x
group
cp good x
poke x $((L2 + 8)) 8000000000050000
poke x $((REFS + 10)) 0002
poke x $((REFS + 12)) 0000
poke x $L2 0000000000050000
poke x $((L2 + 8)) 0000000000050000
ok 'a cluster shared with a refcount that says so is no error' clean x

group 'one L2 table twice'
qemu-img create -q -f qcow2 -o cluster_size=512 x 1M
qemu-io -f qcow2 -c 'write -P 5 0 32k' -c 'write -P 6 32k 1' x > /dev/null
at=$(od -An -t u1 -j 40 -N 8 x | awk '{ for (i = 1; i <= 8; i++) n = n * 256 + $i;
	print n }')
poke x $((at + 8)) "$(od -An -t x1 -j "$at" -N 8 x | tr -d ' ')"
rc 2 'is found' xdisk check -f qcow2 x
says '^ERROR 2 L1 entries lead to the L2 table at'
ok '-r all makes it two' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x
ok 'the data is the same' xdisk io -f qcow2 -c 'read -P 5 0 64k' x
ok 'they do not share any more' xdisk io -f qcow2 -c 'write -P 7 32k 32k' -c 'read -P 5 0 32k' x

# ---- a new refcount structure
for place in $((1 << 16)) 48 $REFS; do
	group "refcounts lost ($place)"
	cp good x
	poke x $place 00000000000a0000
	rc 2 'is found' xdisk check -f qcow2 x
	ok 'they are made anew' xdisk check -f qcow2 -r all x
	ok 'the image is clean' clean x
	ok 'the data is as before' xdisk io -f qcow2 -c 'read -P 5 0 960k' x
done

# ---- snapshots and bitmaps that are not what they should be
be64() { od -An -t x1 -j "$2" -N 8 "$1" | tr -d ' \n'; }
at() { echo $((0x$(be64 "$1" "$2"))); }
qemu-img create -q -f qcow2 snap 16M
qemu-io -f qcow2 -c 'write -P 5 0 960k' snap > /dev/null
for s in one two three; do
	qemu-img snapshot -c $s snap
	qemu-io -f qcow2 -c 'write -P 6 0 64k' snap > /dev/null
done
TABLE=$(at snap 64)
LEN=$((40 + 24 + 1 + 3))
SECOND=$((TABLE + (LEN + 7) / 8 * 8))
left() { qemu-img snapshot -l x | awk 'NR > 2 { print $2 }' | xargs; }
group 'a snapshot with a bad L1 table'
cp snap x
poke x $SECOND 0000000000150200
rc 2 'is found' xdisk check -f qcow2 x
says '^ERROR snapshot table entry 1 .*not cluster aligned'
cp x y
rc 2 '-r leaks frees nothing' xdisk check -f qcow2 -r leaks x
ok '-r leaks writes nothing' cmp x y
ok '-r all gives it up' xdisk check -f qcow2 -r all x
says '^Giving up 1 of 3 snapshots'
ok 'the image is clean' clean x
is 'the others stay' "$(left)" 'one three'
ok 'the first is applied' qemu-img snapshot -a one x
ok 'the first holds what it did' xdisk io -f qcow2 -c 'read -P 5 0 960k' x
group 'a record that breaks off'
cp snap x
poke x $((SECOND + 36)) 7fffffff
rc 2 'is found' xdisk check -f qcow2 x
ok '-r all gives up what comes behind' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x
is 'what stands before stays' "$(left)" one
group 'no extra data, three names run together'
cp snap x
poke x $((TABLE + 36)) 00000000
rc 2 'is found' xdisk check -f qcow2 x
ok 'can be mended' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x
group 'a snapshot table beyond the end'
cp snap x
poke x 64 0000010000000000
rc 2 'is found' xdisk check -f qcow2 x
ok '-r all does without' xdisk check -f qcow2 -r all x
ok 'the image is clean' clean x
group 'a dirty image with a bad snapshot'
cp snap x
poke x 72 0000000000000001
poke x $SECOND 0000000000150200
cp x y
rc 1 'is not opened at the price of snapshots' \
	xdisk io -f qcow2 -c 'write 0 64k' x
ok 'it stays as it was' cmp x y

group 'a broken bitmap'
qemu-img create -q -f qcow2 bitmap 16M
qemu-img bitmap --add bitmap b
cp bitmap x
directory=$(at x $((0x$(grep -obUaP '\x23\x85\x28\x75' x | head -n 1 |
	cut -d : -f 1 | xargs printf '%x') + 24)))
poke x "$directory" 0000010000000000
rc 2 'is found' xdisk check -f qcow2 x
ok '-r all gives bitmaps up' xdisk check -f qcow2 -r all x
rc 0 'nothing is wrong any more' xdisk check -f qcow2 x

group 'an image that is its own backing file'
qemu-img create -q -f qcow2 -u -b y -F qcow2 x 16M
mv x y
rc 2 'is found' xdisk check -f qcow2 y
says "the backing file 'y' is the image itself"
rc 2 'cannot be repaired' xdisk check -f qcow2 -r all y
rc 1 'it cannot be read' xdisk io -f qcow2 -c 'read 0 64k' y
says 'the chain is a circle'
group 'a data file without a name'
cp good x
poke x 72 0000000000000004
rc 2 'is found' xdisk check -f qcow2 x
cp x y
rc 2 '-r all frees nothing' xdisk check -f qcow2 -r all x
ok '-r all writes nothing' cmp x y
group 'a data file'
qemu-img create -q -f qcow2 -o data_file=x.data x 16M
qemu-io -f qcow2 -c 'write -P 5 0 960k' x > /dev/null
ok 'is checked like qemu-img' same -f qcow2 x
ok '-r all leaves it alone' same -f qcow2 -r all x
ok 'all of its data is there' qemu-io -f qcow2 -c 'read -P 5 0 960k' x
poke x 131072 "$(printf '0001%.0s' 1 2 3 4 5 6 7 8)"
rc 3 'leaks are found' xdisk check -f qcow2 x
ok 'leaks are freed' xdisk check -f qcow2 -r all x
ok 'all of its data is there still' qemu-io -f qcow2 -c 'read -P 5 0 960k' x
ok 'the image is clean' clean x

group 'a file cut in its last cluster'
cp good x
truncate -s -100 x
rc 2 'is found' xdisk check -f qcow2 x
said 'is told with its length' 'is cut off by the end of the file: 65436 of 65536 bytes'
ok 'is mended' xdisk check -f qcow2 -r all x
is 'it is whole clusters' 0 $(($(stat -c %s x) % 65536))
ok 'and nothing else is lost' xdisk io -f qcow2 -c 'read -P 5 0 950k' x

group 'the dirty and the corrupt bit'
cp good x
poke x 72 0000000000000003
ok 'an image with both is repaired' xdisk check -f qcow2 -r all x
is 'are cleared' "0" "$(od -An -t u1 -j 79 -N 1 x | tr -d " ")"
group 'a dirty image'
cp good x
poke x 72 0000000000000001
poke x $((REFS + 12)) 0000
ok 'is repaired when it is written to' \
	xdisk io -f qcow2 -c 'write -P 6 64k 64k' x
ok 'the image is clean' clean x
ok 'its data is right' qemu-io -f qcow2 -c 'read -P 5 0 64k' \
	-c 'read -P 6 64k 64k' -c 'read -P 5 128k 832k' x

group 'great ones'
qemu-img create -q -f qcow2 -o preallocation=metadata big 1T
ok 'a terabyte in 150 MB' in_kib 150000 xdisk check -f qcow2 big
said 'all of it is counted' '16777216/16777216 = 100.00% allocated'
truncate -s 10T x
rc 0 'a long hole behind it' timeout 20 $builddir/tool/xdisk check -f qcow2 x
finish
