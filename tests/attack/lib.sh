# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh: sourced by the tests that play hostile frontends.
#
#	hostile_start		xdiskd, and domain 5 with a writable disk xvda
#				and a read-only one xvdb
#	play ADVISORY...	the cases of these, a check each
#	about ADVISORY		the checks from here on are about that
#	hostile_done		what must hold after all of it; the last line
. "${srcdir:-.}/tests/simxen/simxen.sh"
. "$srcdir/tests/attack/advisories.sh"

hostile_create() {
	guest create --domid 5 --disk "$image,qcow2,xvda,rw" \
		--disk "$image.ro,qcow2,xvdb,ro"
}

hostile_images() {
	qemu-img create -q -f qcow2 "$image" 16M &&
	qemu-io -f qcow2 -c "write -P 0x33 0 16M" "$image" >/dev/null &&
	cp "$image" "$image.ro" && cp "$image" "$image.honest"
}

hostile_start() {
	simxen_require qemu-img qemu-io "$xdiskd" "$worker"
	simxen_start
	image=$SIMXEN_DIR/disk
	daemon_start
	check "images" hostile_images
	nodes_of_daemon >"$SIMXEN_DIR/nodes.before"
	check "a guest with two disks" hostile_create
}

# What stands in xenstore, but for values.
nodes_of_daemon() {
	xenstore-ls -f /local/domain/0 | sed 's/ = .*//'
}

# Of disks that are gone nothing is left.
nodes_are_as_before() {
	nodes_of_daemon | diff "$SIMXEN_DIR/nodes.before" -
}

# The right answer, a reason where the device is refused, and a disk that works
# afterwards; with persistent grants the same mistakes take another way.
played() {
	case $1 in
	readonly-gref | readonly-*)
		played_on=xvdb ;;
	*)	played_on=xvda ;;
	esac
	guest hostile --domid 5 --vdev "$played_on" --case "$1" || return
	if [ "$1" = vanish ]; then	# and the device with it
		guest destroy --domid 5 --quick
		hostile_create
	else
		guest hostile --domid 5 --vdev "$played_on" --case "$1" \
			--no-persistent --protocol x86_32-abi
	fi
}

play() {
	for advisory; do
		about "$advisory"
		for name in $(advisory_cases "$advisory"); do
			check "$name" played "$name"
		done
	done
}

# Nothing was asked of the hypervisor that it would refuse, no request came as
# far as the image and failed there, and no worker has died.
nothing_odd() {
	guest stats | grep xdisk-worker
	! guest stats | grep xdisk-worker | grep -v 'misuse=0 ' &&
	! grep -a -e ' of [0-9]* bytes at [0-9]* failed' \
		-e 'was killed by' -e 'ended with' -e 'ended by its sandbox' \
		"$daemon_log"
}

nothing_held() {
	[ "$(held_by_backends)" -eq 0 ]
}

hostile_done() {
	group afterwards
	check "nothing odd has happened" nothing_odd
	check "the daemon lives" kill -0 "$daemon_pid"
	check "the guest is destroyed" guest destroy --domid 5 --quick
	check "the image is consistent" qemu-img check -f qcow2 "$image"
	check "the read-only one is as it was" cmp "$image.ro" "$image.honest"
	check "nothing is mapped or bound any more" wait_for 5 nothing_held
	tap_done
}
