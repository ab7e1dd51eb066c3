#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The malformed images of mkbad.py as disks of a guest: each is refused with a
# reason before the guest asks, or is used for what it is worth, and hurts
# nobody else.
. "${srcdir:-.}/tests/simxen/simxen.sh"
. "$srcdir/tests/attack/advisories.sh"
simxen_require qemu-img qemu-io python3 "$xdiskd" "$worker" "$xdisk"
simxen_start
dir=$SIMXEN_DIR

told() {
	xenstore-read /local/domain/0/backend/qdisk/5/51712/hotplug-error
}

# The worker's end is not its own wish.
died() {
	tail -n "+$log_from" "$daemon_log" |
		grep -a -e 'was killed by' -e 'ended with status'
}

# What check is on record to say: 1, it cannot be opened; 2, it is corrupt.
check_says() {
	sed -n "s/^$1 \([0-9]\) .*/\1/p" \
		"$srcdir/tests/functional/malformed/verdicts"
}

# A guest that uses it is served, refused or has requests that fail. Where two
# addresses of a corrupt image are one place it reads what it wrote elsewhere.
used() {
	timeout 10 "$simguest" verify --domid 5 --vdev xvda --ops 40 2>&1 |
		tee "$dir/used"
	case ${PIPESTATUS[0]} in
	0)	return ;;
	1)	told || tail -n "+$log_from" "$daemon_log" |
			grep -a -e corrupt -e failed ||
		{ [ "$1" = 2 ] && grep 'wrong data' "$dir/used"; } ;;
	*)	return 1 ;;
	esac
}

tried() {
	log_from=$(($(wc -l <"$daemon_log") + 1))
	guest create --domid 5 --disk "$dir/$1.qcow2,qcow2,xvda,rw" || return
	case $(check_says "$1") in
	1)	wait_for 5 told && told ;;
	*)	used "$(check_says "$1")" ;;
	esac && ! died
	tried_status=$?
	guest destroy --domid 5 --quick
	return $tried_status
}

another() {
	cp "$dir/good/plain" "$dir/other" &&
	guest create --domid 6 --disk "$dir/other,qcow2,xvda,rw"
}

another_is_served() {
	guest verify --domid 6 --vdev xvda --ops 200
}

# The active L1 table has one entry of 64, and the snapshot's has them all.
larger_snapshot() {
	cp good/large larger &&
	"$xdisk" io -f qcow2 -c 'write -q -P 9 31G 64k' larger &&
	"$xdisk" snapshot -f qcow2 -c s larger &&
	printf '\0\0\0\0\40\0\0\0' |
		dd of=larger bs=1 seek=24 conv=notrunc status=none &&
	printf '\0\0\0\1' |
		dd of=larger bs=1 seek=36 conv=notrunc status=none &&
	"$xdisk" convert -f qcow2 -l s -O qcow2 larger out &&
	"$xdisk" io -r -f qcow2 -c 'read -q -P 9 31G 64k' out &&
	"$xdisk" snapshot -f qcow2 -a s larger &&
	"$xdisk" io -r -f qcow2 -c 'read -q -P 9 31G 64k' larger
}

daemon_start
cd "$dir" || exit 99
check "images" python3 "$srcdir/tests/functional/mkbad.py" .
check "another guest" another
for image in [0-9]*.qcow2; do
	name=${image%.qcow2}
	about "$(advisory_of "$name")"
	check "$name" tried "$name"
done
about CVE-2014-0145
check "a snapshot whose L1 table is larger" larger_snapshot
group
check "the other guest has not noticed" another_is_served
tap_done
