#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a guest or its image makes the daemon say, and how often it is said.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
dir=$SIMXEN_DIR

# What is said of a guest's disk: each sentence without its numbers, and how
# often. An interval has 5 s, and may have begun before.
sentences() {
	grep "vbd $1/" "$daemon_log" | grep -v 'left out' |
		sed 's/^[^:]*: //; s/[0-9][0-9]*/N/g' | sort | uniq -c
}

few_lines() {
	most=$((10 * (2 + (SECONDS - begun) / 5)))
	echo "at most $most of each"
	sentences "$1" | tee /dev/stderr |
		awk -v most=$most '$1 > most { bad = 1 } END { exit bad }'
}

# lines DOMID SENTENCE: those that are there, and those that were left out.
lines() {
	grep "vbd $1/" "$daemon_log" | grep -- "$2" |
		awk '/more lines left out/ { sub(/.*\.\.\. /, ""); n += $1; next }
			{ n++ } END { print n + 0 }'
}

is() {
	echo "$1, wanted $2"
	[ "$1" -eq "$2" ]
}

gone() {
	grep -q "vbd $1/.*: gone" "$daemon_log" &&
		! workers_of "$daemon_pid"
}

# The other guest's disk comes and goes beside it.
mad_beside() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" &&
	guest create --domid 2 --disk "$dir/b,qcow2,xvda,rw" || return
	guest hostile --domid 1 --vdev xvda --case ring-forward-again &
	guest cycle --domid 2 --vdev xvda --count 4 &&
	wait $! &&
	guest destroy --domid 1 --quick &&
	guest destroy --domid 2 --quick &&
	wait_for 10 gone 1
}

# One L2 table, and then nothing but data: refcounts from cluster 5 on.
make_zero_refcounts() {
	qemu-img create -q -f qcow2 -o preallocation=metadata "$1" 512M &&
	dd if=/dev/zero of="$1" bs=2 seek=$((65536 + 5)) count=8192 \
		conv=notrunc status=none
}

discard_unreferenced() {
	guest create --domid 3 --disk "$dir/zero,qcow2,xvda,rw" &&
	guest discard --domid 3 --vdev xvda &&
	guest destroy --domid 3 --quick &&
	wait_for 10 gone 3
}

begun=$SECONDS
SIMXEN_LOG=info daemon_start
qemu-img create -q -f qcow2 "$dir/a" 16M
qemu-img create -q -f qcow2 "$dir/b" 16M
check "a ring goes mad again and again" mad_beside
check "each sentence about it stands there a few times" few_lines 1
check "the others are counted" is "$(lines 1 'the frontend claims')" 40
check "those of connections, too" is "$(lines 1 'connected: ')" 41
check "and what the supervisor says" is "$(lines 1 'more requests on')" 40
check "of the other disk all is said" is "$(lines 2 'connected: ')" 4
check "an image without refcounts" make_zero_refcounts "$dir/zero"
check "its disk is discarded" discard_unreferenced
check "not every cluster has a line" few_lines 3
check "all are counted" is "$(lines 3 'with refcount 0')" 8192
check "nothing stands in the way of what comes after" \
	is "$(lines 3 'disconnected after')" 1
tap_done
