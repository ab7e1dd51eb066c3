#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Disks that are plugged into a running guest, beside a QEMU that takes plain
# lines, too: who serves one does so alone, and every disk works.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img qemu-io "$xdiskd" "$worker" "$qemu_xen"
simxen_start

dir=$SIMXEN_DIR
scripts=$(cd "${srcdir:-.}/dist" && pwd)
rounds=${HOTPLUG_ROUNDS:-10}
be=/local/domain/0/backend/qdisk/1
names="b c d e f g h i j k"	# ten disks a round

images() {
	for x in a $names; do
		qemu-img create -q -f qcow2 "$dir/$x" 32M || return
	done
}

devid() {
	echo $((51712 + 16 * ($(printf '%d' "'$1") - 97)))
}

node() {
	xenstore-read "$be/$1" 2>/dev/null
}

# The nodes of ours that QEMU does not write.
ours="xdisk-owner multi-queue-max-queues feature-persistent
	feature-max-indirect-segments physical-sector-size error hotplug-error"

no_node_of_ours() {
	for ours_node in $ours; do
		! node "$1/$ours_node" || { echo "$ours_node"; return 1; }
	done
}

# Whoever has it, it is one of us, with all that belongs to him.
one_backend() {
	if node "$1/xdisk-owner" >/dev/null; then
		node "$1/feature-persistent" >/dev/null
	else
		node "$1/sectors" >/dev/null && no_node_of_ours "$1"
	fi
}

attach_round() {
	specs=
	for x in $names; do
		specs="$specs --disk $dir/$x,qcow2,xvd$x,rw"
	done
	# One after the other, and all in a burst.
	if [ $(($1 % 2)) = 0 ]; then
		# shellcheck disable=SC2086
		guest attach --domid 1 $specs
	else
		for x in $names; do
			guest attach --domid 1 \
				--disk "$dir/$x,qcow2,xvd$x,rw" || return
		done
	fi
}

# Every byte checked, with all that the backend offers.
use() {
	guest verify --domid 1 --vdev "xvd$1" --ops 60 --qd 8 --queues 4 \
		--order 4 --indirect 256 --seed "$2" &&
	one_backend "$(devid "$1")"
}

none_left() {
	! xenstore-list $be/"$(devid b)" && ! xenstore-list $be/"$(devid k)"
}

attach_and_use() {
	attach_round "$1" || return
	for x in $names; do
		use "$x" "$1" || { echo "round $1, xvd$x"; return 1; }
		node "$(devid "$x")/xdisk-owner" >/dev/null ||
			qemus=$((qemus + 1))
		guest detach --domid 1 --vdev "xvd$x" || return
	done
	# QEMU removes its directory late, even one that was made anew.
	wait_for 5 none_left && sleep 0.3
}

beside_qemu() {
	qemus=0
	for round in $(seq "$rounds"); do
		attach_and_use "$round" || return
	done
	echo "QEMU served $qemus of $((10 * rounds))"
	simxen_say "QEMU served $qemus of $((10 * rounds))" >&3
}

# A daemon that sleeps: QEMU has all the time it wants.
qemu_first() {
	kill -STOP "$daemon_pid"
	guest attach --domid 1 --disk "$dir/b,qcow2,xvdb,rw"
	wait_for 5 node 51728/sectors
	qemu_first=$?
	kill -CONT "$daemon_pid"
	[ $qemu_first = 0 ] || return
	use b 1 && no_node_of_ours 51728 &&
	guest detach --domid 1 --vdev xvdb && wait_for 5 none_left
}

# ---- without a QEMU, but with its nodes, so that each moment can be had -------

claimed() {
	[ "$(node 51728/state)" = 7 ]
}

offered() {
	[ "$(node 51728/state)" = 2 ]
}

qemu_writes() {
	for pair; do
		xenstore-write "$be/51728/${pair%=*}" "${pair#*=}" || return
	done
}

closing() {
	[ "$(node 51728/state)" = 5 ]
}

detach_from_qemu() {
	(wait_for 5 closing && qemu_writes state=6) &
	guest detach --domid 1 --vdev xvdb --force
}

attach_claimed() {
	guest attach --domid 1 --disk "$dir/b,qcow2,xvdb,rw" &&
	wait_for 5 claimed
}

