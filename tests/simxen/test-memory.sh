#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Memory that a worker takes because an image says so, and whom the kernel ends
# first where there is too little of it.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require python3 "$xdiskd" "$worker"
simxen_start
dir=$SIMXEN_DIR

greedy() {
	python3 "$srcdir/tests/functional/mkgreedy.py" "$@"
}

sanitized() {
	grep -q __asan_init "$worker"
}

node() {
	xenstore-read "/local/domain/0/backend/qdisk/1/51712/$1"
}

# A disk with 128 bitmaps that want a GiB.
bounded_worker() {
	greedy in_use "$dir/x" 128 shared &&
	guest create --domid 1 --disk "$dir/x,qcow2,xvda,rw" &&
	guest verify --domid 1 --vdev xvda --ops 100 --stay \
		--mix 100,0,0,0,0 || return
	worker_pid=$(workers_of "$daemon_pid")
	grep VmHWM "/proc/$worker_pid/status"
	sanitized || [ "$(awk '/VmHWM/ { print $2 }' \
		"/proc/$worker_pid/status")" -lt 100000 ] || return
	guest destroy --domid 1 --quick
}

said() {
	node hotplug-error | grep 'bytes of memory, at most 268435456'
}

# One whose tables are too large is refused, with the sum.
refused() {
	greedy in_use "$dir/y" 128 &&
	guest create --domid 1 --disk "$dir/y,qcow2,xvda,rw" || return
	guest verify --domid 1 --vdev xvda --ops 1 &
	wait_for 10 said || return
	kill $!
	guest destroy --domid 1 --quick
}

set_own_score() {
	echo "$1" >/proc/self/oom_score_adj
}

# scores DAEMON WORKER: those that they have where the daemon starts with that.
scores() {
	set_own_score "$1" 2>/dev/null || {
		echo "a score of $1 takes a privilege"
		return 77
	}
	daemon_start
	set_own_score 0
	guest create --domid 1 --disk "$dir/plain,qcow2,xvda,rw" &&
	guest verify --domid 1 --vdev xvda --ops 1 --stay || return
	worker_pid=$(workers_of "$daemon_pid")
	set -- "$1" "$2" "$(cat "/proc/$daemon_pid/oom_score_adj")" \
		"$(cat "/proc/$worker_pid/oom_score_adj")"
	echo "daemon $3, wanted $1; worker $4, wanted $2"
	guest destroy --domid 1 --quick
	daemon_stop
	[ "$1" -eq "$3" ] && [ "$2" -eq "$4" ]
}

daemon_start
check "bitmaps that name one table share it" bounded_worker
check "too many tables are refused, with sum and limit" refused
daemon_stop
"$xdisk" create -q -f qcow2 "$dir/plain" 1M
check "a worker is as likely to be ended as any process" scores -600 0
check "and as a daemon that is likelier than that" scores 300 300
tap_done
