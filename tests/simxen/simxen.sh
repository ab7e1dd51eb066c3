# SPDX-License-Identifier: LGPL-2.1-or-later
# simxen.sh: a private simulated Xen for one shell script. Source it:
#
#	. "$srcdir/tests/simxen/simxen.sh"
#	simxen_start			run directory, xenstored
#	daemon_start [options]		xdiskd as the backend, or
#	qemu_start DOMID		Debian's QEMU as the backend of one guest
#	guest create --domid 1 ...	simguest
#
# Works in the build tree's top, or with $builddir naming it. Everything started here is
# stopped when the script ends, however it ends; nothing else is touched.
# Files go below $SIMXEN_DIR, on /dev/shm where there is one. simxen_start may
# be called again for one more hypervisor; simxen_use DIR goes back and forth.

# shellcheck shell=sh

simxen_top=$(cd "${builddir:-.}" && pwd)
simguest=$simxen_top/tests/simxen/simguest
libsimxen=$simxen_top/tests/simxen/libsimxen.so
xdisk=$simxen_top/tool/xdisk
xdiskd=$simxen_top/backend/xdiskd
worker=$simxen_top/backend/xdisk-worker
qemu_xen=/usr/libexec/xen-qemu-system-i386
simxen_pids=
simxen_dirs=

simxen_say() {
	echo "# $*"
}

# Ends the script as skipped when something is missing.
simxen_require() {
	for file; do
		command -v "$file" >/dev/null 2>&1 && continue
		[ -e "$file" ] && continue
		echo "1..0 # SKIP $file is missing"
		exit 0
	done
}

# Of several versions of Xen the newest: its libxenctrl is what is developed with,
# and so the one that libsimxen stands in for.
simxen_find_xenstored() {
	for xenstored in $(printf '%s\n' /usr/lib/xen-*/bin/xenstored | sort -rV) \
		/usr/sbin/xenstored /usr/lib/xen/bin/xenstored; do
		[ -x "$xenstored" ] && return 0
	done
	echo "1..0 # SKIP xenstored is missing"
	exit 0
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	wait_left=$(($1 * 50))
	shift
	until "$@" >/dev/null 2>&1; do
		wait_left=$((wait_left - 1))
		[ "$wait_left" -gt 0 ] || return 1
		sleep 0.02
	done
}

# Runs a program on the simulated hypervisor. In a sanitized build the
# sanitizer has to come first of all preloaded libraries.
on_simxen() {
	if grep -q libasan "$1" 2>/dev/null; then
		LD_PRELOAD="$(gcc -print-file-name=libasan.so) $libsimxen" \
			exec "$@"
	fi
	LD_PRELOAD=$libsimxen exec "$@"
}

simxen_use() {
	SIMXEN_DIR=$1
	XENSTORED_RUNDIR=$1/store
	XENSTORED_ROOTDIR=$1/store
	XENSTORED_PATH=$1/store/socket
	export SIMXEN_DIR XENSTORED_RUNDIR XENSTORED_ROOTDIR XENSTORED_PATH
}

simxen_start() {
	simxen_require "$simguest" "$libsimxen" xenstore-read
	simxen_find_xenstored
	simxen_base=/dev/shm
	[ -w "$simxen_base" ] || simxen_base=${TMPDIR:-/tmp}
	SIMXEN_DIR=$(mktemp -d "$simxen_base/simxen.XXXXXX") || exit 99
	trap simxen_stop EXIT
	trap 'exit 130' INT TERM HUP
	mkdir "$SIMXEN_DIR/store" "$SIMXEN_DIR/run"
	mkfifo "$SIMXEN_DIR/virq"
	echo 1 >"$SIMXEN_DIR/xsd_port"
	truncate -s 4096 "$SIMXEN_DIR/xsd_kva"
	simxen_dirs="$simxen_dirs $SIMXEN_DIR"
	simxen_use "$SIMXEN_DIR"
	(on_simxen "$xenstored" -N) >"$SIMXEN_DIR/xenstored.log" 2>&1 &
	simxen_pids="$! $simxen_pids"
	if ! wait_for 10 xenstore-write /local/domain/0/domid 0; then
		cat "$SIMXEN_DIR/xenstored.log"
		echo "Bail out! xenstored does not answer"
		exit 99
	fi
	xenstore-write /local/domain/0/name Domain-0
}

