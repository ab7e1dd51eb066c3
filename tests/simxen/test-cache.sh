#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Which cache mode a disk has that nothing is said of: that of whoever served it
# before.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
dir=$SIMXEN_DIR
disk=${TMPDIR:-/var/tmp}/$(basename "$dir")	# where there is O_DIRECT
loop=
mkdir "$disk"
at_end() {
	simxen_stop
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$disk"
}
trap at_end EXIT
cat >"$dir/xdisk.conf" <<END
[image said]
path = $disk/said
cache = writethrough
END
for image in "$disk/file" "$disk/said" "$dir/memory"; do
	qemu-img create -q -f raw "$image" 16M
done
SIMXEN_LOG=info daemon_start --config "$dir/xdisk.conf"

# has MODE PATH [OPTION]: the log says so of a disk of that path
has() {
	guest create --domid 1 --disk "$2,raw,xvda,rw,backendtype=qdisk${3-}" &&
	guest verify --domid 1 --vdev xvda --ops 50 &&
	grep "opened raw $2," "$daemon_log" | tail -n 1 | tee "$dir/line"
	guest destroy --domid 1 --quick
	grep -qF "cache $1" "$dir/line"
}

takes_direct() {
	dd if="$disk/file" of=/dev/null bs=4096 count=1 iflag=direct \
		2>/dev/null
}

check "a file: the page cache, as QEMU has it" has 'writeback (a file)' \
	"$disk/file"
if takes_direct; then
	check "a file that direct I/O is safe for: without" \
		has 'none (direct-io-safe)' "$disk/file" ,direct-io-safe
fi
check "a file in memory: there is nothing else" \
	has 'writeback (no direct I/O here)' "$dir/memory" ,direct-io-safe
check "what the configuration says: that" has 'writethrough (configured)' \
	"$disk/said" ,direct-io-safe
if loop=$(losetup -f --show "$disk/file" 2>/dev/null) && [ -b "$loop" ]; then
	check "a device: without, as the kernel has it" \
		has 'none (a device)' "$loop"
fi
tap_done
