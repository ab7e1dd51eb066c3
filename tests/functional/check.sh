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
ok 'a good image' same -f qcow2 good
ok 'in JSON' same -f qcow2 -q good
ok 'in JSON' bash -c "diff <(qemu-img check -f qcow2 --output=json good |
	jq -S .) <($builddir/tool/xdisk check -f qcow2 --output=json good |
	jq -S .)"
qemu-img create -q -f qcow2 empty 16M
ok 'an empty one' same -f qcow2 empty
ok 'compressed' qemu-img convert -c -O qcow2 good compressed
ok 'is told' same -f qcow2 compressed
for i in 9 7 3 1 8 2; do qemu-io -f qcow2 -c "write ${i}M 64k" one; done \
	> /dev/null
ok 'fragments are counted' same -f qcow2 one
qemu-img snapshot -c s one
qemu-io -f qcow2 -c 'write 2M 3M' one > /dev/null
ok 'snapshots' same -f qcow2 one
qemu-img bitmap --add one b
ok 'bitmaps' same -f qcow2 one
truncate -s 1M raw
rc 63 'raw has nothing to check' xdisk check -f raw raw
rc 1 'no such image' xdisk check -f qcow2 nowhere
rc 1 'no such repair' xdisk check -f qcow2 -r some good
rc 1 'an image others use is not repaired' xdisk check -U -r all -f qcow2 good

# ---- leaks
leak() { cp good x; poke x $L2 0000000000000000; }
leak
rc 3 'a leak' xdisk check -f qcow2 x
said 'is named as qemu-img names it' '^Leaked cluster 5 refcount=1 reference=0$'
ok 'and counted' same -f qcow2 x
ok '-r leaks mends it' same -f qcow2 -r leaks x
ok 'clean' clean x
leak
is 'JSON tells of it' 1 "$(xdisk check -f qcow2 --output=json -r leaks x 2> err |
	jq '.["leaks-fixed"]')"
leak
ok '-r all, too' same -f qcow2 -r all x

# ---- refcounts
cp good x
poke x $((REFS + 10)) 0000
rc 2 'a refcount too low' xdisk check -f qcow2 x
said 'is named' '^ERROR cluster 5 refcount=0 reference=1$'
rc 2 '-r leaks leaves it' xdisk check -f qcow2 -r leaks x
ok '-r all mends it' xdisk check -f qcow2 -r all x
ok 'clean' clean x

# ---- what -r leaks must not do
for entry in 8000000000040200 8000010000000000; do
	cp good x
	poke x $L1 $entry
	rc 2 "L1 entry $entry" xdisk check -f qcow2 x
	said 'is one line' '^ERROR L1 entry 0 (active)'
	cp x y
	rc 2 '-r leaks frees nothing' xdisk check -f qcow2 -r leaks x
	ok 'nothing at all' cmp x y
	ok '-r all drops it' xdisk check -f qcow2 -r all x
	ok 'clean' clean x
	ok 'it reads as zeroes' xdisk io -f qcow2 -c 'read -P 0 0 16M' x
done
cp good x
poke x $((L2 + 8)) 8000000000060200
rc 2 'an L2 entry' xdisk check -f qcow2 x
cp x y
rc 2 '-r leaks frees nothing' xdisk check -f qcow2 -r leaks x
ok 'nothing at all' cmp x y
ok '-r all drops it' xdisk check -f qcow2 -r all x
ok 'clean' clean x
ok 'only that cluster is lost' xdisk io -f qcow2 -c 'read -P 5 0 64k' \
	-c 'read -P 0 64k 64k' -c 'read -P 5 128k 832k' x
cp good x
poke x $L1 8000000000040020
ok 'reserved bits are mended' xdisk check -f qcow2 -r all x
ok 'and nothing is lost' xdisk io -f qcow2 -c 'read -P 5 0 960k' x

# ---- aliases
cp good x
poke x $((L2 + 8)) 8000000000050000
ok 'one cluster twice' xdisk check -f qcow2 -r all x
ok 'clean' clean x
xdisk io -f qcow2 -c 'write -P 9 64k 64k' x > /dev/null
ok 'is two when written to' xdisk io -f qcow2 -c 'read -P 5 0 64k' \
	-c 'read -P 9 64k 64k' x

qemu-img create -q -f qcow2 -o cluster_size=512 x 1M
qemu-io -f qcow2 -c 'write -P 5 0 32k' -c 'write -P 6 32k 1' x > /dev/null
at=$(od -An -t u1 -j 40 -N 8 x | awk '{ for (i = 1; i <= 8; i++) n = n * 256 + $i;
	print n }')
poke x $((at + 8)) "$(od -An -t x1 -j "$at" -N 8 x | tr -d ' ')"
rc 2 'one L2 table twice' xdisk check -f qcow2 x
said 'is named' '^ERROR 2 L1 entries lead to the L2 table at'
ok 'it becomes two' xdisk check -f qcow2 -r all x
ok 'clean' clean x
ok 'with the same data' xdisk io -f qcow2 -c 'read -P 5 0 64k' x
ok 'that part' xdisk io -f qcow2 -c 'write -P 7 32k 32k' -c 'read -P 5 0 32k' x

# ---- a new refcount structure
for place in $((1 << 16)) 48 $REFS; do
	cp good x
	poke x $place 00000000000a0000
	rc 2 "refcounts lost ($place)" xdisk check -f qcow2 x
	ok 'found again' xdisk check -f qcow2 -r all x
	ok 'clean' clean x
	ok 'data as before' xdisk io -f qcow2 -c 'read -P 5 0 960k' x
done

# ---- bits
cp good x
poke x 72 0000000000000003
ok 'dirty and corrupt' xdisk check -f qcow2 -r all x
is 'are cleared' "0" "$(od -An -t u1 -j 79 -N 1 x | tr -d " ")"
cp good x
poke x 72 0000000000000001
poke x $((REFS + 12)) 0000
ok 'a dirty image is repaired when it is written to' \
	xdisk io -f qcow2 -c 'write -P 6 64k 64k' x
ok 'clean' clean x
ok 'and so is its data' qemu-io -f qcow2 -c 'read -P 5 0 64k' \
	-c 'read -P 6 64k 64k' -c 'read -P 5 128k 832k' x

# ---- great and small
qemu-img create -q -f qcow2 -o preallocation=metadata big 1T
ok 'a terabyte in 150 MB' bash -c "ulimit -v 150000; \
	exec timeout 60 $builddir/tool/xdisk check -f qcow2 big"
said 'all of it' '16777216/16777216 = 100.00% allocated'
truncate -s 10T x
rc 0 'a long hole behind it' timeout 20 $builddir/tool/xdisk check -f qcow2 x
finish
