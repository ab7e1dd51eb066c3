#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers give up what they do not need, and serve all the same: with each engine,
# over chains, with snapshots' and compressed clusters, from names of any bytes.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img qemu-io "$xdiskd" "$worker"
if grep -q __asan_init "$worker"; then
	echo "1..0 # SKIP a worker with sanitizers is not confined"
	exit 0
fi
simxen_start
dir=$SIMXEN_DIR
odd=$dir/$(printf 'caf\351 \377.qcow2')
disk=${TMPDIR:-/var/tmp}/$(basename "$dir")	# where there is O_DIRECT
mkdir "$disk"
at_end() {
	simxen_stop
	rm -rf "$disk"
}
trap at_end EXIT

for engine in io_uring libaio threads; do
	cat <<END
[image $engine]
path = $disk/$engine-*
aio = $engine
cache = none
END
done >"$dir/xdisk.conf"

images() {
	qemu-img create -q -f qcow2 "$dir/base" 32M &&
	qemu-io -f qcow2 -c 'write -P 3 0 8M' "$dir/base" >/dev/null &&
	qemu-img convert -q -f qcow2 -O qcow2 -c "$dir/base" "$dir/packed" &&
	qemu-img create -q -f qcow2 -b packed -F qcow2 "$dir/over" &&
	qemu-img snapshot -c one "$dir/over" &&
	qemu-img create -q -f qcow2 -o cluster_size=2M "$dir/large" 64M &&
	qemu-img create -q -f raw "$dir/raw" 32M &&
	qemu-img create -q -f qcow2 "$odd" 32M &&
	for engine in io_uring libaio threads; do
		qemu-img create -q -f raw "$disk/$engine-raw" 32M &&
		qemu-img create -q -f qcow2 "$disk/$engine-qcow2" 32M || return
	done
}

# served PATH FORMAT
served() {
	guest create --domid 1 \
		--disk "$1,$2,xvda,rw,backendtype=qdisk" || return
	guest verify --domid 1 --vdev xvda --ops 300 --qd 32 --queues 2
	served_status=$?
	guest destroy --domid 1 --quick
	return $served_status
}

all_served() {
	for engine in io_uring libaio threads; do
		check "$engine: raw" served "$disk/$engine-raw" raw
		check "$engine: qcow2" served "$disk/$engine-qcow2" qcow2
	done
	check "page cache: raw" served "$dir/raw" raw
	check "a compressed base, and snapshots" served "$dir/over" qcow2
	check "clusters of 2 MiB" served "$dir/large" qcow2
	check "a name that is no UTF-8" served "$odd" qcow2
}

# is FIELD VALUE: in the worker's status
is() {
	grep -E "^$1:" "/proc/$pid/status" |
		tee "$dir/field" | grep -qE "[[:space:]]$2\$" ||
		{ cat "$dir/field"; return 1; }
}

stays() {
	guest create --domid 7 --disk "$dir/raw,raw,xvda,rw,backendtype=qdisk" &&
	guest verify --domid 7 --vdev xvda --ops 20 --stay &&
	pid=$(workers_of "$daemon_pid") && [ -n "$pid" ]
}

nothing_refused() {
	! grep -a 'sandbox: ' "$daemon_log"
}

no_path() {
	ls -l "/proc/$pid/root/" && [ -z "$(ls -A "/proc/$pid/root/")" ]
}

check "images" images

group "looked at only"
daemon_start --config "$dir/xdisk.conf" --sandbox log
all_served
check "no call would have ended a worker" nothing_refused
check "the daemon is stopped" daemon_stop

group "confined"
: >"$daemon_log"
daemon_start --config "$dir/xdisk.conf"
all_served
check "a disk stays connected" stays
check "its worker makes listed system calls only" is Seccomp 2
check "it gets no new privileges" is NoNewPrivs 1
if [ "$(id -u)" -eq 0 ]; then
	check "it is a user of its own" is Uid 2147000007
	check "it is a group of its own" is Gid 2147000007
	check "it has no capability" is CapEff 0000000000000000
	check "it can get none" is CapBnd 0000000000000000
	# not in a chroot, whose root is no mount
	! unshare --mount true 2>/dev/null ||
		check "it sees no file" no_path
fi
check "the guest is destroyed" guest destroy --domid 7 --quick
tap_done
