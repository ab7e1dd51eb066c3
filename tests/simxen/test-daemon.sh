#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The daemon as its administrator meets it: options and configuration, errors
# and where they are told, images that are locked, workers and daemons that
# die, the hotplug script, and a QEMU that comes late.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img qemu-io "$xdiskd" "$worker"
simxen_start
store_pid=${simxen_pids%% *}	# the first that was started

dir=$SIMXEN_DIR
scripts=$(cd "${srcdir:-.}/dist" && pwd)

images() {
	qemu-img create -q -f qcow2 "$dir/a" 32M &&
	qemu-img create -q -f qcow2 "$dir/b" 32M &&
	truncate -s 32M "$dir/raw" &&
	echo "no image at all" >"$dir/bad"
}

# status_of STATUS COMMAND...
status_of() {
	status_want=$1
	shift
	"$@"
	[ $? -eq "$status_want" ]
}

node() {
	xenstore-read "/local/domain/0/backend/$1"
}

node_has() {
	node "$1" 2>/dev/null | grep -q -- "$2"
}

logged() {
	grep -q -- "$1" "$daemon_log"
}

connected() {
	node_has "$1/state" 4
}

# A guest in the middle of its work; $guest_pid
busy_guest() {
	"$simguest" verify --domid "$1" --vdev "$2" --seconds 60 \
		>"$dir/busy.log" 2>&1 &
	guest_pid=$!
	wait_for 10 connected "qdisk/$1/$3"
}

kill_guest() {
	kill -9 "$guest_pid"
	wait "$guest_pid" 2>/dev/null
	:
}

# ---- options ----------------------------------------------------------------

config() {
	printf '%s\n' "$@" >"$dir/conf"
	status_of 0 "$xdiskd" --check-config --config "$dir/conf"
}

# bad_config WORD LINE...: refused, in a sentence with the word in it
bad_config() {
	bad_word=$1
	shift
	printf '%s\n' "$@" >"$dir/conf"
	status_of 1 "$xdiskd" --check-config --config "$dir/conf" \
		2>"$dir/said" || return
	cat "$dir/said"
	grep -q -- "$bad_word" "$dir/said"
}

usage_errors() {
	status_of 2 "$xdiskd" --no-such-option &&
	status_of 2 "$xdiskd" --kinds qdisk,floppy &&
	status_of 2 "$xdiskd" --cache fast &&
	status_of 2 "$xdiskd" --aio magic &&
	status_of 2 "$xdiskd" --log-level loud &&
	status_of 2 "$xdiskd" leftover &&
	status_of 0 "$xdiskd" --help &&
	status_of 0 "$xdiskd" --version
}

configurations() {
	config &&
	config '[xdiskd]' 'kinds = qdisk' 'all-vbd = yes' 'queues = 16' \
		'[defaults]' 'cache = none' 'aio = threads' \
		'[image one]' 'path = /srv/*' 'l2-cache-size = 4M' \
		'memory = 32M' &&
	config '[defaults]' 'data-file = beside' '[image one]' 'path = /srv/*' \
		'data-file = /dev/vg/data' '[image two]' 'path = /srv/two' \
		'data-file = none' &&
	bad_config 'line 2' '[xdiskd]' 'nonsense' &&
	bad_config 'speed' '[xdiskd]' 'speed = 3' &&
	bad_config 'floppy' '[floppy]' 'a = b' &&
	bad_config 'fast' '[defaults]' 'cache = fast' &&
	bad_config 'none of' '[defaults]' 'aio = io_uring libaio' &&
	bad_config 'maybe' '[xdiskd]' 'all-vbd = maybe' &&
	bad_config '17' '[xdiskd]' 'queues = 17' &&
	bad_config 'line 2: "../x" is neither beside nor' '[defaults]' \
		'data-file = ../x' &&
	bad_config '"" is neither' '[image one]' 'path = /x' 'data-file =' &&
	bad_config 'aio, data-file,' '[defaults]' 'data_file = beside' &&
	bad_config '"lots" is not a size' '[defaults]' 'memory = lots' &&
	bad_config 'less than 32M' '[defaults]' 'memory = 31M' &&
	bad_config 'no path' '[image one]' 'cache = none' &&
	status_of 1 "$xdiskd" --check-config --config "$dir/not-there"
}

