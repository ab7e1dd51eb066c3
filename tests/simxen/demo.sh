#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Shows one guest being served, without Xen: a simulated hypervisor, a real
# xenstored, xdiskd as it is shipped, and a guest that does verified I/O on the
# two disks of an ordinary xl config line.
builddir=${builddir:-$(dirname "$0")/../..}
. "$(dirname "$0")/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker" "$xdisk"
simxen_start

dir=$SIMXEN_DIR/images
bad=0

step() {
	printf '\n== %s\n' "$*"
}

# Runs it, shows its output indented, and remembers a failure.
run() {
	printf '  $ %s\n' "$(echo "$*" | sed "s|$simxen_top/||g; s|$dir|<dir>|g")"
	"$@" >"$SIMXEN_DIR/output" 2>&1
	run_status=$?
	sed "s|$dir|<dir>|g; s/^/    /" "$SIMXEN_DIR/output"
	[ $run_status -eq 0 ] && return
	echo "    FAILED (status $run_status)"
	bad=$((bad + 1))
}

# what DEVID shows for itself in the store
served() {
	node=/local/domain/0/backend/qdisk/1/$1
	printf '    vbd 1/%s (%s): state %s, %s, %s MiB\n' "$1" \
		"$(xenstore-read "$node/dev")" "$(xenstore-read "$node/state")" \
		"$(xenstore-read "$node/params" | sed "s|$dir|<dir>|")" \
		"$(($(xenstore-read "$node/sectors") / 2048))"
}

mkdir "$dir"
step "the images: an overlay over a base, and an empty disk"
run "$xdisk" create -f qcow2 "$dir/rhel7u2-base.qcow2" 256M
run "$xdisk" create -f qcow2 -b rhel7u2-base.qcow2 -F qcow2 \
	"$dir/rhel7u2-1.qcow2"
run "$xdisk" create -f qcow2 "$dir/linux.qcow2" 128M

run "$xdisk" io -f qcow2 -c "write -P 0x5a 0 64M" "$dir/rhel7u2-base.qcow2"

step "xdiskd, on a simulated hypervisor with Debian's xenstored"
daemon_start
echo "    running, pid $daemon_pid"

step "xl create, with"
echo "    disk = [ '<dir>/rhel7u2-1.qcow2,qcow2,sda,rw',"
echo "             '<dir>/linux.qcow2,qcow2,sdb,rw' ]"
run guest create --domid 1 --disk "$dir/rhel7u2-1.qcow2,qcow2,sda,rw" \
	--disk "$dir/linux.qcow2,qcow2,sdb,rw"

step "the guest writes, reads, flushes and discards; every byte is checked"
for vdev in sda sdb; do
	run guest verify --domid 1 --vdev $vdev --ops 5000 --qd 32 \
		--save "$dir/$vdev.model" --stay
done
served 2048
served 2064

step "xl destroy; do the images hold what the guest wrote?"
run guest destroy --domid 1
daemon_stop
grep -E 'claimed|opened|connected' "$daemon_log" |
	sed "s|$dir|<dir>|g; s/^/    /"
run qemu-img check -f qcow2 "$dir/rhel7u2-1.qcow2"
run qemu-img check -f qcow2 "$dir/linux.qcow2"
run qemu-img compare -f raw -F qcow2 "$dir/sda.model" "$dir/rhel7u2-1.qcow2"
run qemu-img compare -f raw -F qcow2 "$dir/sdb.model" "$dir/linux.qcow2"

echo
if [ $bad -ne 0 ]; then
	sed 's/^/  xdiskd: /' "$daemon_log" | tail -n 40
	echo "NOT GOOD: $bad steps failed"
	exit 1
fi
echo "GOOD: both disks were served, every byte was right, both images are clean"
