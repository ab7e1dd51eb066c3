#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Devices that come and go: before the daemon starts, while it runs, by force,
# with the guest killed at any moment; and a daemon that leaves nothing behind.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start

dir=$SIMXEN_DIR
scripts=$(cd "${srcdir:-.}/dist" && pwd)
cycles=${CYCLES:-100}
kills=${KILLS:-8}

open_fds() {
	find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l
}

store_nodes() {
	xenstore-ls -f /local/domain/0/backend 2>/dev/null | sed 's/ = .*//'
}

image_locks() {
	grep -c ":$(stat -c %i "$1") " /proc/locks
}

nothing_is_held() {
	[ "$(held_by_backends)" -eq 0 ] && [ -z "$(workers_of "$daemon_pid")" ]
}

no_lock_is_left() {
	[ "$(image_locks "$dir/a")" -eq 0 ] && [ "$(image_locks "$dir/b")" -eq 0 ]
}

images() {
	qemu-img create -q -f qcow2 "$dir/a" 32M &&
	qemu-img create -q -f qcow2 "$dir/b" 32M
}

connected() {
	[ "$(be_state "$1" "$2")" = 4 ]
}

# A guest in the middle of its work; $guest_pid
busy_guest() {
	"$simguest" verify --domid "$1" --vdev "$2" --seconds 60 \
		>"$dir/busy.log" 2>&1 &
	guest_pid=$!
	wait_for 10 connected "$1" "$3"
}

kill_guest() {
	kill -9 "$guest_pid"
	wait "$guest_pid" 2>/dev/null
	:
}

# One of them has its rings ready before there is anybody to look at them; what
# waits for its image to be looked at, as a hotplug script does, must hear of it.
existing_devices() {
	guest create --domid 2 --script-dir "$scripts" \
		--disk "$dir/b,qcow2,xvdb,rw" \
		--disk "script=block-xdisk,vdev=xvda,target=qcow2:$dir/a" &
	create_pid=$!
	wait_for 5 xenstore-exists /libxl/2/device/vbd/51712 || return
	guest sequence --domid 2 --vdev xvda early &
	early_pid=$!
	sleep 0.2
	daemon_start
	wait $early_pid && wait $create_pid &&
	guest verify --domid 2 --vdev xvda --ops 300 &&
	guest verify --domid 2 --vdev xvdb --ops 300
}

attach_detach() {
	attach_n=0
	while [ $attach_n -lt 5 ]; do
		guest attach --domid 2 --disk "$dir/a,qcow2,xvdc,rw" &&
		guest verify --domid 2 --vdev xvdc --ops 100 &&
		guest detach --domid 2 --vdev xvdc || return
		attach_n=$((attach_n + 1))
	done
}

detach_while_connected() {
	guest attach --domid 2 --disk "$dir/a,qcow2,xvdc,rw" || return
	busy_guest 2 xvdc 51744 || return
	guest detach --domid 2 --vdev xvdc --force
	kill_guest
	wait_for 5 no_lock_is_left
}

killed_guests() {
	kill_n=0
	while [ $kill_n -lt "$kills" ]; do
		guest create --domid 4 --disk "$dir/a,qcow2,xvda,rw" || return
		busy_guest 4 xvda 51712 || return
		sleep "0.0$((kill_n * 7 % 10))$kill_n"
		kill_guest
		guest destroy --domid 4 --quick || return
		wait_for 5 no_lock_is_left || return
		qemu-img check -f qcow2 "$dir/a" || return
		kill_n=$((kill_n + 1))
	done
}

# The guest dies with its store directory and memory at once.
destroyed_in_mid_write() {
	guest create --domid 6 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 6 xvda 51712 || return
	guest destroy --domid 6 --quick || return
	kill_guest
	wait_for 5 no_lock_is_left && qemu-img check -f qcow2 "$dir/a"
}

second_owner_is_refused() {
	guest create --domid 8 --disk "$dir/a,qcow2,xvda,rw" &&
	guest create --domid 9 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 8 xvda 51712 || return
	if timeout 20 "$simguest" show --domid 9 --vdev xvda; then
		echo "two guests own one image"
		return 1
	fi
	kill_guest
	grep -i lock "$daemon_log"
	xenstore-ls /local/domain/0/backend/qdisk/9
	guest destroy --domid 8 --quick
	guest destroy --domid 9 --quick
}

missing_image_is_explained() {
	guest create --domid 10 --disk "$dir/nothing,qcow2,xvda,rw" || return
	wait_for 5 xenstore-exists \
		/local/domain/0/backend/qdisk/10/51712/hotplug-error
	why=$(xenstore-read \
		/local/domain/0/backend/qdisk/10/51712/hotplug-error)
	guest destroy --domid 10 --quick
	echo "$why"
	case $why in *"$dir/nothing"*) return 0 ;; *) return 1 ;; esac
}

nothing_leaks() {
	wait_for 10 nothing_is_held || { guest stats; return 1; }
	wait_for 5 no_lock_is_left || { cat /proc/locks; return 1; }
	store_nodes >"$dir/nodes.now"
	diff "$dir/nodes.before" "$dir/nodes.now" || return
	fds_now=$(open_fds)
	[ "$fds_now" -le "$fds_before" ] && return
	echo "$fds_before open files before, $fds_now now"
	ls -l "/proc/$daemon_pid/fd"
	return 1
}

# Clients, children and all that is mapped are gone with the daemon.
stops_clean() {
	guest create --domid 11 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 11 xvda 51712 || return
	workers=$(workers_of "$daemon_pid")
	[ -n "$workers" ] || { echo "nobody serves"; return 1; }
	daemon_stop || { echo "had to be killed"; return 1; }
	for pid in $workers; do
		kill -0 "$pid" 2>/dev/null && { echo "worker $pid"; return 1; }
	done
	kill_guest
	guest stats | grep -v xenstored && return 1
	no_lock_is_left || return
	guest destroy --domid 11 --quick
	wait_for 5 no_lock_is_left
	qemu-img check -f qcow2 "$dir/a"
}

check "images are made" images
check "devices that were there first" existing_devices
guest destroy --domid 2 --quick
guest create --domid 2
wait_for 10 nothing_is_held
store_nodes >"$dir/nodes.before"
fds_before=$(open_fds)

check "attach and detach" attach_detach
check "detach by force in mid-request" detach_while_connected
check "$kills guests killed in mid-request" killed_guests
check "a guest destroyed in mid-write" destroyed_in_mid_write
check "a second owner of an image is refused" second_owner_is_refused
check "an image that is not there is explained" missing_image_is_explained
check "a disk for the cycles" guest attach --domid 2 \
	--disk "$dir/a,qcow2,xvda,rw"
check "$cycles times connected and disconnected" guest cycle --domid 2 \
	--vdev xvda --count "$cycles" --queues 2 --order 1
check "detach" guest detach --domid 2 --vdev xvda
check "nothing has leaked" nothing_leaks
check "SIGTERM ends everything" stops_clean
tap_done
