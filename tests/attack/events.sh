#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Event channels: those of a frontend that fires without end, and our own.
. "${srcdir:-.}/tests/attack/lib.sh"
hostile_start
storm=3		# seconds

# Another guest does not notice.
another_is_served() {
	guest verify --domid 6 --vdev xvda --seconds 2
}

# What the worker of a disk does; the line of `guest stats` that is its own.
worker_of() {
	pgrep -f "xdisk-worker --name vbd $1 " -P "$daemon_pid"
}

wakeups() {
	held "$(worker_of 5/51712)" wakeups
}

# An event that brings no request costs little, so a storm of them costs no more
# than a thousand a second do.
few_wakeups() {
	echo "$1 wake-ups in $storm s"
	[ "$1" -lt $((storm * 1500)) ]
}

play XSA-331

about XSA-332
cp "$image" "$image.other"
check "another guest" guest create --domid 6 --disk "$image.other,qcow2,xvda,rw"
before=$(wakeups)
guest hostile --domid 5 --vdev xvda --case kick-storm &
check "it is served during the storm" another_is_served
check "the one who storms is, too" wait $!
check "the worker sleeps during the storm" few_wakeups \
	$(($(wakeups) - before))
check "the other guest is destroyed" guest destroy --domid 6 --quick

play XSA-391
hostile_done
