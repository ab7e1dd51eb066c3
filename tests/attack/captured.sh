#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A worker that a guest or an image has taken over, when it serves a disk: what it
# tries is refused or ends it, and nothing but its own disk notices.
. "${srcdir:-.}/tests/simxen/simxen.sh"
captured=$simxen_top/tests/attack/libcaptured.so
simxen_require qemu-img "$xdiskd" "$worker" "$captured"
if grep -q __asan_init "$worker"; then
	echo "1..0 # SKIP a worker with sanitizers is not confined"
	exit 0
fi
simxen_start
dir=$SIMXEN_DIR
export CAPTURED_DIR=$dir
libsimxen="$captured $libsimxen"
daemon_start


# attempt NAME: by the worker of domain 5, whose guest may notice it
attempt() {
	echo "5/ $1" >"$dir/attack"
	truncate -s 0 "$dir/result" && truncate -s 4096 "$dir/result"
	timeout 20 "$simguest" verify --domid 5 --vdev xvda --ops 20 \
		>/dev/null 2>&1 &
	guest_pid=$!
	wait_for 10 begun
	attempt_status=$?
	guest verify --domid 6 --vdev xvda --ops 100 || attempt_status=1
	kill $guest_pid 2>/dev/null
	wait $guest_pid 2>/dev/null
	return $attempt_status
}

outcome() {
	tr -d '\0' <"$dir/result" | head -n 1
}

begun() {
	[ -n "$(outcome)" ]
}

# Once it serves, what stood there before is gone.
told() {
	xenstore-read /local/domain/0/backend/qdisk/5/51712/error | grep -q "$1"
}

ended_by_sandbox() {
	told 'the worker was ended by its sandbox'
}

ended_by_supervisor() {
	told 'the worker did not keep to its protocol'
}

refused() {
	outcome | grep -q '^refused'
}

# stopped HOW NAME: it is, and the others have noticed nothing
stopped() {
	attempt "$2" || { outcome; return 1; }
	wait_for 5 "$1" || { outcome; return 1; }
	kill -0 "$daemon_pid"
}

# One that computes and computes holds its own disk only.
computing() {
	attempt compute && kill -0 "$daemon_pid" || return
	guest destroy --domid 5 --quick
	wait_for 11 no_worker_of 5
}

no_worker_of() {
	! pgrep -P "$daemon_pid" -f "xdisk-worker --name vbd $1/" >/dev/null
}

for image in a b; do
	qemu-img create -q -f qcow2 "$dir/$image" 16M
done
guest create --domid 5 --disk "$dir/a,qcow2,xvda,rw"
guest create --domid 6 --disk "$dir/b,qcow2,xvda,rw"

group "a captured worker is ended when it tries"
for name in open-file create-file remove-file run-program make-process \
	open-socket open-unix-socket kill-parent kill-all trace-parent \
	read-parent map-code become-root mount-proc new-ring \
	new-user-namespace scsi-command bind-virq; do
	check "$name" stopped ended_by_sandbox "$name"
done

group "a captured worker gets nothing"
check "from the opener, once its rings are served" stopped refused ask-opener
if grep -q 'define HAVE_LIBURING 1' "$simxen_top/config.h"; then
	for name in ring-open ring-open-fixed ring-socket ring-read-other \
		ring-unrestrict ring-register-buffers; do
		check "through its ring: $name" stopped refused "$name"
	done
fi
group "a captured worker is ended"
check "when it tells lies" stopped ended_by_supervisor lie
check "when its guest is gone, however busy it is" computing
tap_done
