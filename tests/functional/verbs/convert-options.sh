#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What convert refuses is what qemu-img convert refuses, and it says why.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img

qemu-img create -q -f qcow2 a 2M
qemu-img create -q -f qcow2 small 1M
xdisk io -q -f qcow2 -c 'write -P 1 0 2M' a

# both STATUS PATTERN ARGUMENTS...
both()
{
	local status=$1 pattern=$2

	shift 2
	rm -f b
	qemu-img convert "$@" > their.log 2>&1 < /dev/null
	is "qemu-img convert $*" $? "$status"
	rm -f b
	rc "$status" "xdisk convert $*" xdisk convert "$@"
	[ -z "$pattern" ] || said '... and why' "$pattern"
}

both 1 'Must specify image file name'
both 1 'Must specify image file name' a
both 1 "Unknown file format 'foo'" -f qcow2 -O foo a b
both 1 "nknown .*'foo'" -f foo -O raw a b
both 1 "Could not open 'nope'" -f qcow2 -O raw nope b
both 1 "Could not open 'nope'" -n -f qcow2 -O raw a nope
both 1 'Compression not supported for this file format' -c -O raw -f qcow2 a b
both 1 'offloading when -c' -C -c -f qcow2 -O qcow2 a b
both 1 'offloading when -S' -C -S 4k -f qcow2 -O raw a b
both 1 'salvaging' -C --salvage -f qcow2 -O raw a b
both 1 'number of coroutines' -m 0 -f qcow2 -O raw a b
both 1 'number of coroutines' -m 17 -f qcow2 -O raw a b
both 1 'number of coroutines' -m x -f qcow2 -O raw a b
both 1 'multiples of 512' -S 511 -f qcow2 -O raw a b
both 1 'up to 16777216' -S 17M -f qcow2 -O raw a b
both 1 'Invalid buffer size' -S foo -f qcow2 -O raw a b
both 1 'requires use of -n' --target-is-zero -f qcow2 -O raw a b
both 1 'no effect' -n -o cluster_size=4k -f qcow2 -O qcow2 a small
both 1 'smaller than' -n -f qcow2 -O qcow2 a small
both 1 'explicit backing format' -B small -f qcow2 -O qcow2 a b
both 1 'not supported' -B small -F qcow2 -f qcow2 -O raw a b
both 1 'multiple input' -B small -F qcow2 -f qcow2 -O qcow2 a a b
both 1 'without backing file' -F qcow2 -f qcow2 -O qcow2 a b
both 1 "Could not open\|ould not open" -B nope -F qcow2 -f qcow2 -O qcow2 a b
both 1 "Invalid parameter 'foo'" -o foo=1 -f qcow2 -O qcow2 a b
both 1 'preallocation' -c -o preallocation=full -f qcow2 -O qcow2 a b
both 1 'Invalid rate' -r abc -f qcow2 -O raw a b
both 1 'Invalid cache option: foo' -t foo -f qcow2 -O raw a b
both 1 'Invalid source cache option: foo' -T foo -f qcow2 -O raw a b
both 1 'multiple snapshot' -l 1 -f qcow2 -O raw a a b
both 1 'no snapshot' -l 1 -f qcow2 -O raw a b
both 1 'no snapshot' -l snapshot.id=1,snapshot.name=x -f qcow2 \
	-O raw a b
both 1 'No such file' -f qcow2 -O qcow2 a nodir/b
both 1 'would be overwritten' -f raw -O qcow2 a a
both 1 'same time' -c -o encrypt.format=luks -f qcow2 -O qcow2 a b
both 1 '' -o encryption -f qcow2 -O qcow2 a b
both 1 '' --frobnicate -f qcow2 -O qcow2 a b
both 0 '' -n -f qcow2 -O qcow2 small a
both 0 '' -U -q -p -f qcow2 -O raw a b
both 0 'compression_type' -o help -O qcow2
both 0 'preallocation' -o '?' -O raw -f qcow2 a b

rc 1 'onto itself without locks' xdisk convert -U -f raw -O qcow2 a a
says "'a' would be overwritten, but it is the file 'a'"
ok 'the source is whole after all that' xdisk check -f qcow2 a
finish
