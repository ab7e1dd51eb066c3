#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The ways by which xl hands a disk over: qdisk, script=block-xdisk, domain 0 as
# a guest; and the ones that are not ours.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
daemon_start

dir=$SIMXEN_DIR
scripts=${srcdir:-.}/dist

images() {
	qemu-img create -q -f qcow2 "$dir/a" 32M &&
	truncate -s 32M "$dir/raw" && truncate -s 1000000 "$dir/odd"
}

by_script() {
	guest attach --domid 1 --script-dir "$scripts" --disk "$1" &&
	guest verify --domid 1 --vdev xvda --ops 300 &&
	guest detach --domid 1 --vdev xvda
}

# libxl shows why the script failed.
script_tells() {
	guest attach --domid 1 --script-dir "$scripts" --disk \
		"script=block-xdisk,vdev=xvda,target=qcow2:$dir/nothing" \
		2>"$dir/why" && { echo "attached"; return 1; }
	cat "$dir/why"
	guest detach --domid 1 --vdev xvda --force
	grep -q "script failed.*$dir/nothing" "$dir/why"
}

# Another script's disk must stay in state 1.
not_ours() {
	printf '#!/bin/sh\nexit 0\n' >"$dir/block-other"
	chmod +x "$dir/block-other"
	(timeout 2 "$simguest" attach --domid 1 --disk \
		"script=$dir/block-other,vdev=xvdf,target=$dir/raw")
	[ "$(be_state 1 51792 vbd)" = 1 ]
}

domain_0() {
	guest create --domid 0 --disk "$dir/a,qcow2,xvda,rw" &&
	guest verify --domid 0 --vdev xvda --ops 300 || return
	guest destroy --domid 0 --quick
	wait_for 5 [ "$(held_by_backends)" -eq 0 ]
}

# Sectors that do not fill a block are not there.
odd_size() {
	guest attach --domid 1 --disk \
		"backendtype=qdisk,vdev=xvdg,target=$dir/odd" &&
	guest show --domid 1 --vdev xvdg >"$dir/show" || return
	cat "$dir/show"
	guest detach --domid 1 --vdev xvdg &&
	grep -q '"sectors": 195[34],' "$dir/show"
}

read_only() {
	guest attach --domid 1 --disk "$dir/a,qcow2,xvdh,ro" &&
	guest verify --domid 1 --vdev xvdh --ops 300 >"$dir/ro" || return
	cat "$dir/ro"
	guest detach --domid 1 --vdev xvdh &&
	grep -q ' 0 writes,' "$dir/ro"
}

readers_share() {
	guest attach --domid 1 --disk "$dir/a,qcow2,xvdh,ro" \
		--disk "$dir/a,qcow2,xvdi,ro" &&
	guest verify --domid 1 --vdev xvdh --ops 100 --stay &&
	guest verify --domid 1 --vdev xvdi --ops 100 &&
	guest detach --domid 1 --vdev xvdh --force &&
	guest detach --domid 1 --vdev xvdi
}

connected() {
	[ "$(be_state 1 "$1")" = 4 ]
}

# Its worker dies: the guest must not hang, and the next connection must work.
worker_killed() {
	guest attach --domid 1 --disk "$dir/a,qcow2,xvdj,rw" || return
	"$simguest" verify --domid 1 --vdev xvdj --seconds 4 \
		>"$dir/busy.log" 2>&1 &
	busy_pid=$!
	wait_for 10 connected 51856 || return
	sleep 0.1
	for pid in $(workers_of "$daemon_pid"); do
		kill -9 "$pid"
	done
	wait_for 10 worker_gone_or_back || return
	kill -9 $busy_pid 2>/dev/null
	wait $busy_pid 2>/dev/null
	xenstore-ls /local/domain/0/backend/qdisk/1/51856
	guest verify --domid 1 --vdev xvdj --ops 100 || return
	guest detach --domid 1 --vdev xvdj || return
	# what it had allocated and not yet linked is lost space, no more
	qemu-img check -f qcow2 "$dir/a"
	case $? in 0 | 3) ;; *) return 1 ;; esac
}

worker_gone_or_back() {
	case $(be_state 1 51856) in
	4)	! kill -0 "$pid" 2>/dev/null &&
			[ -n "$(workers_of "$daemon_pid")" ] ;;
	5 | 6)	xenstore-exists \
			/local/domain/0/backend/qdisk/1/51856/hotplug-error ;;
	*)	false ;;
	esac
}

many() {
	many_specs=
	for n in $(seq 0 29); do
		qemu-img create -q -f qcow2 "$dir/many$n" 4M
		many_specs="$many_specs --disk $dir/many$n,qcow2,d${n}p0,rw"
	done
	# shellcheck disable=SC2086
	guest create --domid 2 $many_specs || return
	many_pids=
	for n in $(seq 0 29); do
		guest verify --domid 2 --vdev "d${n}p0" --ops 30 --qd 4 \
			>/dev/null &
		many_pids="$many_pids $!"
	done
	many_status=0
	for pid in $many_pids; do
		wait "$pid" || many_status=1
	done
	guest destroy --domid 2 --quick
	return $many_status
}

check "images are made" images
check "a guest without disks" guest create --domid 1
check "qcow2 by script=block-xdisk" by_script \
	"script=block-xdisk,vdev=xvda,target=qcow2:$dir/a"
check "raw by script=block-xdisk" by_script \
	"script=block-xdisk,vdev=xvda,target=raw:$dir/raw"
check "a missing image fails the attach, with its name" script_tells
check "a disk with another script is left alone" not_ours
check "domain 0 as a guest" domain_0
check "a size that is no multiple of anything" odd_size
check "a read-only disk" read_only
check "two readers of one image" readers_share
check "a worker that is killed" worker_killed
check "thirty disks at once" many
tap_done