in_the_background() {
	(on_simxen "$xdiskd" --run-dir "$dir/bg" --kinds qdisk) || return
	bg_pid=$(cat "$dir/bg/xdiskd.pid")
	simxen_pids="$bg_pid $simxen_pids"
	kill -0 "$bg_pid" || return
	# one daemon a run directory
	(on_simxen "$xdiskd" --foreground --run-dir "$dir/bg") 2>"$dir/said"
	[ $? -eq 1 ] && grep -q 'another xdiskd' "$dir/said" || return
	forget_pid "$bg_pid"
	end_process "$bg_pid"
	! kill -0 "$bg_pid" 2>/dev/null
}

# ---- images -----------------------------------------------------------------

# Told at once, long before a guest asks; and again when it does.
bad_images() {
	guest create --domid 1 --disk "$dir/missing,qcow2,xvda,rw" \
		--disk "$dir/bad,qcow2,xvdb,rw" || return
	wait_for 5 node_has qdisk/1/51712/hotplug-error 'No such file' &&
	wait_for 5 node_has qdisk/1/51728/hotplug-error 'not a qcow2' &&
	node_has qdisk/1/51712/error missing &&
	logged 'vbd 1/51728: .*not a qcow2' || return
	status_of 1 guest verify --domid 1 --vdev xvda --ops 1 &&
	guest destroy --domid 1 --quick
}

# A QEMU that lets go while the guest waits; and one that does not.
locked_image() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" || return
	sleep 2 | qemu-io "$dir/a" >/dev/null &
	sleep 0.5
	guest verify --domid 1 --vdev xvda --ops 100 &&
	logged 'waiting for the image' &&
	guest destroy --domid 1 --quick
}

# No device has two images in it, whoever is asked.
kinds_of_disks() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,r" \
		--disk "backendtype=qdisk,devtype=cdrom,vdev=xvdb,target=$dir/raw" \
		--disk ',raw,xvdc:cdrom,r' || return
	guest hostile --domid 1 --vdev xvda --case readonly-write &&
	guest show --domid 1 --vdev xvdb | grep '"info": 7' &&
	wait_for 5 node_has qdisk/1/51744/state 2 &&
	! node qdisk/1/51744/error 2>/dev/null &&
	guest destroy --domid 1 --quick
}

# ---- deaths -----------------------------------------------------------------

killed_worker() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 1 xvda 51712 || return
	kill -9 "$(workers_of "$daemon_pid")"
	wait_for 5 node_has qdisk/1/51712/state 5 &&
	node_has qdisk/1/51712/error 'signal 9' || return
	kill_guest
	# its next driver gets a new worker
	guest verify --domid 1 --vdev xvda --ops 100 &&
	guest destroy --domid 1 --quick || return
	# clusters that were allocated and not yet linked are lost, no more
	wait_for 5 qemu-img check -q -r leaks "$dir/a"
}

stopped_and_started() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" \
		--disk "$dir/b,qcow2,xvdb,rw" || return
	busy_guest 1 xvda 51712 || return
	daemon_stop || return
	node_has qdisk/1/51712/state 6 && node_has qdisk/1/51728/state 2 &&
	[ "$(held_by_backends)" -eq 0 ] && qemu-img check "$dir/a" || return
	kill_guest
	daemon_start &&
	guest verify --domid 1 --vdev xvdb --ops 100 &&
	guest verify --domid 1 --vdev xvda --ops 100 &&
	guest destroy --domid 1 --quick
}

