#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# External data files: a guest writes to what its image names, so the daemon
# opens none that xdisk.conf does not allow for that disk. Descriptions of other
# things than files are in no image.
. "${srcdir:-.}/tests/simxen/simxen.sh"
. "$srcdir/tests/attack/advisories.sh"
simxen_require qemu-img python3 "$xdiskd" "$worker" "$xdisk"
simxen_start

dir=$SIMXEN_DIR
img=$dir/img
conf=$dir/xdisk.conf
cat >"$conf" <<END
[image beside]
path = $dir/*/beside-*
data-file = beside
[image elsewhere]
path = $img/path-*
data-file = $dir/host/allowed
[image other]
path = $img/plain
cache = writeback
[image taken]
path = $dir/nowhere
END

# Files of the host, which no guest may see or change, and two for data.
files() {
	mkdir "$img" "$img/sub" "$dir/host" && ln -s img "$dir/same" &&
	yes secret | head -c 8M >"$dir/was" &&
	cp "$dir/was" "$dir/host/secret" && cp "$dir/was" "$img/neighbour" &&
	cp "$dir/was" "$img/sub/deep" &&
	truncate -s 8M "$dir/host/allowed" "$img/data" &&
	ln -s ../host/secret "$img/link" && ln -s data "$img/alias"
}

# What is not zero in a file, bytes.
written() {
	tr -d '\0' <"$1" | wc -c
}

untouched() {
	cmp "$dir/was" "$dir/host/secret" && cmp "$dir/was" "$img/neighbour" &&
	cmp "$dir/was" "$img/sub/deep" &&
	[ "$(written "$dir/host/allowed")" -eq 0 ]
}

# made IMAGE DATA [OPTIONS]: one whose header names DATA, wherever that is
made() {
	(cd "$img" && qemu-img create -q -f qcow2 \
		-o "data_file=made.raw${3-}" new 8M &&
		"$xdisk" amend -f qcow2 -o "data_file=$2" new &&
		mv new "$1" && rm made.raw)
}

# The same, whose header then names nothing.
made_nameless() {
	made "$1" "$2" && python3 - "$img/$1" <<-'END'
		import struct
		import sys
		with open(sys.argv[1], 'r+b') as f:
		    head = bytearray(f.read(65536))
		    at = struct.unpack_from('>I', head, 100)[0]
		    while head[at:at + 4] != b'DATA':
		        size = struct.unpack_from('>I', head, at + 4)[0]
		        at += 8 + (size + 7 & ~7)
		    head[at:at + 4] = b'xxxx'
		    f.seek(0)
		    f.write(head)
	END
}

# over IMAGE BASE: an overlay
over() {
	qemu-img create -q -f qcow2 -u -b "$2" -F qcow2 "$img/$1" 8M
}

told() {
	xenstore-read -R /local/domain/0/backend/qdisk/2/51712/hotplug-error
}

# Both where the toolstack looks and in the log.
says() {
	grep -qF -- "$1" "$dir/why" &&
	grep -F 'vbd 2/51712' "$daemon_log" | grep -qF -- "$1"
}

# refused_when_asked PATH SENTENCE...: with these; the files are as they were
refused_when_asked() {
	timeout 4 "$simguest" verify --domid 2 --vdev xvda --ops 1 && return 1
	told >"$dir/why"
	guest destroy --domid 2 --quick
	cat "$dir/why"
	for sentence; do
		says "$sentence" || return
	done
	untouched
}

# refused PATH SENTENCE...: before the guest asks, and then
refused() {
	guest create --domid 2 --disk "$1,qcow2,xvda,${mode:-rw}" &&
	wait_for 5 told && refused_when_asked "$@"
}

# refused_later PATH SENTENCE...: that is found when it is opened
refused_later() {
	guest create --domid 2 --disk "$1,qcow2,xvda,${mode:-rw}" &&
	refused_when_asked "$@"
}

# works PATH DATA: verified by the guest; the data is in that file
works() {
	guest create --domid 1 --disk "$1,qcow2,xvda,rw" || return
	guest verify --domid 1 --vdev xvda --ops 500 --qd 16 \
		--save "$dir/saved"
	works_status=$?
	guest destroy --domid 1 --quick
	[ "$works_status" -eq 0 ] && [ "$(written "$2")" -gt 0 ]
}

served() {
	works "$@" && (cd "$img" && qemu-img check -q "$1" &&
		qemu-img compare -f raw -F qcow2 "$dir/saved" "$1") &&
	emptied "$2"
}

emptied() {
	truncate -s 0 "$1" && truncate -s 8M "$1"
}

served_nameless() {
	works "$@" && emptied "$2"
}

# allow VALUE WHERE: what a refusal tells
allow() {
	echo "to allow it, write \"data-file = $1\" into $2 of $conf"
}

new_section() {
	allow "$1" "a new section [image $2]"
}

about CVE-2024-32498
check "files of the host" files
daemon_start --config "$conf"

# ---- nothing is said --------------------------------------------------------

made foreign "$dir/host/secret"
check "without the key a file of the host is refused" refused "$img/foreign" \
	"'$img/foreign' has its data in '$dir/host/secret'" \
	"$(new_section "$dir/host/secret" foreign)" "\"path = $img/foreign\""
mode=r check "it cannot be read either" refused "$img/foreign" \
	"'$img/foreign' has its data in '$dir/host/secret'"
made nearby data
check "nor is one beside the image opened" refused "$img/nearby" \
	"'$img/data'" "$(new_section beside nearby)"
made plain data
check "a section for the image is named" refused "$img/plain" \
	"$(allow beside 'section [image other]')"
made taken data
check "one for other images is not" refused "$img/taken" \
	"$(new_section beside "$img/taken")"
made protocol nbd:localhost:1
check "a protocol is refused" refused "$img/protocol" \
	"names the data file 'nbd:localhost:1'"
made_nameless nobody data
check "so is no name at all" refused "$img/nobody" \
	'write "data-file = PATH" into a new section [image nobody]'

# ---- beside -----------------------------------------------------------------

made beside-good data
check "beside: a file in the image's folder is served" served \
	"$img/beside-good" "$img/data"
check "by another name of the folder, too" served "$dir/same/beside-good" \
	"$img/data"
made beside-raw data ,data_file_raw=on
check "beside: a raw data file is served" served "$img/beside-raw" "$img/data"
made beside-alias alias
check "beside: a link within the folder is served" served \
	"$img/beside-alias" "$img/data"
made beside-full "$img/data"
check "beside: the absolute name of such a file is served" served \
	"$img/beside-full" "$img/data"
made beside-up ../host/secret
check "beside: ../x is refused" refused "$img/beside-up" '../host/secret' \
	'in another folder' \
	"$(allow "$img/../host/secret" 'section [image beside]')"
made beside-far "$dir/host/secret"
check "beside: an absolute path is refused" refused "$img/beside-far" \
	'in another folder'
made beside-link link
check "beside: a link that leads out is refused" refused "$img/beside-link" \
	'is a link' 'in another folder' \
	"$(allow "$img/link" 'section [image beside]')"
made beside-deep sub/deep
check "beside: a folder within is refused" refused "$img/beside-deep" \
	'in another folder'
made beside-gone gone
check "beside: a missing file is told" refused "$img/beside-gone" \
	"gone': No such file"
made_nameless beside-nobody data
check "beside: no name at all is refused" refused "$img/beside-nobody" \
	'write "data-file = PATH" into section [image beside]'
made beside-self beside-self
check "beside: the image itself is refused" refused_later "$img/beside-self" \
	"is the image"

# ---- a path -----------------------------------------------------------------

made path-good "$dir/host/allowed"
check "a path: that file is served" served "$img/path-good" "$dir/host/allowed"
made path-around sub/../../host/allowed
check "a path: that file is served by another name" served "$img/path-around" \
	"$dir/host/allowed"
made_nameless path-nobody "$dir/host/allowed"
check "a path: that file is served where no name is recorded" \
	served_nameless "$img/path-nobody" "$dir/host/allowed"
made path-other "$dir/host/secret"
check "a path: another file is refused" refused "$img/path-other" \
	"only '$dir/host/allowed' is allowed" \
	"$(allow "$dir/host/secret" 'section [image elsewhere]')"
made path-near neighbour
check "a path: one beside the image is refused" refused "$img/path-near" \
	"only '$dir/host/allowed' is allowed" \
	"$(allow beside 'section [image elsewhere]')"

# ---- below ------------------------------------------------------------------

over top foreign
check "a backing image's data file is refused" refused "$img/top" \
	"'$img/foreign' has its data in '$dir/host/secret'" \
	"$(new_section "$dir/host/secret" top)"
mode=r check "a backing image's is where all is only read" refused \
	"$img/top" "'$img/foreign' has its data in"
over third top
check "a backing image's is further below" refused "$img/third" \
	"'$img/foreign' has its data in"
over beside-top foreign
check "beside: a backing image's elsewhere is refused" refused \
	"$img/beside-top" "'$img/foreign' has its data in" 'in another folder'
over path-top path-nobody
check "a path: is not for a backing image without a name" refused \
	"$img/path-top" 'does not record which'

served_over() {
	"$xdisk" io -f qcow2 -c 'write -P 7 0 8M' "$img/beside-good" &&
	over beside-over beside-good &&
	sha256sum "$img/data" >"$dir/sum" &&
	tr '\0' '\7' </dev/zero | head -c 8M >"$dir/expect" &&
	guest create --domid 1 --disk "$img/beside-over,qcow2,xvda,rw" &&
	guest verify --domid 1 --vdev xvda --ops 500 --expect "$dir/expect" ||
		return
	guest destroy --domid 1 --quick
	sha256sum -c "$dir/sum"
}

by_the_tool() {
	"$xdisk" io -r -f qcow2 -c 'read 0 8M' "$img/foreign" && untouched
}

check "beside: a backing image's beside it is read, not written" served_over
check "the tool opens what it is told, as ever" by_the_tool

# ---- descriptions -----------------------------------------------------------

# The image's header is looked at, and what it names is not.
looked_at() {
	"$xdisk" info -f qcow2 "$img/$1" >"$dir/info" && cat "$dir/info" &&
	! grep 'secret secret' "$dir/info" && untouched
}

refused_by_the_tool() {
	! "$xdisk" io -r -f qcow2 -c 'read 0 512' "$img/$1" 2>"$dir/why" &&
	cat "$dir/why" && grep 'only plain files' "$dir/why" && untouched
}

about CVE-2024-4467
description='json:{"driver":"raw","file.filename":"/../host/secret"}'
for name in description beside-description path-description; do
	made $name "${description//,/,,}"
	check "as a data file, $name: refused" refused "$img/$name" \
		"names the data file '$description'"
done
check "as a data file: info does not open it" looked_at description
check "as a data file: the tool opens it as little" refused_by_the_tool \
	description
over based "$description"
check "as a backing file: refused" refused "$img/based" \
	"names the backing file '$description'"
check "as a backing file: info does not open it" looked_at based
check "as a backing file: the tool opens it as little" refused_by_the_tool \
	based
for name in nbd:localhost:1 nbd+unix:///x http://localhost/ fat:rw:/etc \
	blkdebug::/etc/passwd host_device:/dev/sda; do
	over based "$name"
	check "as a backing file, $name: refused" refused "$img/based" \
		"names the backing file '$name'"
done
tap_done
