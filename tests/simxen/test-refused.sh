#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A xenstore that refuses what the daemon writes, as it does where a driver
# domain's quota is full: the daemon waits longer and longer, says so once,
# shows the error where it can and goes on when xenstore does.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start

dir=$SIMXEN_DIR
scripts=$(cd "${srcdir:-.}/dist" && pwd)
be=/local/domain/0/backend/qdisk/1/51712

# refuse WORD...: nodes by their names, and `watch`
refuse() {
	echo "$*" >"$dir/refused.new"
	mv "$dir/refused.new" "$dir/refused"
}

allow() {
	rm "$dir/refused"
}

node_has() {
	xenstore-read "$be/$1" 2>/dev/null | grep -q -- "$2"
}

logged() {
	tail -n "+$log_from" "$daemon_log" | grep -c -- "$1"
}

# A line of the log for the start, and one for the end.
said_once() {
	tail -n "+$log_from" "$daemon_log"
	[ "$(logged "refuses to $1 the disk")" = 1 ] &&
	[ "$(logged 'takes everything again')" = 1 ]
}

# In ticks of 10 ms
cpu_time() {
	awk '{ print $14 + $15 }' "/proc/$daemon_pid/stat"
}

# The daemon has little to do and to say, for two seconds.
is_quiet() {
	cpu_before=$(cpu_time)
	log_before=$(wc -l <"$daemon_log")
	sleep 2
	cpu_used=$(($(cpu_time) - cpu_before))
	log_grown=$(($(wc -l <"$daemon_log") - log_before))
	simxen_say "$cpu_used ticks, $log_grown lines in 2 s" >&3
	[ "$cpu_used" -lt 10 ] && [ "$log_grown" -lt 3 ]
}

no_error() {
	! xenstore-exists "$be/error" && ! xenstore-exists "$be/hotplug-error"
}

create() {
	log_from=$(($(wc -l <"$daemon_log") + 1))
	guest create --domid 1 --script-dir "$scripts" "$@"
}

plain_disk() {
	create --disk "$dir/a,qcow2,xvda,rw"
}

destroy() {
	guest destroy --domid 1 --quick
}

use_in_background() {
	"$simguest" verify --domid 1 --vdev xvda --ops 100 >"$dir/used" 2>&1 &
	guest_pid=$!
}

image() {
	qemu-img create -q -f qcow2 "$dir/a" 32M
}

# The guest waits, and has its disk as soon as there is room for its nodes.
publish_refused() {
	refuse sectors
	plain_disk || return
	use_in_background
	wait_for 5 node_has error 'refuses to publish the disk: No space' &&
	node_has hotplug-error 'refuses to publish' && node_has state 2 &&
	is_quiet || return
	allow
	wait_for 11 node_has state 4 && wait "$guest_pid" &&
	wait_for 5 no_error && said_once publish && destroy
}

error_refused() {
	refuse sectors error
	plain_disk || return
	use_in_background
	wait_for 5 logged 'refuses to publish' && sleep 1 && no_error || return
	refuse sectors
	wait_for 11 node_has error 'refuses to publish' || return
	allow
	wait_for 11 node_has state 4 && wait "$guest_pid" &&
	wait_for 5 no_error && said_once publish && destroy
}

# A guest that nobody hears of has no disk, and no script says that it has.
watch_refused() {
	refuse watch
	plain_disk || return
	wait_for 5 node_has error 'refuses to watch' && is_quiet &&
	node_has state 7 || return
	allow
	wait_for 11 node_has state 2 && wait_for 5 no_error &&
	guest verify --domid 1 --vdev xvda --ops 100 &&
	said_once watch && destroy
}

claim_refused() {
	refuse xdisk-owner
	plain_disk || return
	is_quiet && node_has state 1 || return
	allow
	wait_for 11 node_has state 2 &&
	guest verify --domid 1 --vdev xvda --ops 100 &&
	said_once claim && destroy
}

# Its directory goes while it is not ours yet.
claim_refused_and_gone() {
	refuse xdisk-owner
	plain_disk && wait_for 5 logged 'refuses to claim' && destroy || return
	allow
	plain_disk && wait_for 2 node_has state 2 && destroy
}

offer_refused() {
	refuse feature-persistent
	plain_disk || return
	wait_for 5 node_has error 'refuses to offer' && is_quiet || return
	allow
	wait_for 11 node_has state 2 && wait_for 5 no_error &&
	said_once offer && destroy
}

# What is refused does not keep the rest waiting.
detach_while_refused() {
	refuse sectors
	plain_disk || return
	use_in_background
	wait_for 5 node_has error 'refuses to publish' && is_quiet || return
	kill "$guest_pid"
	began=$SECONDS
	guest detach --domid 1 --vdev xvda --force &&
	[ $((SECONDS - began)) -lt 5 ]
	detach_status=$?
	allow
	destroy && return $detach_status
}

# The image's error comes back when xenstore's is over.
image_error_stands() {
	refuse feature-persistent
	create --disk "$dir/missing,qcow2,xvda,rw" || return
	wait_for 5 node_has error 'refuses to offer' || return
	allow
	wait_for 11 node_has error 'No such file' && sleep 0.5 &&
	node_has error 'No such file' && said_once offer && destroy
}

restarted() {
	plain_disk && wait_for 5 node_has state 2 && daemon_stop || return
	refuse feature-persistent
	log_from=$(($(wc -l <"$daemon_log") + 1))
	daemon_start
	is_quiet || return
	allow
	wait_for 11 logged 'found again' &&
	guest verify --domid 1 --vdev xvda --ops 100 &&
	said_once claim && destroy
}

exec 3>&1
SIMXEN_LOG=info
daemon_start
check "an image is made" image
check "size and state refused" publish_refused
check "even the error refused" error_refused
check "a watch refused" watch_refused
check "a claim refused" claim_refused
check "a claim refused until the disk is gone" claim_refused_and_gone
check "an offer refused" offer_refused
check "detached while the state is refused" detach_while_refused
check "an image's error, and xenstore's" image_error_stands
check "refused to a daemon that is started again" restarted
check "SIGTERM ends everything" daemon_stop
tap_done
