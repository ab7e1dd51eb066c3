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
	node hotplug-error | grep -E "$1"
}

# refused SENTENCE KIND ARGUMENTS...: what wants more than the account has for it
# is refused, with sum or limit.
refused() {
	refused_because=$1 refused_kind=$2
	shift 2
	greedy "$refused_kind" "$dir/y" "$@" &&
	guest create --domid 1 --disk "$dir/y,qcow2,xvda,rw" || return
	guest verify --domid 1 --vdev xvda --ops 1 &
	wait_for 10 said "$refused_because" || {
		node hotplug-error
		return 1
	}
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
tables=$((35 << 20))	# what 64 MiB leave for them
too_much="would take [0-9]* bytes of memory, at most $tables"
check "too many tables are refused, with sum and limit" \
	refused "$too_much" in_use 128
check "tables that writes would make are counted, too" \
	refused "$too_much" l1 $((1 << 20))
check "so are bits of an enabled bitmap that are not set yet" \
	refused "$too_much" enabled 1
check "a repair that takes more is refused, with the limit" \
	refused 'repair it takes more than [0-9]* bytes of memory' dirty 2048
daemon_stop
"$xdisk" create -q -f qcow2 "$dir/plain" 1M
check "a worker is as likely to be ended as any process" scores -600 0
check "and as a daemon that is likelier than that" scores 300 300
tap_done
