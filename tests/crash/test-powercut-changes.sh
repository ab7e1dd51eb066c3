#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Power cuts at every write while an image gets other options or while its
# dirty bitmaps change, and with single failures of the file. A bitmap that is
# not in use afterwards must know of all that has changed. SEEDS=N makes it longer.
. "$srcdir/tests/crash/powercut-lib.sh"

# Does bitmap b of an image cover what has changed since `before`?
covered() {	# IMAGE
	local said

	qemu-img info "$1" | grep -q 'name: b$' || return 0
	said=$(python3 "$srcdir/tests/functional/bitmaps.py" dump "$1" b) ||
		return 1
	[ "${said%%[[:space:]]*}" = in-use ] && return 0
	qemu-img convert -f qcow2 -O raw "$1" "$dir/after" &&
		python3 "$srcdir/tests/functional/bitmaps.py" covers "$1" b \
			"$dir/before" "$dir/after" >/dev/null
}

# OPTIONS SEED OPS CRASHES FAIL CHANGE...; image and `before` are there
run() {
	local image=$dir/i.qcow2 status options=$1

	shift
	rm -f "$dir"/crash-* "$dir"/sectors-*
	timeout 120 "$powercut" "$image" "$dir" "$@" 2>&1 | sed 's/^/# /'
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	for image in "$dir/i.qcow2" "$dir"/crash-*; do
		[ -e "$image" ] || continue
		case $image in
		*crash-*[1-9]) continue ;;	# one in ten takes time enough
		esac
		timeout 20 qemu-img check -q -f qcow2 "$image" >/dev/null 2>&1
		status=$?
		[ $status = 0 ] || [ $status = 3 ] || {
			echo "# qemu-img check of $image: $status"
			return 1
		}
		covered "$image" || {
			echo "# $image: bitmap b does not know of all changes"
			return 1
		}
	done
}

# OPTIONS [BITMAPS]: a new image with something in it
make_image() {
	local image=$dir/i.qcow2

	rm -f "$image"
	qemu-img create -q -f qcow2 -o "$1" "$image" 2M
	qemu-io -f qcow2 -c 'write -z 0 300k' -c 'write -z 1M 600k' "$image" >/dev/null
	qemu-img snapshot -c s "$image"
	qemu-io -f qcow2 -c 'write -z 200k 400k' "$image" >/dev/null
	if [ $# = 2 ]; then
		qemu-img bitmap -f qcow2 --add -g "$2" "$image" b
		qemu-img bitmap -f qcow2 --add "$image" c
	fi
	qemu-img convert -f qcow2 -O raw "$image" "$dir/before"
}

for seed in $(seq "$seeds"); do
	for size in 512 4096 64k; do
		make_image cluster_size=$size 512
		run $size "$seed" 40 40 0
		result $? "writes with bitmaps, clusters of $size, seed $seed"
		make_image cluster_size=$size 4k
		run $size "$seed" 2 200 0
		result $? "few writes and the end, clusters of $size"
		make_image cluster_size=$size 4k
		run $size "$seed" 0 200 0 add d add e merge d b clear c \
			disable e remove c
		result $? "bitmaps come and go, clusters of $size"
		make_image cluster_size=$size
		run $size "$seed" 2 200 0 add d amend size=3M amend size=2560k
		result $? "a first bitmap and another size, clusters of $size"
		make_image cluster_size=$size 64k
		run $size "$seed" 0 200 0 remove b remove c
		result $? "the last bitmaps, clusters of $size"
		for change in refcount_bits=64 refcount_bits=4 \
			lazy_refcounts=on compat=v2 \
			"backing_file=$dir/$(printf 'n%.0s' {1..90})"; do
			make_image cluster_size=$size
			: > "$dir/$(printf 'n%.0s' {1..90})"
			run $size "$seed" 3 200 0 amend "$change"
			result $? "amend ${change%%/*}, clusters of $size"
		done
	done
	for fail in 3 10 21 30 45; do
		make_image cluster_size=4096 4k
		run 4096 "$seed" 4 5 $((fail + seed)) add d clear c remove b
		result $? "operation $fail of the file fails, bitmaps"
		make_image cluster_size=4096
		run 4096 "$seed" 1 5 $((fail + seed)) amend refcount_bits=32
		result $? "operation $fail of the file fails, refcount width"
	done
done
echo "1..$tests"