no_worker_of() {
	for pid; do
		! kill -0 "$pid" 2>/dev/null || return
	done
}

# Its workers drain and end; its successor says what it has found.
killed_daemon() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 1 xvda 51712 || return
	left=$(workers_of "$daemon_pid")
	kill -9 "$daemon_pid"
	forget_pid "$daemon_pid"
	# shellcheck disable=SC2086
	wait_for 10 no_worker_of $left || return
	qemu-img check "$dir/a" && kill_guest
	daemon_start || return
	wait_for 5 node_has qdisk/1/51712/error 'ended without closing' &&
	guest verify --domid 1 --vdev xvda --ops 100 &&
	guest destroy --domid 1 --quick
}

# ---- others -----------------------------------------------------------------

hotplug_script() {
	guest create --domid 1 --script-dir "$scripts" --disk \
		"script=block-xdisk,vdev=xvda,target=qcow2:$dir/a" || return
	guest verify --domid 1 --vdev xvda --ops 100 &&
	status_of 1 guest attach --domid 1 --script-dir "$scripts" --disk \
		"script=block-xdisk,vdev=xvdb,target=qcow2:$dir/missing" &&
	guest attach --domid 1 --script-dir "$scripts" --disk \
		"script=block-xdisk,vdev=xvdc,target=$dir/raw" &&
	guest verify --domid 1 --vdev xvdc --ops 100 &&
	guest destroy --domid 1 --quick
}

# Somebody else's script: not ours to serve.
foreign_script() {
	printf '#!/bin/sh\n' >"$dir/block-other"
	chmod +x "$dir/block-other"
	status_of 1 guest create --domid 1 --script-dir "$dir" --disk \
		"script=block-other,vdev=xvda,target=$dir/raw" &&
	node_has vbd/1/51712/state 1 &&
	guest destroy --domid 1 --quick
}

untouched() {
	node_has qdisk/1/51712/state 1 && ! node_has qdisk/1/51712/xdisk-owner .
}

# A format that QEMU knows and we do not is QEMU's.
foreign_format() {
	guest create --domid 1 --disk "$dir/c,vhd,xvda,rw" &&
	sleep 0.3 && untouched &&
	guest destroy --domid 1 --quick
}

nothing_is_held() {
	[ "$(held_by_backends)" -eq 0 ]
}

# A QEMU that was slow, and comes when we serve already: it writes 2.
late_qemu() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 1 xvda 51712 || return
	xenstore-write /local/domain/0/backend/qdisk/1/51712/state 2
	wait_for 5 node_has qdisk/1/51712/hotplug-error 'left to QEMU' &&
	wait_for 5 nothing_is_held &&
	node_has qdisk/1/51712/state 2 || return
	kill_guest
	guest destroy --domid 1 --quick
}

# The last: nothing can be told to anybody any more.
no_xenstore() {
	guest create --domid 1 --disk "$dir/a,qcow2,xvda,rw" || return
	busy_guest 1 xvda 51712 || return
	kill -9 "$store_pid"
	daemon_stop && logged 'xenstore does not answer' && nothing_is_held && qemu-img check "$dir/a"
	no_xenstore_status=$?
	kill_guest
	return $no_xenstore_status
}

check "images are made" images
check "wrong usage and its exit status" usage_errors
check "configuration files, good and bad" configurations
check "in the background, once a run directory" in_the_background
daemon_start
check "images that cannot be used" bad_images
check "an image that QEMU gives up late" locked_image
check "read-only, CD and an empty drive" kinds_of_disks
check "a worker that is killed" killed_worker
check "a daemon that is stopped and started" stopped_and_started
check "a daemon that is killed" killed_daemon
check "the hotplug script" hotplug_script
check "a script that is not ours" foreign_script
check "a format that is not ours" foreign_format
check "a QEMU that comes late" late_qemu
check "SIGTERM ends everything" daemon_stop
daemon_start
check "without xenstore" no_xenstore
tap_done
