#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Verified random I/O through the daemon on qcow2 images of other layouts:
# subclusters and external data files, for a guest that reconnects, too.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img qemu-io "$xdiskd" "$worker"
simxen_start

dir=$SIMXEN_DIR
printf '%s\n' '[defaults]' 'data-file = beside' >"$dir/conf"
daemon_start --config "$dir/conf"
size=24M
ops=${OPS:-800}

make_images() {
	qemu-img create -q -f qcow2 "$dir/base" $size &&
	qemu-io -f qcow2 -c "write -P 0x5a 1M 20M" "$dir/base" >/dev/null &&
	qemu-img create -q -f qcow2 -b base -F qcow2 -o extended_l2=on \
		"$dir/subclusters" &&
	qemu-img create -q -f qcow2 -b base -F qcow2 \
		-o data_file="$dir/split.data" "$dir/split" &&
	qemu-img create -q -f qcow2 -o \
		data_file="$dir/whole.data",data_file_raw=on "$dir/whole" $size
}

disks="subclusters:xvda split:xvdb whole:xvdc"

attach() {
	guest create --domid 1 --disk "$dir/subclusters,qcow2,xvda,rw" \
		--disk "$dir/split,qcow2,xvdb,rw" \
		--disk "$dir/whole,qcow2,xvdc,rw"
}

# run DISK VDEV OPTIONS...
run() {
	run_image=$1 run_vdev=$2
	shift 2
	run_expect=
	[ -e "$dir/$run_image.model" ] &&
		run_expect="--expect $dir/$run_image.model"
	# shellcheck disable=SC2086
	guest verify --domid 1 --vdev "$run_vdev" --ops "$ops" $run_expect \
		--save "$dir/$run_image.model" "$@"
}

judge() {
	qemu-img check -f qcow2 "$dir/$1" &&
	qemu-img compare -f raw -F qcow2 "$dir/$1.model" "$dir/$1"
}

check "images are made" make_images
check "a guest with three disks" attach
for disk in $disks; do
	name=${disk%:*} vdev=${disk#*:}
	check "$name" run "$name" "$vdev"
	check "$name: small requests, many flushes and discards" \
		run "$name" "$vdev" --qd 32 --bs 4k --mix 20,50,10,20,0
	check "$name: large requests, reconnecting" run "$name" "$vdev" \
		--order 3 --indirect 256 --reconnect 2
done
check "the guest is destroyed" guest destroy --domid 1 --quick
wait_for 5 [ "$(held_by_backends)" -eq 0 ]
for disk in $disks; do
	check "${disk%:*} is consistent and holds what was written" \
		judge "${disk%:*}"
done
check "a raw data file is the disk" cmp "$dir/whole.model" "$dir/whole.data"
check "nothing is mapped or bound any more" [ "$(held_by_backends)" -eq 0 ]
tap_done
