#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers that hang, as they do on storage that does not answer: once nobody is
# left who could want their disk they are gone within 10 seconds, and with them
# all that they held. Nor does the daemon wait for one longer than a minute.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
daemon_start

dir=$SIMXEN_DIR
be=/local/domain/0/backend/qdisk

state_is() {
	[ "$(xenstore-read "$be/$1/51712/state")" = "$2" ]
}

logged() {
	grep -q -- "$1" "$daemon_log"
}

# create DOMID: with an image of its own
create() {
	qemu-img create -q -f qcow2 "$dir/$1" 32M &&
	guest create --domid "$1" --disk "$dir/$1,qcow2,xvda,rw" &&
	wait_for 5 state_is "$1" 2
}

# The one worker there is; $hung_pid
hang_worker() {
	wait_for 5 workers_of "$daemon_pid" &&
	hung_pid=$(workers_of "$daemon_pid") && kill -STOP "$hung_pid"
}

gone() {
	! kill -0 "$hung_pid"
}

# free DOMID: within 11 s from now on, and no sooner than a worker that only
# takes its time may need.
free() {
	sleep 5
	kill -0 "$hung_pid" || { echo "killed at once"; return 1; }
	wait_for 6 gone &&
	wait_for 2 "$xdisk" io -f qcow2 -c 'write -P 1 0 64k' "$dir/$1" &&
	wait_for 2 logged "vbd $1/51712: gone"
}

destroyed_while_connected() {
	create 1 &&
	guest verify --domid 1 --vdev xvda --ops 20 --stay &&
	hang_worker && guest destroy --domid 1 --quick &&
	free 1 && logged 'busy with "disconnect" for'
}

no_worker() {
	[ -z "$(workers_of "$daemon_pid")" ]
}

# The image is being opened, by one who waits for a server, say.
destroyed_while_connecting() {
	create 2 && wait_for 5 no_worker || return
	opener_pid=$(pgrep -P "$daemon_pid" -x xdisk-opener)
	kill -STOP "$opener_pid"
	"$simguest" show --domid 2 --vdev xvda >/dev/null 2>&1 &
	guest_pid=$!
	wait_for 5 logged 'vbd 2/51712: worker down -> busy: open' || return
	hung_pid=$(workers_of "$daemon_pid")
	kill $guest_pid
	guest destroy --domid 2 --quick
	free 2 && logged 'busy with "open" for'
	opening_status=$?
	kill -CONT "$opener_pid"
	return $opening_status
}

detached_by_force() {
	create 3 &&
	guest verify --domid 3 --vdev xvda --ops 20 --stay && hang_worker ||
		return
	guest detach --domid 3 --vdev xvda --force &
	free 3 && wait $! && guest destroy --domid 3 --quick
}

# The supervisor waits for none of them.
others_are_served() {
	create 4 &&
	guest verify --domid 4 --vdev xvda --ops 20 --stay && hang_worker &&
	guest destroy --domid 4 --quick && create 5 &&
	guest verify --domid 5 --vdev xvda --ops 20 &&
	guest destroy --domid 5 --quick && free 4
}

stop_takes_a_minute() {
	create 7 &&
	guest verify --domid 7 --vdev xvda --ops 20 --stay && hang_worker ||
		return
	began=$SECONDS
	forget_pid "$daemon_pid"
	kill "$daemon_pid"
	wait_for 65 gone || return
	wait "$daemon_pid"
	[ $? -eq 1 ] && [ $((SECONDS - began)) -le 62 ] &&
	logged 'busy with "disconnect" for'
}

check "a domain destroyed while its disk's worker hangs" \
	destroyed_while_connected
check "a domain destroyed while its image is opened" \
	destroyed_while_connecting
check "a disk detached by force" detached_by_force
check "other disks meanwhile" others_are_served
check "SIGTERM while a disk's worker hangs" stop_takes_a_minute
tap_done
