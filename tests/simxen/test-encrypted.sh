#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Encrypted disks: served with a secret-file, refused without one.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-img "$xdiskd" "$worker"
simxen_start

dir=$SIMXEN_DIR
xdisk=$simxen_top/tool/xdisk
key=(--object "secret,id=s,file=$dir/key")
printf 'correct horse' >"$dir/key"
printf 'another' >"$dir/other"
cat >"$dir/conf" <<END
[image good]
path = $dir/*.qcow2
secret-file = $dir/key
[image wrong]
path = $dir/wrong*
secret-file = $dir/other
[image gone]
path = $dir/gone*
secret-file = $dir/not-there
[image old]
path = $dir/old-allowed*
legacy-aes = yes
END
if ! "$xdisk" create -q -f luks "${key[@]}" -o key-secret=s,iter-time=1 \
	"$dir/probe" 1M 2>/dev/null; then
	echo '1..0 # SKIP built without libgcrypt'
	exit 0
fi
daemon_start --config "$dir/conf"

luks() {
	"$xdisk" create -q -f qcow2 "${key[@]}" -o \
		"encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10$2" \
		"$dir/$1" 32M
}

aes() {
	"$xdisk" create -q -f qcow2 "${key[@]}" -o \
		encrypt.format=aes,encrypt.key-secret=s "$dir/$1" 32M
}

images() {
	luks base.qcow2 && luks none && luks wrong.qcow2 && luks gone.qcow2 &&
	aes old.qcow2 && aes old-allowed.qcow2 &&
	luks over.qcow2 ",backing_file=base.qcow2,backing_fmt=qcow2"
}

served() {
	guest attach --domid 1 --disk "$dir/$1,qcow2,xvda,rw" &&
	guest verify --domid 1 --vdev xvda --ops 500 --qd 16 &&
	guest detach --domid 1 --vdev xvda &&
	qemu-img check "${key[@]}" --image-opts \
		"driver=qcow2,file.filename=$dir/$1,encrypt.key-secret=s${2-}"
}

# refused IMAGE WHY: told at once, or when the guest asks for it
refused() {
	guest create --domid 2 --disk "$dir/$1,qcow2,xvda,rw" || return
	timeout 4 "$simguest" verify --domid 2 --vdev xvda --ops 1 && return 1
	xenstore-read /local/domain/0/backend/qdisk/2/51712/hotplug-error \
		>"$dir/why"
	cat "$dir/why"
	guest destroy --domid 2 --quick
	grep -q "$2" "$dir/why"
}

no_secret_in() { ! grep -r -e 'correct horse' "$@"; }

check "images are made" images
check "a guest without disks" guest create --domid 1
check "an encrypted disk" served base.qcow2
check "an encrypted overlay" served over.qcow2 ,backing.encrypt.key-secret=s
check "the old encryption, where it is allowed" served old-allowed.qcow2
check "not where it is not" refused old.qcow2 legacy-aes
check "no secret-file" refused none 'has no secret-file'
check "another passphrase" refused wrong.qcow2 'Invalid password'
check "a secret-file that is gone" refused gone.qcow2 not-there
check "the passphrase is not in the log" no_secret_in "$daemon_log"
tap_done
