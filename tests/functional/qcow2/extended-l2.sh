#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Subclusters: what we write they read, what they write we read, and neither
# copies more than it must.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

facts()
{
	qemu-img info -f qcow2 --output=json "$1" |
		jq -S 'del(.["actual-size"], .filename, .children)'
}

create_alike()
{
	rm -f a b
	xdisk create -q -f qcow2 -o "extended_l2=on,$1" a 33M || return
	qemu-img create -q -f qcow2 -o "extended_l2=on,$1" b 33M || return
	facts a > got
	facts b > want
	diff want got && clean a
}

# qemu-img asks the host where data is a hole of the file; that aside.
extents()
{
	jq -S 'def facts: del(.start, .length, .offset);
		def end: if .offset then .offset + .length else null end;
		map(if .data then del(.zero) else . end) | reduce .[] as $e ([];
		if length > 0 and (.[-1] | facts) == ($e | facts) and
			(.[-1] | end) == $e.offset
		then .[-1].length += $e.length else . + [$e] end)'
}

exactly()
{
	xdisk map -f qcow2 --output=json "$1" | map_words | extents > got
	qemu-img map -f qcow2 --output=json "$1" | extents > want
	diff want got
}

# The same requests by both, each on an image of its own and then on the other's.
words()
{
	printf -- '-c\n%s\n' "$@"
}

try()
{
	local sub=$(($1 / 32)) first second

	first=("write -P 1 0 $sub" "write -P 2 $((3 * sub)) $((sub / 2))"
		"write -P 3 $(($1 - 512)) 1024" "write -P 4 $((4 * $1)) $((2 * $1))"
		"write -z $((4 * $1 + sub)) $((2 * sub))"
		"write -z $((5 * $1 + 512)) $((2 * sub))"
		"write -z -u $((7 * $1)) $((5 * sub))"
		"write -z $((8 * $1)) $1" "discard $((5 * $1)) $1")
	second=("write -P 5 $((2 * sub + 512)) $((3 * sub))"
		"write -P 6 $((4 * $1 + sub)) 512"
		"write -P 7 $((5 * $1 + sub)) 512" "write -P 8 $((7 * $1)) 512"
		"write -P 9 $((8 * $1 + sub)) $sub" "write -z $((9 * $1)) $((4 * $1))"
		"write -P 9 $((10 * $1 + 3 * sub)) $((2 * $1))")

	mapfile -t first < <(words "${first[@]}")
	mapfile -t second < <(words "${second[@]}")
	rm -f ours theirs
	if [ "$2" ]; then
		xdisk create -q -f qcow2 -b base -F raw \
			-o extended_l2=on,cluster_size=$1 ours 40M
		qemu-img create -q -f qcow2 -b base -F raw \
			-o extended_l2=on,cluster_size=$1 theirs 40M
	else
		xdisk create -q -f qcow2 -o extended_l2=on,cluster_size=$1 \
			ours 40M
		qemu-img create -q -f qcow2 \
			-o extended_l2=on,cluster_size=$1 theirs 40M
	fi
	xdisk io -f qcow2 "${first[@]}" ours || return
	qemu-io -f qcow2 "${first[@]}" theirs || return
	clean ours || return
	same || return
	exactly ours && exactly theirs || return
	qemu-io -f qcow2 "${second[@]}" ours || return
	xdisk io -f qcow2 "${second[@]}" theirs || return
	clean ours && clean theirs || return
	same || return
	exactly ours && exactly theirs
}

same()
{
	qemu-img compare -f qcow2 -F qcow2 ours theirs || return
	xdisk compare -f qcow2 -F qcow2 ours theirs
}

for options in cluster_size=16k cluster_size=64k cluster_size=2M \
	refcount_bits=1 compression_type=zstd lazy_refcounts=on; do
	ok "create with $options" create_alike $options
done
rc 1 'small clusters are refused' xdisk create -f qcow2 \
	-o extended_l2=on,cluster_size=8k a 1M
says 'at least 16384 bytes'
rc 1 'and version 2' xdisk create -f qcow2 -o extended_l2=on,compat=v2 a 1M

head -c 30M /dev/zero | tr '\0' '\7' > base
for size in 16384 65536 2097152; do
	ok "clusters of $size" try $size ''
	ok "clusters of $size, overlay" try $size overlay
done

group 'a write into a cluster copies its subcluster and no more'
rm -f a
xdisk create -q -f qcow2 -b base -F raw -o extended_l2=on a 30M
xdisk io -f qcow2 -c 'write -P 1 100k 512' a
is 'what an overlay copies' '[{"start":102400,"length":2048}]' \
	"$(xdisk map -f qcow2 --output=json a | jq -c \
	'map(select(.depth == 0) | { start, length })')"
ok 'is right' xdisk io -f qcow2 -c 'read -P 7 0 100k' -c 'read -P 1 100k 512' \
	-c 'read -P 7 102912 1M' a

# A place for all, and the backing image's data still.
group 'preallocated overlays'
for mode in metadata falloc full; do
	rm -f a
	ok "an overlay with preallocation=$mode" xdisk create -q -f qcow2 \
		-b base -F raw -o extended_l2=on,preallocation=$mode a 30M
	ok 'shows its backing image' xdisk compare -f raw -F qcow2 base a
	ok 'to them, too' qemu-img compare -f raw -F qcow2 base a
	end=$(stat -c %s a)
	ok 'we write' xdisk io -f qcow2 -c 'write -P 8 1M 3000' \
		-c 'write -z 2M 3000' -c 'write -P 9 3000k 512' a
	is 'where there is room' "$end" "$(stat -c %s a)"
	ok 'the image is clean' clean a
	ok 'they read' qemu-io -f qcow2 -c 'read -P 8 1M 3000' \
		-c 'read -P 0 2M 3000' -c 'read -P 7 2100152 512' a
done

group 'a preallocated overlay, resized'
ok 'resize' xdisk io -f qcow2 -c 'truncate 50M' a
ok 'the image is clean' clean a
ok 'the new part' xdisk io -f qcow2 -c 'read -P 0 30M 20M' \
	-c 'write -P 3 31458k 17k' a
ok 'the image is clean' clean a
ok 'they read it' qemu-io -f qcow2 -c 'read -P 3 31458k 17k' \
	-c 'read -P 0 30M 10k' a

group 'compressed clusters have no subclusters'
qemu-img convert -c -f raw -O qcow2 -o extended_l2=on base a
ok 'a write into a compressed cluster' xdisk io -f qcow2 \
	-c 'write -P 1 1M 512' -c 'write -z 2M 2k' -c 'discard 3M 2k' \
	-c 'write -z 4M 64k' a
ok 'the image is clean' clean a
ok 'they read it' qemu-io -f qcow2 -c 'read -P 1 1M 512' \
	-c 'read -P 7 1049088 64k' -c 'read -P 0 2M 2k' -c 'read -P 7 2050k 62k' \
	-c 'read -P 7 3M 64k' -c 'read -P 0 4M 64k' -c 'read -P 7 4160k 1M' a
finish
