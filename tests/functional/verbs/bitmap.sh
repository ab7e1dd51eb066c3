#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk bitmap against qemu-img bitmap, and bitmaps that follow writes: what we
# record is what qemu-io records, and each reads the other's.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3 jq

bitmaps() { python3 "$srcdir/tests/functional/bitmaps.py" "$@"; }

# Both refuse it, in the same words.
refused()
{
	local want

	cp "${*: -2:1}" copy
	want=$(qemu-img bitmap -f qcow2 "$@" 2>&1 | head -n 1)
	cp copy "${*: -2:1}"
	rc 1 "refused: ${*:1:4}" xdisk bitmap -f qcow2 "$@"
	said '... in qemu-img words' "${want#qemu-img: }"
}

# The same on two copies, with both tools: same bitmaps, same info.
same()
{
	cp x theirs
	qemu-img bitmap -f qcow2 "$@" theirs b > /dev/null
	ok "$* is done" xdisk bitmap -f qcow2 "$@" x b
	ok 'the image is clean' clean x
	is "$*: the same bitmaps as by qemu-img" "$(xdisk info -f qcow2 x | sed -n '/bitmaps:/,/refcount/p')" \
		"$(qemu-img info theirs | sed -n '/bitmaps:/,/refcount/p')"
}

group 'what is asked wrongly'

qemu-img create -q -f qcow2 x 8M
rc 1 'no action is given' xdisk bitmap -f qcow2 x b
says 'Need at least one of --add, --remove, --clear, --enable'
rc 1 'no name is given' xdisk bitmap --add -f qcow2 x
says 'Expecting filename and bitmap name'
rc 1 'a granularity without --add' xdisk bitmap -f qcow2 -g 64k --clear x b
says 'granularity only supported with --add'
rc 1 'a source without --merge' xdisk bitmap -f qcow2 -b y --clear x b
says 'Merge bitmap source file only supported with --merge'
truncate -s 1M r
rc 1 'a raw image' xdisk bitmap -f raw --add r b
refused --add -g 700 x b
refused --add -g 256 x b
refused --add -g 4G x b
refused --add x ""
for op in --remove --clear --enable --disable '--merge c'; do
	# shellcheck disable=SC2086
	refused $op x nope
done
ok 'a bitmap is added' xdisk bitmap -f qcow2 --add x b
refused --add x b
refused --merge nope x b
rc 1 'a name too long' xdisk bitmap -f qcow2 --add x "$(printf 'n%.0s' {1..1024})"
ok 'the longest name is taken' xdisk bitmap -f qcow2 --add x "$(printf 'n%.0s' {1..1023})"
ok 'the image is clean' clean x
rm -f x && qemu-img create -q -f qcow2 x 0
rc 1 'an empty disk' xdisk bitmap -f qcow2 --add x b
rm -f x && qemu-img create -q -f qcow2 x 8T
rc 1 'a bitmap that is too large' xdisk bitmap -f qcow2 --add -g 512 x b
says 'Too much space will be occupied by the bitmap'
rm -f x && qemu-img create -q -f qcow2 -o compat=v2 x 8M
rc 1 'an image of version 2' xdisk bitmap -f qcow2 --add x b
says 'Cannot store dirty bitmaps in qcow2 v2 files'

# ---- each action as qemu-img ----

for options in cluster_size=64k cluster_size=512 cluster_size=2M; do
	group "$options"
	rm -f x && qemu-img create -q -f qcow2 -o $options x 8M
	same --add
	same --disable
	same --enable
	same --remove --add -g 8k --disable --enable
	qemu-img bitmap -f qcow2 --add -g 4k x c
	ok 'it can be written to' xdisk io -f qcow2 -c 'write 0 1' -c 'write 5M 1M' \
		-c 'write -z 100k 10k' -c 'discard 2M 2M' x
	qemu-img create -q -f qcow2 -o $options theirs 8M
	qemu-img bitmap -f qcow2 --add -g 8k theirs b
	qemu-img bitmap -f qcow2 --add -g 4k theirs c
	qemu-io -f qcow2 -c 'write 0 1' -c 'write 5M 1M' -c 'write -z 100k 10k' \
		-c 'discard 2M 2M' theirs > /dev/null
	is 'the same is marked as by qemu-io' "$(bitmaps dump x b)" \
		"$(bitmaps dump theirs b)"
	is 'the same is marked in the finer one' "$(bitmaps dump x c)" "$(bitmaps dump theirs c)"
	ok 'the image is clean' clean x
	cp x y
	ok 'one is merged into the other' xdisk bitmap -f qcow2 --merge c x b
	qemu-img bitmap -f qcow2 --merge c theirs b
	is 'it holds what qemu-img makes of it' "$(bitmaps dump x b)" "$(bitmaps dump theirs b)"
	ok 'they are merged the other way round' xdisk bitmap -f qcow2 --clear --merge b x c
	qemu-img bitmap -f qcow2 --clear theirs c
	qemu-img bitmap -f qcow2 --merge b theirs c
	is 'that holds what qemu-img makes of it' "$(bitmaps dump x c)" "$(bitmaps dump theirs c)"
	ok 'one is merged out of another image' \
		xdisk bitmap -f qcow2 --add -g 1M --merge c -b y -F qcow2 x d
	qemu-img bitmap -f qcow2 --add -g 1M y d
	qemu-img bitmap -f qcow2 --merge c y d
	is 'it holds what a merge within that image does' "$(bitmaps dump x d)" "$(bitmaps dump y d)"
	ok 'the image is clean' clean x
	same --clear
	is 'nothing is marked after --clear' "$(bitmaps dump x b)" ''
	same --remove
	ok 'the second is removed' xdisk bitmap -f qcow2 --remove x c
	ok 'the last is removed' xdisk bitmap -f qcow2 --remove x d
	ok 'the image is clean' clean x
	rc 1 'no bitmap is left' sh -c 'qemu-img info x | grep bitmaps'