# Before the offer nothing is there but the owner's name.
nothing_before_offer() {
	attach_claimed || return
	for ours_node in ${ours#xdisk-owner} sectors feature-flush-cache; do
		! node "51728/$ours_node" || return
	done
	wait_for 5 offered && node 51728/xdisk-owner &&
	use b 2 && guest detach --domid 1 --vdev xvdb
}

qemu_while_claimed() {
	attach_claimed &&
	qemu_writes feature-flush-cache=1 max-ring-page-order=4 info=0 \
		sectors=65536 hotplug-status=connected state=2 || return
	sleep 1.5	# longer than the daemon waits
	no_node_of_ours 51728 && [ "$(node 51728/state)" = 2 ] &&
	[ "$(node 51728/hotplug-status)" = connected ] &&
	detach_from_qemu
}

# One that is slower than we wait for: what the frontend has not read yet is
# taken back.
qemu_after_offer() {
	attach_claimed && wait_for 5 offered &&
	qemu_writes feature-flush-cache=1 max-ring-page-order=4 info=0 \
		sectors=65536 hotplug-status=connected state=2 || return
	wait_for 5 no_node_of_ours 51728 &&
	[ "$(node 51728/feature-flush-cache)" = 1 ] &&
	[ "$(node 51728/state)" = 2 ] &&
	detach_from_qemu
}

# An image that cannot be opened is QEMU's to complain of, then.
bad_image_of_qemu() {
	guest attach --domid 1 --disk "$dir/missing,qcow2,xvdb,rw" &&
	wait_for 5 node 51728/hotplug-error &&
	qemu_writes sectors=65536 &&
	wait_for 5 no_node_of_ours 51728 &&
	detach_from_qemu
}

detached_while_claimed() {
	attach_claimed && guest detach --domid 1 --vdev xvdb &&
	! node 51728/state
}

given_back() {
	attach_claimed && daemon_stop || return
	[ "$(node 51728/state)" = 1 ] && no_node_of_ours 51728 &&
	daemon_start && wait_for 5 offered && use b 3 &&
	guest detach --domid 1 --vdev xvdb
}

killed_while_claimed() {
	attach_claimed || return
	kill -9 "$daemon_pid"
	forget_pid "$daemon_pid"
	claimed && daemon_start && wait_for 5 offered && use b 4 &&
	guest detach --domid 1 --vdev xvdb
}

features_with_state_2() {
	guest offers --domid 1 --vdev xvdb --count "${1:-100}" \
		--disk "$dir/b,qcow2,xvdb,rw"
}

features_by_script() {
	guest offers --domid 1 --vdev xvdb --count 20 --script-dir "$scripts" \
		--disk "script=block-xdisk,vdev=xvdb,target=qcow2:$dir/b"
}

# ---- locked images, by script ---------------------------------------------------

# refused SPEC: the attach fails within a second, with the lock as the reason.
refused() {
	before=$(date +%s%N)
	guest attach --domid 1 --script-dir "$scripts" --disk "$1" \
		2>"$dir/why" && { echo attached; return 1; }
	took=$((($(date +%s%N) - before) / 1000000))
	cat "$dir/why"
	echo "$took ms"
	guest detach --domid 1 --vdev xvdc --force
	grep -q "script failed.*cannot get the .* lock on '$2'" "$dir/why" &&
	[ "$took" -lt 1000 ]
}

by_script() {
	echo "script=block-xdisk,vdev=xvdc,${2-}target=qcow2:$1"
}

# Another guest writes it.
locked_by_guest() {
	guest create --domid 2 --disk "$dir/c,qcow2,xvda,rw" &&
	guest verify --domid 2 --vdev xvda --ops 50 --stay || return
	refused "$(by_script "$dir/c")" "$dir/c" &&
	refused "$(by_script "$dir/c" access=ro,)" "$dir/c" &&
	guest destroy --domid 2 --quick
}

# A program writes the base.
locked_base() {
	qemu-img create -q -f qcow2 -b "$dir/d" -F qcow2 "$dir/over" || return
	sleep 3 | qemu-io -f qcow2 "$dir/d" >/dev/null &
	sleep 0.5
	refused "$(by_script "$dir/over")" "$dir/d"
	locked_base=$?
	wait $!
	return $locked_base
}

# Readers of one image, and one whose writer has gone.
not_locked() {
	guest create --domid 2 --disk "$dir/c,qcow2,xvda,ro" &&
	guest verify --domid 2 --vdev xvda --ops 50 --stay &&
	guest attach --domid 1 --script-dir "$scripts" --disk \
		"$(by_script "$dir/c" access=ro,)" &&
	guest verify --domid 1 --vdev xvdc --ops 50 &&
	guest detach --domid 1 --vdev xvdc &&
	guest destroy --domid 2 --quick &&
	wait_for 5 unlocked "$dir/c" &&
	guest attach --domid 1 --script-dir "$scripts" --disk \
		"$(by_script "$dir/c")" &&
	guest verify --domid 1 --vdev xvdc --ops 50 &&
	guest detach --domid 1 --vdev xvdc
}

unlocked() {
	qemu-io -f qcow2 -c quit "$1"
}

exec 3>&1
check "images are made" images
daemon_start
check "a guest without disks" guest create --domid 1
check "features are there when state 2 is, a hundred times" \
	features_with_state_2
check "features are there when state 2 is, by script" features_by_script
check "a locked image fails the script at once" locked_by_guest
check "a locked backing file fails the script at once" locked_base
check "readers share, and a lock that is given up is free" not_locked
xenstore-write /local/domain/0/device-model/1/state running
check "a claim shows no node before it is offered" nothing_before_offer
check "features are there when state 2 is, after the wait" \
	features_with_state_2 1
check "a QEMU that shows itself gets the claimed disk" qemu_while_claimed
check "a QEMU that comes after the offer gets the disk" qemu_after_offer
check "an image that QEMU has, too, is no error of ours" bad_image_of_qemu
check "a claimed disk can be detached" detached_while_claimed
check "a daemon that stops gives claims back" given_back
check "a claim of a daemon that was killed is offered" killed_while_claimed
xenstore-rm /local/domain/0/device-model/1
qemu_start 1
wait_for 10 xenstore-exists /local/domain/0/device-model/1/state
check "a disk that QEMU took first is left alone" qemu_first
check "$((10 * rounds)) disks attached beside QEMU all work" beside_qemu
tap_done
