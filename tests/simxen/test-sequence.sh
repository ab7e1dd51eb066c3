#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The ways in which Linux, OVMF, mini-os, Windows and kexec connect, leave and
# come back, each with verified data in between.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
daemon_start

qemu-img create -q -f qcow2 "$SIMXEN_DIR/disk" 32M
check "a guest with one disk" guest create --domid 3 \
	--disk "$SIMXEN_DIR/disk,qcow2,xvda,rw"
for name in $(guest sequence --list); do
	check "$name" guest sequence --domid 3 --vdev xvda "$name"
	check "$name, then Linux" guest verify --domid 3 --vdev xvda --ops 200
done
check "the guest is destroyed" guest destroy --domid 3 --quick
check "the image is consistent" qemu-img check -f qcow2 "$SIMXEN_DIR/disk"
tap_done
