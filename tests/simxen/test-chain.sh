#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest's disk on as long a backing chain as there may be, of which each image
# holds a piece; and on one that is longer.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img qemu-io "$xdiskd" "$worker"
simxen_start
daemon_start

dir=$SIMXEN_DIR
most=256
size=4M
ops=${OPS:-1500}

# Odd layers have clusters of 512 bytes; each holds one of 8 KiB of the disk.
make_chain() {
	truncate -s $size "$dir/1"
	for n in $(seq 2 $most); do
		"$xdisk" create -q -u -f qcow2 -b "$dir/$((n - 1))" \
			-F $([ "$n" -eq 2 ] && echo raw || echo qcow2) \
			-o cluster_size=$((n % 2 ? 512 : 4096)) \
			"$dir/$n" $size &&
		"$xdisk" io -f qcow2 -c "write -q -P $((n % 255 + 1)) $((n * 8))k 3k" \
			"$dir/$n" || return
	done
	qemu-img create -q -f raw "$dir/expected" $size &&
	"$xdisk" convert -n -f qcow2 -O raw "$dir/$most" "$dir/expected" &&
	"$xdisk" create -q -u -f qcow2 -b "$dir/$most" -F qcow2 "$dir/longer" \
		$size
}

said() {
	xenstore-read /local/domain/0/backend/qdisk/2/51712/hotplug-error |
		grep 'more than 256 images in the backing chain'
}

# What verify waits for will not come.
refused() {
	guest create --domid 2 --disk "$dir/longer,qcow2,xvda,rw" || return
	guest verify --domid 2 --vdev xvda --ops 1 &
	wait_for 10 said || return
	kill $!
	guest destroy --domid 2 --quick
}

check "a chain of $most images is made" make_chain
check "a guest whose disk stands on it" guest create --domid 1 \
	--disk "$dir/$most,qcow2,xvda,rw"
check "its disk is read, written, flushed" guest verify --domid 1 \
	--vdev xvda --ops "$ops" --qd 32 --expect "$dir/expected" \
	--save "$dir/model"
check "and again after connecting anew" guest verify --domid 1 --vdev xvda \
	--ops "$ops" --expect "$dir/model" --save "$dir/model" --order 3 \
	--indirect 256 --reconnect 2
check "the guest is destroyed" guest destroy --domid 1
wait_for 5 [ "$(held_by_backends)" -eq 0 ]
check "the disk holds what was written" \
	qemu-img compare -f raw -F qcow2 "$dir/model" "$dir/$most"
check "the topmost image is consistent" qemu-img check -f qcow2 "$dir/$most"
check "one image more is refused, with the reason" refused
tap_done