done

group 'a disabled one'

rm -f x && qemu-img create -q -f qcow2 x 8M
ok 'is added' xdisk bitmap -f qcow2 --add --disable x b
ok 'it can be written to' xdisk io -f qcow2 -c 'write 0 64k' x
is 'nothing is marked' "$(bitmaps dump x b)" ''
ok 'is enabled, with JSON' xdisk bitmap --output=json -f qcow2 --enable x b
said 'JSON names the action' '"enable"'
is 'info prints JSON as qemu-img does' \
	"$(xdisk info --output=json -f qcow2 x | info_json)" \
	"$(qemu-img info --output=json x | info_json)"
ok 'the image is read' xdisk io -r -f qcow2 -c 'read 0 64k' x
is 'reading marks nothing' "$(bitmaps dump x b)" ''

group 'an inconsistent one'

bitmaps flags x b 3
for op in --clear --enable --disable '--merge b'; do
	# shellcheck disable=SC2086
	refused $op x b
done
refused --add x b
ok 'the image is written to all the same' xdisk io -f qcow2 -c 'write 0 1M' x
ok 'the image is clean' clean x
ok 'and is still in use' sh -c 'qemu-img info x | grep -q in-use'
rc 1 'the image cannot be resized' xdisk resize -f qcow2 x 9M
ok 'it can be removed' xdisk bitmap -f qcow2 --remove x b
ok 'the image is clean' clean x

group 'clusters of ones, and other sizes'

rm -f x && qemu-img create -q -f qcow2 -o cluster_size=512 x 8M
xdisk bitmap -f qcow2 --add -g 512 x b
bitmaps entry x b 0 1
bitmaps entry x b 3 1
is 'two clusters of ones' "$(bitmaps dump x b)" "0 2097152
6291456 8388608"
ok 'it can be written to' xdisk io -f qcow2 -c 'write 4M 512' x
is 'ones stay' "$(bitmaps dump x b)" "0 2097152
4194304 4194816
6291456 8388608"
ok 'the image shrinks' xdisk resize -f qcow2 --shrink x 7M
ok 'the image is clean' clean x
is 'bits beyond the end are gone' "$(bitmaps dump x b)" "0 2097152
4194304 4194816
6291456 7340032"
ok 'the image grows' xdisk resize -f qcow2 x 12M
ok 'the image is clean' clean x
is 'what is new is clear' "$(bitmaps dump x b)" "0 2097152
4194304 4194816
6291456 7340032"
ok 'qemu-img resizes it, too' qemu-img resize -q -f qcow2 x 16M
ok 'the image is clean' clean x
rc 1 'amend does not drop bitmaps' xdisk amend -f qcow2 -o compat=v2 x
ok 'refcounts of another width' xdisk amend -f qcow2 -o refcount_bits=64 x
ok 'the image is clean' clean x
is 'the bits are there' "$(bitmaps dump x b | head -n 1)" '0 2097152'

group 'after a writer that knows no bitmaps'

printf '\0\0\0\0\0\0\0\0' | dd of=x bs=1 seek=88 conv=notrunc status=none
ok 'the image is written to' xdisk io -f qcow2 -c 'write 0 512' x
rc 3 'the clusters of bitmaps leak' xdisk check -f qcow2 x
ok 'the leaks are repaired' xdisk check -q -f qcow2 -r leaks x
ok 'a new bitmap is added' xdisk bitmap -f qcow2 --add x b
ok 'the image is clean' clean x
finish