# Ends one process started here; fails when it has to be killed.
end_process() {
	kill "$1" 2>/dev/null || return 0
	end_left=250
	while kill -0 "$1" 2>/dev/null; do
		end_left=$((end_left - 1))
		if [ "$end_left" -eq 0 ]; then
			kill -9 "$1"
			wait "$1" 2>/dev/null
			return 1
		fi
		sleep 0.02
	done
	wait "$1" 2>/dev/null
}

simxen_stop() {
	trap - EXIT
	for pid in $simxen_pids; do
		end_process "$pid"
	done
	simxen_pids=
	if [ -n "$SIMXEN_KEEP" ]; then
		simxen_say "kept:$simxen_dirs"
	else
		# shellcheck disable=SC2086
		rm -rf $simxen_dirs
	fi
}

forget_pid() {
	simxen_kept_pids=
	for pid in $simxen_pids; do
		[ "$pid" = "$1" ] || simxen_kept_pids="$simxen_kept_pids $pid"
	done
	simxen_pids=$simxen_kept_pids
}

# ---- backends ---------------------------------------------------------------

daemon_log=

daemon_start() {
	daemon_log=$SIMXEN_DIR/xdiskd.log
	(on_simxen "$xdiskd" --foreground --run-dir "$SIMXEN_DIR/run" \
		--kinds qdisk,vbd --log-level "${SIMXEN_LOG:-debug}" "$@") >>"$daemon_log" 2>&1 &
	daemon_pid=$!
	simxen_pids="$daemon_pid $simxen_pids"
	if ! wait_for 10 daemon_ready; then
		sed 's/^/# /' "$daemon_log"
		echo "Bail out! xdiskd does not start"
		exit 99
	fi
}

daemon_ready() {
	grep -q ' is ready' "$daemon_log"
}

daemon_stop() {
	forget_pid "$daemon_pid"
	end_process "$daemon_pid" &&
		! grep -a 'when its work was done' "$daemon_log"
}

# workers_of PID: the processes that serve its disks.
workers_of() {
	pgrep -P "$1" -x xdisk-worker 2>/dev/null
}

qemu_start() {
	(on_simxen "$qemu_xen" -xen-domid "$1" -xen-attach -name "guest$1" \
		-nodefaults -no-user-config -M xenpv -nographic -monitor none \
		-serial none -L /usr/share/qemu) >"$SIMXEN_DIR/qemu.log" 2>&1 &
	qemu_pid=$!
	simxen_pids="$qemu_pid $simxen_pids"
}

qemu_stop() {
	forget_pid "$qemu_pid"
	end_process "$qemu_pid"
}

# ---- the guest, and looking at things ------------------------------------

guest() {
	"$simguest" "$@"
}

# be_state DOMID DEVID [KIND]
be_state() {
	xenstore-read "/local/domain/0/backend/${3:-qdisk}/$1/$2/state"
}

# held PID FIELD: what the process holds of mapped, bound, gnttab, evtchn ...
held() {
	"$simguest" stats | sed -n "s/^pid=$1 .* $2=\\([0-9-]*\\).*/\\1/p"
}

# Grants mapped and ports bound by all backends together; xenstored's own
# (one page and one port a domain) are left out.
held_by_backends() {
	"$simguest" stats | grep -v 'name=xenstored ' | awk '{
		for (i = 1; i <= NF; i++) {
			split($i, f, "=")
			if (f[1] == "mapped" || f[1] == "bound") n += f[2]
		}
	} END { print n + 0 }'
}

# ---- TAP --------------------------------------------------------------------

tap_count=0
tap_failed=0
tap_group=

# group [TEXT]: what the checks from here on are about, before what they say
group() {
	tap_group=${1:+$1: }
}

# check DESCRIPTION COMMAND...: one test; its output is shown if it fails.
check() {
	tap_what=$tap_group$1
	shift
	tap_count=$((tap_count + 1))
	"$@" >"$SIMXEN_DIR/output" 2>&1
	tap_status=$?
	case $tap_status in
	0)	echo "ok $tap_count - $tap_what" ;;
	77)	echo "ok $tap_count - $tap_what # SKIP $(tail -n1 \
			"$SIMXEN_DIR/output")" ;;
	*)	echo "not ok $tap_count - $tap_what"
		tap_failed=$((tap_failed + 1))
		sed 's/^/#   /' "$SIMXEN_DIR/output" | tail -n 20
		;;
	esac
	return "$tap_status"
}

# The last line of a test script. What failed is told by the lines before, as
# automake's TAP driver wants it, and not by the status once more.
tap_done() {
	echo "1..$tap_count"
	[ "$tap_failed" -eq 0 ] || simxen_say "$tap_failed failed"
}
