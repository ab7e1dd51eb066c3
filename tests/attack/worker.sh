#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers that a guest has taken over: what they can do to the daemon, and to
# the disks of others.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img python3 "$xdiskd" "$worker"
simxen_start
dir=$SIMXEN_DIR

# The daemon starts the worker that lies beside it.
cp "$xdiskd" "$dir/xdiskd"
cp "${xdiskd%/*}/xdisk-opener" "$dir/xdisk-opener"
cp "$srcdir/tests/attack/worker.py" "$dir/xdisk-worker"
chmod +x "$dir/xdisk-worker"
GOOD_WORKER=$worker
xdiskd=$dir/xdiskd
export GOOD_WORKER BEHAVIOUR

start() {
	rm -f "$dir/xdiskd.log"
	daemon_start
	guest create --domid 5 --disk "$dir/a,qcow2,xvda,rw" &&
	guest create --domid 6 --disk "$dir/b,qcow2,xvda,rw"
}

bad_worker() {
	pgrep -P "$daemon_pid" -f 'vbd 5/'
}

no_bad_worker() {
	! bad_worker
}

told() {
	xenstore-read /local/domain/0/backend/qdisk/5/51712/hotplug-error |
		grep -- "$1"
}

# killed REASON: as soon as its guest connects, which waits for answers
killed() {
	start || return
	"$simguest" verify --domid 5 --vdev xvda --ops 1 &
	guest_pid=$!
	wait_for 5 told "$1" && wait_for 1 no_bad_worker
	killed_status=$?
	kill $guest_pid
	wait $guest_pid
	return $killed_status
}

# Told to end while the guest is there, it does so at once.
ends() {
	daemon_stop && [ ! -e "/proc/$daemon_pid" ]
	ends_status=$?
	guest destroy --domid 5 --quick
	guest destroy --domid 6 --quick
	return $ends_status
}

for image in a b; do
	qemu-img create -q -f qcow2 "$dir/$image" 16M
done
while read -r BEHAVIOUR reason what; do
	group "a worker that $what"
	check "is killed, which is told" killed "${reason//_/ }"
	check "another disk is served" guest verify --domid 6 --vdev xvda \
		--ops 50
	check "SIGTERM ends the daemon" ends
done <<'END'
flood protocol floods `failed` events
noise protocol says what is not JSON
binary protocol says binary zeroes and more
huge protocol says more than a packet holds
deep protocol nests JSON without end
foreign protocol says what is not of its protocol
unasked protocol answers what it was not asked
mute signal_9 drops its socket and lives on
END
tap_done
