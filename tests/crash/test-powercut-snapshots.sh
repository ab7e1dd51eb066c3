#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Power cuts at every write while snapshots are made, gone back to and deleted,
# and while an image gets another size; and single failures of the file.
# SEEDS=N makes it longer.
. "$srcdir/tests/crash/powercut-lib.sh"
# one power cut in so many writes of the file
export POWERCUT_EVERY=3

# Do both programs say the same of an image?
same() {
	local ours theirs

	ours=$("$builddir/tool/xdisk" check -f qcow2 "$1" 2>/dev/null; echo $?)
	theirs=$(timeout 20 qemu-img check -f qcow2 "$1" 2>/dev/null; echo $?)
	[ "$ours" = "$theirs" ] && return 0
	printf '%s\n' "$1" "$ours" "$theirs" | sed 's/^/# /'
	return 1
}

# run OPTIONS SEED OPS CRASHES FAIL CHANGE...
run() {
	local image=$dir/i.qcow2

	rm -f "$dir"/crash-* "$dir"/sectors-* "$dir"/snapshots-* "$image"
	qemu-img create -q -f qcow2 -o "$1" "$image" 2M || return 1
	timeout 120 "$powercut" "$image" "$dir" "${@:2}" 2>&1 | sed 's/^/# /'
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	for image in "$dir/i.qcow2" "$dir"/crash-*5; do
		[ -e "$image" ] || continue
		same "$image" || return 1
		# flags that a power cut left behind, see image/qcow2/rework/snapshot-ops.c
		timeout 20 qemu-img check -f qcow2 "$image" 2>&1 |
			grep '^ERROR' | grep -v OFLAG_COPIED | sed 's/^/# /' |
			grep . && return 1
	done
	return 0
}

for seed in $(seq "$seeds"); do
	for options in cluster_size=512,refcount_bits=8 cluster_size=4096 \
		cluster_size=64k cluster_size=16k,extended_l2=on; do
		run "$options" "$seed" 6 250 0 snapshot work snapshot work \
			drop 0 work back 1 work snapshot drop 1 drop 2
		result $? "power cuts: snapshots, $options, seed $seed"
		run "$options" "$seed" 6 250 0 resize 900 work resize 30000 \
			work resize 1200 resize 2048
		result $? "power cuts: sizes, $options, seed $seed"
		run "$options" "$seed" 6 250 0 snapshot resize 900 work \
			snapshot resize 3000 back 0 work back 1 drop 1 drop 0
		result $? "power cuts: sizes and snapshots, $options, seed $seed"
	done
	for options in cluster_size=512,refcount_bits=8 cluster_size=4096 \
		cluster_size=16k,extended_l2=on; do
		run "$options" "$seed" 6 250 0 resize 600 compact resize 2048 \
			work compact snapshot work resize 1000 compact work
		result $? "power cuts: compacting, $options, seed $seed"
		run "$options" "$seed" 6 250 0 snapshot work snapshot work \
			drop 0 compact back 1 work compact drop 1 compact work
		result $? "power cuts: compacting snapshots, $options, seed $seed"
	done
	# few writes, so that the cuts reach the end
	run cluster_size=512,refcount_bits=8 "$seed" 1 250 0 snapshot drop 0 work \
		snapshot work drop 1
	result $? "power cuts: snapshots of many tables, seed $seed"
	for fail in 60 65 70 75 80 85 90; do
		run cluster_size=4096 $((fail + seed)) 2 5 $fail snapshot work \
			resize 900 compact snapshot drop 0 compact
		result $? "operation $fail of the file fails, compacting"
	done
	run cluster_size=4096,compat=0.10 "$seed" 6 200 0 snapshot work back 0 \
		work drop 0 resize 3000 resize 1000
	result $? "power cuts: version 2, seed $seed"
	for fail in 1 2 3 4 6 8 10 12 14 17 20 23 26 30; do
		run cluster_size=4096 $((fail + seed)) 1 5 $fail snapshot \
			resize 900 snapshot back 0 drop 0 drop 1
		result $? "operation $fail of the file fails, seed $seed"
	done
done
echo "1..$tests"
