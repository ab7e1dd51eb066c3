#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What guests write to xenstore: what it says, how often, and what becomes of
# others meanwhile.
. "${srcdir:-.}/tests/attack/lib.sh"
hostile_start
be=/local/domain/0/backend/qdisk
fe=/local/domain/5/device/vbd
dir=$SIMXEN_DIR

sanitized() {
	grep -q __asan_init "$xdiskd"
}

node_has() {
	xenstore-read "$be/$1" 2>/dev/null | grep -q -- "$2"
}

another() {
	cp "$image.honest" "$dir/other" &&
	guest create --domid 6 --disk "$dir/other,qcow2,xvda,rw"
}

another_is_served() {
	guest verify --domid 6 --vdev xvda --ops 200 --qd 4
}

play XSA-175

# ---- XSA-178 ----------------------------------------------------------------

# The guest writes beside its own nodes all that is the toolstack's.
lies() {
	for lie in mode=w params="qcow2:$dir/other" backend="$be/6/51712" \
		backend-id=7 frontend=/local/domain/6/device/vbd/51712 \
		frontend-id=6 device-type=disk discard-enable=1 online=0 \
		sectors=9 info=0 feature-discard=1 script=/bin/false; do
		xenstore-write "$fe/51728/${lie%%=*}" "${lie#*=}" || return
	done
}

lies_are_not_believed() {
	lies && played readonly-write &&
	guest show --domid 5 --vdev xvdb >"$dir/show" || return
	cat "$dir/show"
	grep -q '"sectors": 32768,.*"info": 4,' "$dir/show" &&
	cmp "$image.honest" "$dir/other"
}

# Readable for the guest, and nothing else.
not_the_guests() {
	guest verify --domid 5 --vdev xvda --ops 10 >/dev/null &&
	xenstore-ls -fp "$be/5" >"$dir/nodes" || return
	[ "$(wc -l <"$dir/nodes")" -gt 20 ] &&
	! grep "$be/5/" "$dir/nodes" | grep -v '(n0,r5)$'
}

# directory NODE VALUE: a disk of domain 7 whose directory is good but for that
directory() {
	xenstore-write "$be/7/51712/frontend" /local/domain/7/device/vbd/51712 \
		"$be/7/51712/frontend-id" 7 "$be/7/51712/online" 1 \
		"$be/7/51712/params" "qcow2:$dir/third" \
		"$be/7/51712/mode" w "$be/7/51712/dev" xvda \
		"$be/7/51712/$1" "$2" \
		"$be/7/51712/state" "${3:-1}"
}

forgotten() {
	xenstore-rm "$be/7" && wait_for 5 logged_gone
}

logged_gone() {
	tail -n "+$log_from" "$daemon_log" | grep 'vbd 7/51712: gone'
}

# told NODE VALUE SENTENCE: in hotplug-error
told() {
	log_from=$(($(wc -l <"$daemon_log") + 1))
	directory "$1" "$2" || return
	wait_for 5 node_has 7/51712/hotplug-error "$3"
	told_status=$?
	xenstore-ls "$be/7/51712"
	forgotten && return $told_status
}

# left NODE VALUE [STATE]: alone, as somebody else's
left() {
	directory "$@" || return
	sleep 0.2
	! xenstore-exists "$be/7/51712/xdisk-owner" &&
	node_has 7/51712/state "${3:-1}"
	left_status=$?
	xenstore-ls "$be/7/51712"
	xenstore-rm "$be/7"
	return $left_status
}

long=$(head -c 3500 /dev/zero | tr '\0' a)

about XSA-178
check "another guest" another
check "what the guest writes about its disk is not believed" \
	lies_are_not_believed
check "what the daemon writes is not the guest's to change" not_the_guests
cp "$image.honest" "$dir/third"
guest create --domid 7
check "a frontend in the directory of another guest" told frontend \
	/local/domain/6/device/vbd/51712 'not below /local/domain/7/'
check "a frontend of no guest" told frontend /local/domain/70/device/vbd/1 \
	'frontend is not below'
check "a frontend that is no path" told frontend nowhere \
	'frontend is not below'
check "a frontend with a long name" told frontend \
	"/local/domain/7/$long" 'no frontend node'
check "a frontend of another guest's number" told frontend-id 6 \
	'frontend-id is not 7'
check "a frontend of no number" told frontend-id 7x 'frontend-id is not 7'
check "params with a long path" told params "qcow2:/$long" '^/aaaa'
check "params that are not of ours" left params "vpc:$dir/third"
check "params that are nothing" left params nothing
check "a state that does not exist" left dev xvda 99
check "a state that is no number" left dev xvda 1x
check "the other guest has not noticed" another_is_served

# ---- storms -----------------------------------------------------------------

memory_of_daemon() {
	awk '/VmHWM/ { print $2 }' "/proc/$daemon_pid/status"
}

# The directories of two disks change without end for three seconds.
storms() {
	storms=
	for vdev in xvda xvdb; do
		"$simguest" hostile --domid 5 --vdev $vdev --case node-storm \
			>"$dir/storm.$vdev" 2>&1 &
		storms="$storms $!"
	done
	sleep 0.3
}

storms_end() {
	for pid in $storms; do
		wait "$pid" || { cat "$dir"/storm.*; return 1; }
	done
}

five_times() {
	for n in 1 2 3 4 5; do
		guest verify --domid 6 --vdev xvda --ops 20 || return
	done
}

attach_and_detach() {
	guest attach --domid 6 --disk "$dir/third,qcow2,xvdb,rw" &&
	guest verify --domid 6 --vdev xvdb --ops 50 &&
	guest detach --domid 6 --vdev xvdb
}

memory_is_bounded() {
	echo "$1 KiB before, $2 KiB after"
	sanitized || [ $(($2 - $1)) -lt 1024 ]
}

about XSA-206
storms
check "another guest's disk is connected and closed five times" five_times
check "the two that storm are served, too" storms_end

play XSA-349
before=$(memory_of_daemon)
storms
check "a disk is attached and detached beside it" attach_and_detach
check "the two that storm are served, too" storms_end
check "the daemon has taken no memory for it" memory_is_bounded "$before" \
	"$(memory_of_daemon)"

play XSA-350

# Unpacking takes its time, so that there is much in flight when it closes.
slow_disk() {
	base64 /dev/urandom | head -c 16M >"$dir/text" &&
	qemu-img convert -q -c -f raw -O qcow2 "$dir/text" "$dir/slow" &&
	guest attach --domid 5 --disk "$dir/slow,qcow2,xvdc,ro"
}

# in_flight CASE [OPTION]: with as many requests as fit into four large rings
in_flight() {
	guest hostile --domid 5 --vdev xvdc --order 4 --queues 4 \
		--indirect 256 --case "$@"
}

check "a disk that is slow" slow_disk
check "it is closed with all its rings full" in_flight close-in-flight
check "and without a word" in_flight closed-in-flight --no-persistent

# ---- what is left -----------------------------------------------------------

about XSA-326
for domid in 6 7; do
	check "guest $domid is destroyed" guest destroy --domid $domid --quick
done
check "the one that stormed is destroyed" guest destroy --domid 5 --quick
wait_for 5 nodes_are_as_before
check "nothing is left in xenstore" nodes_are_as_before
check "the disks can be made anew" hostile_create
hostile_done
