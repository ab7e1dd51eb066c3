#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Zero clusters and discards: what they read as, what they free, and that a
# backing image never shines through.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

fresh()
{
	rm -f over
	qemu-img create -q -f qcow2 -b base -F raw -o "$1" over 4M
	qemu-io -f qcow2 -c 'write -P 5 0 1M' over
}

head -c 4M /dev/zero | tr '\0' '\7' > base
for options in compat=v3 compat=v2; do
	ok "$options" fresh $options
	ok 'zeroes over data' xdisk io -f qcow2 -c 'write -z 0 256k' over
	ok 'zeroes over the backing image' \
		xdisk io -f qcow2 -c 'write -z 2M 256k' over
	ok 'zeroes that may free' \
		xdisk io -f qcow2 -c 'write -z -u 512k 128k' over
	ok 'zeroes in part of a cluster' \
		xdisk io -f qcow2 -c 'write -z 3000000 100' over
	ok 'a discard' xdisk io -f qcow2 -c 'discard 768k 256k' over
	ok 'a discard over the backing image' \
		xdisk io -f qcow2 -c 'discard 3584k 512k' over
	ok 'the image is clean' clean over
	cat > reads <<- 'END'
		read -P 0 0 256k
		read -P 5 256k 256k
		read -P 0 512k 128k
		read -P 5 640k 128k
		read -P 7 1M 1M
		read -P 0 2M 256k
		read -P 7 2359296 640704
		read -P 0 3000000 100
		read -P 7 3000100 100
	END
	ok 'read by us' bash -c "\
		$builddir/tool/xdisk io -f qcow2 over < reads"
	ok 'read by qemu-io' bash -c '! qemu-io -f qcow2 over < reads |
		grep fail'
	qemu-io -f qcow2 -c 'read -v 768k 256k' -c 'read -v 3584k 512k' over |
		grep : | cut -d' ' -f3- | cut -c-47 | sort -u > bytes
	ok 'what is discarded is zero or as it was' \
		bash -c '! grep -v "^\(00 \?\|05 \?\|07 \?\)*$" bytes'
	ok 'we write there again' xdisk io -f qcow2 -c 'write -P 9 0 4M' over
	ok 'the image is clean' clean over
	ok 'they read it' qemu-io -f qcow2 -c 'read -P 9 0 4M' over
done

allocated() { qemu-img check -f qcow2 --output=json "$1" |
	sed -n 's/.*"allocated-clusters": \([0-9]*\),\?/\1/p'; }
qemu-img create -q -f qcow2 x 8M
xdisk io -f qcow2 -c 'write 0 8M' x
is 'a full image' 128 "$(allocated x)"
xdisk io -f qcow2 -c 'discard 0 4M' -c 'write -z -u 4M 2M' x
is 'most of it is freed' 32 "$(allocated x)"
end=$(stat -c %s x)
xdisk io -f qcow2 -c 'write 0 6M' x
is 'and used again' "$end" "$(stat -c %s x)"
ok 'the image is clean' clean x
qemu-io -f qcow2 -c 'write -z 0 1M' -c 'write -z -u 1M 1M' x
ok 'zero clusters of qemu' xdisk io -f qcow2 -c 'read -P 0 0 2M' \
	-c 'write -P 1 100 512k' -c 'write -P 2 1100k 700k' \
	-c 'read -P 0 0 100' -c 'read -P 1 100 512k' \
	-c 'read -P 2 1100k 700k' -c 'read -P 0 1800k 200k' x
ok 'the image is clean' clean x
finish
