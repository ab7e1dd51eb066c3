#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Power cuts while overlays are emptied and written to again, and with single
# failures of the file. SEEDS=N makes it longer.
. "$srcdir/tests/crash/powercut-lib.sh"
make_base

# run OPTIONS BACKING SEED OPS CRASHES FAIL CHANGE...
run() {
	local image=$dir/i.qcow2 backing=() status

	[ "$2" = backing ] && backing=(-b base.raw -F raw)
	rm -f "$dir"/crash-* "$dir"/sectors-* "$dir"/snapshots-* "$image"
	qemu-img create -q -f qcow2 -o "$1" "${backing[@]}" "$image" 4M ||
		return 1
	timeout 120 "$powercut" "$image" "$dir" "${@:3}" 2>&1 | sed 's/^/# /'
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	for image in "$dir/i.qcow2" "$dir"/crash-*7; do
		[ -e "$image" ] || continue
		timeout 20 qemu-img check -q -f qcow2 "$image" >/dev/null 2>&1
		status=$?
		[ $status = 0 ] || [ $status = 3 ] || {
			echo "# qemu-img check of $image: $status"
			return 1
		}
	done
}

for seed in $(seq "$seeds"); do
	for options in cluster_size=512,refcount_bits=64 cluster_size=4096 \
		cluster_size=64k cluster_size=4096,compat=0.10 \
		cluster_size=16k,extended_l2=on; do
		for backing in none backing; do
			run "$options" $backing "$seed" 20 100 0 \
				empty work empty empty work
			result $? "power cuts: $options, backing file: $backing, seed $seed"
		done
	done
	run cluster_size=4096 backing "$seed" 20 100 0 snapshot work empty \
		work empty back 0 empty drop 0
	result $? "power cuts: a snapshot stays, seed $seed"
	for fail in 1 3 5 8 11 15 20 26; do
		run cluster_size=4096 backing $((fail + seed)) 3 5 $fail \
			empty work empty
		result $? "operation $fail of the file fails, seed $seed"
	done
done
echo "1..$tests"
