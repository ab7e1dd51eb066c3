#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Formats are configured and never guessed: a guest may write to a raw disk
# whatever it likes, an image that names a file of the host for one.
. "${srcdir:-.}/tests/simxen/simxen.sh"
. "$srcdir/tests/attack/advisories.sh"
simxen_require qemu-img "$xdiskd" "$worker" "$xdisk"
simxen_start
dir=$SIMXEN_DIR
scripts=$srcdir/dist

# A file of the host, and an image whose first bytes are those of it.
files() {
	yes secret | head -c 4M >"$dir/secret" &&
	truncate -s 4M "$dir/disk" "$dir/base" &&
	qemu-img create -q -f qcow2 -b "$dir/secret" -F raw "$dir/image" &&
	cp "$dir/image" "$dir/as-raw" && truncate -s 4M "$dir/as-raw"
}

raw() {
	guest create --domid 1 --script-dir "$scripts" --disk "$1" &&
	guest "${@:2}" --domid 1 --vdev xvda
	raw_status=$?
	guest destroy --domid 1 --quick
	return $raw_status
}

written() {
	raw "$as_qdisk" put "$dir/image" && cmp "$dir/as-raw" "$dir/disk"
}

# A byte is what the guest has written, and not what the secret holds.
still_raw() {
	raw "$1" verify --expect "$dir/as-raw" --ops 100 --mix 100,0,0,0,0
}

after_restart() {
	daemon_stop && daemon_start && still_raw "$as_qdisk"
}

# The overlay says nothing of its base's format: the header extension that did
# has a number of no meaning.
base_is_raw() {
	cp "$dir/as-raw" "$dir/base" &&
	"$xdisk" create -q -u -f qcow2 -b "$dir/base" -F qcow2 "$dir/over" 4M &&
	sed -i 's/\xe2y[*]\xca/none/' "$dir/over" &&
	still_raw "$dir/over,qcow2,xvda,rw"
}

as_qdisk="backendtype=qdisk,vdev=xvda,target=$dir/disk"
daemon_start
check "files" files

about CVE-2008-2004
check "the guest writes it, and reads it back" written
check "it stays raw for the next driver" still_raw "$as_qdisk"
check "it stays raw for the next daemon" after_restart
check "it stays raw where a script names no format" still_raw \
	"script=block-xdisk,vdev=xvda,target=$dir/disk"
check "it stays raw where a script says so" still_raw \
	"script=block-xdisk,vdev=xvda,target=raw:$dir/disk"

about CVE-2010-2238
check "it is raw, whatever is in it" base_is_raw
tap_done
