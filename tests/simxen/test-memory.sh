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

# refused SENTENCE KIND ARGUMENTS...: what wants more than the account has for
# it is refused, with sum or limit.
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

# ---- requests in flight ---------------------------------------------------

# A disk of 192 MiB that packs well, each sector another.
make_disks() {
	python3 - "$dir/raw" <<- 'END' &&
	import sys
	with open(sys.argv[1], 'wb') as f:
	    for n in range(192):
	        f.write(b''.join(b'%015d\n' % (n << 16 | i)
	                         for i in range(1 << 16)))
	END
	"$xdisk" convert -c -f raw -O qcow2 -o cluster_size=2M "$dir/raw" \
		"$dir/packed" &&
	for n in 1 2 3; do
		"$xdisk" create -q -f qcow2 -o cluster_size=2M \
			-b "$dir/packed" -F qcow2 "$dir/over$n" || return
	done
	"$xdisk" create -q -f qcow2 -o cluster_size=2M -b "$dir/over3" \
		-F qcow2 "$dir/over4"
}

# MiB of memory that is the worker's alone, at most: the files that it maps and
# the guest's pages only become more.
own_peak() {
	awk '/VmHWM/ { n += $2 } /RssFile|RssShmem/ { n -= $2 }
		END { print int(n / 1024) }' "/proc/$1/status"
}

# within MIB IMAGE VERIFY-OPTIONS...: four full queues read right data, and the
# worker has not taken more.
within() {
	within_most=$1 within_image=$2
	shift 2
	guest create --domid 1 --pages 400000 \
		--disk "$within_image,qcow2,xvda,rw" &&
	guest verify --domid 1 --vdev xvda --stay --expect "$dir/raw" \
		--queues 4 --order 2 --qd 512 --ops 2000 "$@" || return
	worker_pid=$(workers_of "$daemon_pid")
	within_peak=$(own_peak "$worker_pid")
	guest destroy --domid 1 --quick
	echo "$within_peak MiB, at most $within_most"
	sanitized || [ "$within_peak" -le "$within_most" ]
}

config_memory() {
	daemon_stop
	printf '[defaults]\nmemory = %s\n' "$1" >"$dir/xdisk.conf"
	daemon_start --config "$dir/xdisk.conf"
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

# 64 MiB, small caches, and 16 MiB
make_disks
check "compressed clusters of 2 MiB, read" \
	within 80 "$dir/packed" --bs 4K --mix 100,0,0,0,0
check "without persistent grants, in large pieces" \
	within 80 "$dir/packed" --bs 1M --mix 100,0,0,0,0 --indirect 256 \
	--no-persistent
check "copied on write" \
	within 80 "$dir/over1" --bs 4K --mix 0,100,0,0,0
check "in large pieces" \
	within 80 "$dir/over2" --bs 1M --mix 50,50,0,0,0 --indirect 256 \
	--no-persistent
check "through a layer between" \
	within 80 "$dir/over4" --bs 64K --mix 20,80,0,0,0
config_memory 32M
rm "$dir/over1"
"$xdisk" create -q -f qcow2 -o cluster_size=2M -b "$dir/packed" -F qcow2 \
	"$dir/over1"
check "with 32 MiB instead, read" \
	within 48 "$dir/packed" --bs 4K --mix 100,0,0,0,0
check "copied on write" \
	within 48 "$dir/over1" --bs 16K --mix 20,80,0,0,0
daemon_stop
"$xdisk" create -q -f qcow2 "$dir/plain" 1M
check "a worker is as likely to be ended as any process" scores -600 0
check "and as a daemon that is likelier than that" scores 300 300
tap_done
