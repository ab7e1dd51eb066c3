#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# powercut over cluster sizes, refcount widths, versions and backing files, and
# with single failures of the file. SEEDS=N makes it longer.
. "$srcdir/tests/crash/powercut-lib.sh"
make_base

# run OPTIONS BACKING SEED OPS CRASHES [FAIL]; DATA stands for a data file
run() {
	local backing=() image=$dir/i.qcow2 status
	[ "$2" = backing ] && backing=(-b base.raw -F raw)
	rm -f "$dir"/crash-* "$dir"/sectors-* "$dir"/data-* "$image"
	qemu-img create -q -f qcow2 -o "${1/DATA/$dir/i.data}" "${backing[@]}" "$image" 4M ||
		return 1
	timeout 120 "$powercut" "$image" "$dir" "$3" "$4" "$5" ${6:+"$6"} 2>&1 |
		sed 's/^/# /'
	[ "${PIPESTATUS[0]}" = 0 ] || return 1
	for image in "$dir/i.qcow2" "$dir"/crash-[0-3]; do
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
		cluster_size=64k cluster_size=512,refcount_bits=1 \
		cluster_size=4096,compat=0.10 \
		cluster_size=16k,compression_type=zstd \
		cluster_size=16k,extended_l2=on; do
		for backing in none backing; do
			run "$options" $backing "$seed" 50 20
			result $? "power cuts: $options, backing file: $backing, seed $seed"
		done
	done
	for options in cluster_size=4096,data_file=DATA \
		extended_l2=on,data_file=DATA; do
		for backing in none backing; do
			run "$options" $backing "$seed" 50 20
			result $? "power cuts: $options, backing file: $backing, seed $seed"
		done
	done
	run data_file=DATA,data_file_raw=on none "$seed" 50 20
	result $? "power cuts: a raw data file, seed $seed"
	run cluster_size=4096,data_file=DATA backing "$seed" 40 3 40
	result $? "an operation of the image or its data file fails, seed $seed"
	for fail in 1 2 7 20 41 90 153 200 260; do
		run cluster_size=4096 backing $((fail + seed)) 40 3 $fail
		result $? "operation $fail of the file fails, seed $seed"
	done
done
echo "1..$tests"
