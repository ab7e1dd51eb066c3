#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What images name: opened on their owner's word, within image-dirs, and refused
# with image, file, rule and remedy; then nothing is opened.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start
dir=$SIMXEN_DIR
chmod 711 "$dir"
mkdir "$dir/tenant" "$dir/other" "$dir/share" && chmod 755 "$dir"/[tos]*
cat >"$dir/narrow.conf" <<END
[defaults]
image-dirs = $dir/tenant:$dir/share
END

images() {
	qemu-img create -q -f raw "$dir/share/base" 16M &&
	qemu-img create -q -f raw "$dir/other/disk" 16M &&
	qemu-img create -q -f raw "$dir/secret" 16M &&
	chmod 600 "$dir/secret" "$dir/other/disk" &&
	mkfifo "$dir/tenant/fifo"
}

# over NAME BASE: an overlay in tenant's folder
over() {
	qemu-img create -q -f qcow2 -u -b "$2" -F raw "$dir/tenant/$1" 16M
}

told() {
	xenstore-read /local/domain/0/backend/qdisk/2/51712/hotplug-error
}

# refused IMAGE SENTENCE...: as soon as it is looked at
refused() {
	guest create --domid 2 --disk "$dir/tenant/$1,qcow2,xvda,rw" || return
	wait_for 5 told
	told | tee "$dir/why"
	guest destroy --domid 2 --quick
	shift
	for sentence; do
		grep -qF -- "$sentence" "$dir/why" || return
	done
}

served() {
	guest create --domid 1 --disk "$dir/tenant/$1,qcow2,xvda,rw" &&
	guest verify --domid 1 --vdev xvda --ops 100
	served_status=$?
	guest destroy --domid 1 --quick
	return $served_status
}

# The base of another is read by nobody, and nobody's lock is in its owner's way.
not_locked() {
	"$xdisk" io -f raw -c 'write -P 1 0 64k' "$dir/other/disk"
}

check "images" images
over near ../share/base
over far "$dir/secret"
over others ../other/disk
over gone "$dir/nowhere"
over fifo fifo
over device /dev/zero
over open-file /proc/self/fd/0

group "an image names its base"
daemon_start
check "in another folder: it is served, with no option set" served near
check "a FIFO: it is refused" refused fifo "$dir/tenant/fifo" 'is a FIFO'
check "a character device: it is refused" refused device '/dev/zero' \
	'is a character device'
check "what a process has open: it is refused" refused open-file \
	"/proc/self/fd/0"
check "nothing: it is told" refused gone "$dir/nowhere" 'No such file'
if [ "$(id -u)" -eq 0 ]; then
	check "root's word: it is served" served far
	chown 4711:4711 "$dir/tenant/far" "$dir/tenant/others"
	check "which its owner may not read: it is refused" refused far \
		"'$dir/tenant/far' names the backing file '$dir/secret'" \
		"the owner of '$dir/tenant/far', user 4711, may not read it" \
		'to allow it'
	check "of another tenant: it is refused" refused others \
		"$dir/tenant/../other/disk" 'user 4711'
	check "and its owner is not in the way" not_locked
	chown 4711 "$dir/secret"
	check "which its owner may read: it is served" served far
	chown 0:0 "$dir/tenant/far" "$dir/tenant/others" "$dir/secret"
fi
opener_killed() {
	kill -9 "$(pgrep -P "$daemon_pid" -x xdisk-opener)"
}
check "the opener is killed" opener_killed
check "there is another when it is needed" served near
check "the daemon is stopped" daemon_stop

group "an image names its base, with image-dirs"
daemon_start --config "$dir/narrow.conf"
check "in one of the folders: it is served" served near
check "in none of them: it is refused" refused far \
	"'$dir/tenant/far' names the backing file '$dir/secret'" \
	"image-dirs = $dir/tenant:$dir/share" \
	"\"image-dirs = $dir/tenant:$dir/share:$dir\" into" \
	"of $dir/narrow.conf"
check "by way of ..: it is refused" refused others \
	"'$dir/other/disk' is in none of the folders"
ln -s ../secret "$dir/share/link"
over linked ../share/link
check "by a link that leads out: it is refused" refused linked \
	"'$dir/secret' is in none of the folders"
tap_done
