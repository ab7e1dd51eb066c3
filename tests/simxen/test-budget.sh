#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a disk costs its backend's domain of xenstore's quotas (1000 nodes and 128
# watches if nobody says otherwise): how many disks a driver domain can serve
# hangs on it. The nodes left out are those whose absence says the same.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
daemon_start

dir=$SIMXEN_DIR
scripts=$(cd "${srcdir:-.}/dist" && pwd)
be=/local/domain/0/backend

create() {
	qemu-img create -q -f qcow2 "$dir/a" 32M &&
	qemu-img create -q -f qcow2 "$dir/b" 32M &&
	qemu-img create -q -f qcow2 "$dir/c" 32M &&
	guest create --domid 1 --script-dir "$scripts" \
		--disk "$dir/a,qcow2,xvda,rw" --disk "$dir/c,qcow2,xvdc,r" \
		--disk "script=block-xdisk,vdev=xvdb,target=qcow2:$dir/b"
}

connect() {
	guest verify --domid 1 --vdev "$1" --ops 20 --stay
}

# at_most N KIND/DOMID/DEVID
at_most() {
	xenstore-ls "$be/$2"
	budget_used=$(xenstore-ls "$be/$2" | wc -l)
	echo "$budget_used nodes"
	simxen_say "$budget_used nodes in $2" >&3
	[ "$(xenstore-read "$be/$2/state")" = 4 ] && [ "$budget_used" -le "$1" ]
}

# Discards reach the guest with their true granularity.
discards() {
	guest show --domid 1 --vdev "$1" | tee "$dir/shown" &&
	grep -q '"discard": 1, "discard_granularity": 65536' "$dir/shown"
}

no_discard() {
	guest show --domid 1 --vdev xvdc | tee "$dir/shown" &&
	grep -q '"discard": 0' "$dir/shown" &&
	! xenstore-exists "$be/qdisk/1/51744/feature-discard"
}

# One for the ends of domains, one a kind, and one a disk.
watches() {
	guest stats
	[ "$(held "$daemon_pid" watches)" = $((1 + 2 + $1)) ]
}

exec 3>&1
check "three disks" create
check "a plain disk is connected" connect xvda
check "one with a script is connected" connect xvdb
check "22 nodes below the directory of a plain disk" at_most 22 qdisk/1/51712
check "23 nodes below that of one with a script" at_most 23 vbd/1/51728
check "discard of a plain disk" discards xvda
check "discard of one with a script" discards xvdb
check "no discard of a read-only disk" no_discard
check "one watch a disk" watches 3
check "the guest is destroyed" guest destroy --domid 1 --quick
wait_for 5 watches 0
check "no watch is left" watches 0
tap_done
