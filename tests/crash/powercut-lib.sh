# SPDX-License-Identifier: LGPL-2.1-or-later
# powercut-lib.sh: sourced by the power-cut tests: a directory of their own,
# results in TAP. SEEDS=N makes them longer.
set -u
powercut=$builddir/tests/crash/powercut
seeds=${SEEDS:-1}
dir=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)/powercut.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
command -v qemu-img >/dev/null || { echo "1..0 # SKIP qemu-img is missing"; exit 0; }

tests=0
result() {	# STATUS NAME
	tests=$((tests + 1))
	[ "$1" = 0 ] && echo "ok $tests - $2" || echo "not ok $tests - $2"
}

# base.raw: sectors stamped as powercut stamps them; the first 3000 of a smaller
# disk.
make_base() {
	python3 - "$dir/base.raw" <<'P'
import struct, sys
with open(sys.argv[1], "wb") as f:
    for s in range(3000):
        f.write(b"".join(struct.pack("<Q", 1000003 + s * 64 + i)
                         for i in range(64)))
P
}
