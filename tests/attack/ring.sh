#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Frontends that break every rule, one case at a time: the right answer, a
# reason where the device is refused, and a disk that works afterwards.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
daemon_start

image=$SIMXEN_DIR/disk
create() {
	qemu-img create -q -f qcow2 "$image" 16M &&
	qemu-io -f qcow2 -c "write -P 0x33 0 16M" "$image" >/dev/null &&
	cp "$image" "$image.ro" &&
	guest create --domid 5 --disk "$image,qcow2,xvda,rw" \
		--disk "$image.ro,qcow2,xvdb,ro"
}

# With persistent grants the same mistakes take another way. Only the last case
# leaves no device to do it again.
both_ways() {
	guest hostile --domid 5 --vdev "$2" --case "$1" || return
	[ "$1" = vanish ] ||
	guest hostile --domid 5 --vdev "$2" --case "$1" --no-persistent \
		--protocol x86_32-abi
}

daemon_lives() {
	kill -0 "$daemon_pid"
}

check "a guest with a writable and a read-only disk" create
for name in $(guest hostile --list); do
	case $name in
	readonly-gref | readonly-*)
		vdev=xvdb ;;
	*)	vdev=xvda ;;
	esac
	check "$name" both_ways "$name" $vdev
done
check "the daemon lives" daemon_lives
check "the guest is destroyed" guest destroy --domid 5 --quick
check "the image is consistent" qemu-img check -f qcow2 "$image"
wait_for 5 [ "$(held_by_backends)" -eq 0 ]
check "nothing is mapped or bound any more" [ "$(held_by_backends)" -eq 0 ]
tap_done
