# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tests in dom0 are written with.  Sourced by dom0/suite.
#
# A test is a function that makes checks; a check prints one TAP line to the
# results.  Who is under test is $BACKEND: `xdiskd`, or `qemu` for a control run
# in which nobody claims the devices and QEMU's qdisk serves them.

OUT=/lab/out
BACKEND=$(cat /lab/backend)

# Seconds.  On an idle machine all of it takes one or two minutes; on one with
# ten times the load it must not fail for want of time.
BOOT_TIME=900
IO_TIME=600
STOP_TIME=300

ok() {
	echo "ok - $1" >>$OUT/results.tap
}

# not_ok NAME [why]: and what the logs say about it.
not_ok() {
	{
		echo "not ok - $1"
		echo "# ${2-}"
		tail -n 15 $OUT/xdiskd.log 2>/dev/null | sed 's/^/# xdiskd: /'
		[ -z "${GUEST-}" ] ||
			tail -n 10 "$OUT/guest-$GUEST.log" | sed 's/^/# guest: /'
	} >>$OUT/results.tap
	echo "FAILED: $1"
	state_of_things
}

skip() {
	echo "ok - $1 # SKIP $2" >>$OUT/results.tap
}

# check NAME command...: the command's status is the verdict.
check() {
	local name=$1
	shift
	if "$@"; then
		ok "$name"
	else
		not_ok "$name" "failed: $*"
		return 1
	fi
}

# check_xdiskd NAME command...: true only of the daemon, so skipped in a control.
check_xdiskd() {
	if [ "$BACKEND" = xdiskd ]; then
		check "$@"
	else
		skip "$1" "QEMU serves in this run"
	fi
}

# within SECONDS command...: until it succeeds.
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.5
	done
}

not() {
	! "$@"
}

# For the log of a failed check.
state_of_things() {
	xl list
	ps | grep -v ' \['
	xenstore-ls -f | grep -E '/(vbd|qdisk)/.* = "[^"]' | grep -v ^/libxl
}

# ---- guests ---------------------------------------------------------------

# The guest's console has said this ("LAB ..." lines, see guest/init).
said() {
	grep -q "LAB $1" "$OUT/guest-$GUEST.log"
}

# heard WHAT SECONDS: it says so in time, alive and without a failure before.
heard() {
	within "$2" eval "said '$1' || said failed || gone"
	said "$1" && ! said failed
}

# pvh_config MODE DISK...: what `xl create` is given for $GUEST.  One processor:
# two guest processors on one emulated one wait for each other for minutes.
pvh_config() {
	local mode=$1
	shift
	cat <<-END
		name = "$GUEST"
		type = "pvh"
		memory = 128
		cpus = "1"
		kernel = "/lab/guest-vmlinuz"
		ramdisk = "/lab/guest.cpio"
		extra = "console=hvc0 quiet panic=5 rdinit=/init lab=$mode"
		disk = [ $(printf "'%s', " "$@") ]
		on_crash = "destroy"
		on_reboot = "destroy"
	END
}

# boot CONFIG: create the guest and wait for the first words of its init, which
# come before it loads blkfront.  QEMU's emulation of SVM loses a guest now and
# then while its kernel starts; that is known by Xen's report and no word from
# the guest, and is tried again once.
boot() {
	create "$1" && heard up $BOOT_TIME && return
	! said . && gone && xl dmesg | grep "d${DOMID}v[0-9]* Triple fault" || return
	echo "# the emulated CPU lost guest $GUEST before it ran; once more" \
		>>$OUT/results.tap
	create "$1" && heard up $BOOT_TIME
}

create() {
	timeout 600 xl create "$1" && DOMID=$(xl domid "$GUEST")
}

gone() {
	not xl domid "$GUEST"
}

# ---- who serves -----------------------------------------------------------

WORKER=/opt/xdisk/xdisk-worker
QEMU=/usr/libexec/xen-qemu-system-i386

# Compared by inode and without a fork: this runs on an emulated processor.
# has_open PROGRAM FILE: a process of that program holds the file open.
has_open() {
	local process fd
	for process in /proc/[0-9]*; do
		[ "$process/exe" -ef "$1" ] || continue
		for fd in "$process"/fd/*; do
			[ "$fd" -ef "$2" ] && return
		done
	done
	return 1
}

# backend_node DEVID: where the device's backend half is.
backend_node() {
	xenstore-read "/local/domain/$DOMID/device/vbd/$1/backend"
}

connected() {
	local be
	be=$(backend_node "$1") &&
		[ "$(xenstore-read "$be/state")" = 4 ] &&
		[ "$(xenstore-read "/local/domain/$DOMID/device/vbd/$1/state")" = 4 ]
}

# xdiskd offers persistent grants and several queues; QEMU's qdisk has neither.
offers_ours() {
	local be
	be=$(backend_node "$1") &&
		[ "$(xenstore-read "$be/feature-persistent")" = 1 ] &&
		[ "$(xenstore-read "$be/multi-queue-max-queues")" -ge 1 ]
}

# check_served LABEL DEVID IMAGE: the device is connected, and by whom.
check_served() {
	check "$1: connected" connected "$2"
	check_xdiskd "$1: xdiskd's features in xenstore" offers_ours "$2"
	check_xdiskd "$1: a worker of ours has the image open" \
		has_open $WORKER "$3"
	check_xdiskd "$1: QEMU has not" not has_open $QEMU "$3"
	xenstore-ls -f >"$OUT/xenstore-$GUEST.txt"
}

# ---- nothing left ---------------------------------------------------------

no_backend_nodes() {
	! xenstore-ls -f /local/domain/0/backend 2>/dev/null |
		grep -E "/(qdisk|vbd)/$DOMID(/| )"
}

# A domain whose pages are still mapped by somebody stays as a zombie.
only_dom0() {
	[ "$(xl list | wc -l)" = 2 ]
}

no_worker() {
	local process
	for process in /proc/[0-9]*; do
		[ ! "$process/exe" -ef $WORKER ] || return 1
	done
}

check_nothing_left() {
	check "$GUEST: no zombie domain, so nothing is mapped" \
		within 120 only_dom0
	check "$GUEST: no backend node left" within 120 no_backend_nodes
	check_xdiskd "$GUEST: no worker left" within 120 no_worker
}
