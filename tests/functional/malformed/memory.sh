#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Small images that want much memory: what they get at opening is bounded by its
# sum, and what is refused is refused by that sum; large ones are opened.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img python3

greedy() { python3 "$srcdir/tests/functional/mkgreedy.py" "$@"; }

# peak MIB ARGUMENTS...: runs the tool, which must not have taken more. There is
# no telling under valgrind and sanitizers, whose own memory is counted, too.
peak()
{
	local most=$1

	shift
	if sanitized; then
		xdisk "$@"
		return
	fi
	python3 - "$most" "$builddir/tool/xdisk" "$@" <<- 'END'
	import resource, subprocess, sys
	status = subprocess.call(sys.argv[2:])
	mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
	print(f'{mib} MiB, at most {sys.argv[1]}')
	sys.exit(status if mib <= int(sys.argv[1]) else 99)
	END
}

read_write() { peak "$1" io -f qcow2 -c 'read 0 512' -c 'write 0 512' "$2"; }

greedy in_use x 128 shared
ok '128 bitmaps in use with one table' read_write 64 x
greedy in_use x 128
rc 1 '128 bitmaps in use with tables of 1 GiB: refused' read_write 300 x
said 'by sum and limit' \
	"tables of 'x' would take [0-9]* bytes of memory, at most 268435456"
ok 'it can be read' peak 64 io -r -f qcow2 -c 'read 0 512' x
greedy enabled x 1
ok 'one enabled bitmap of 512 MiB' peak 64 io -f qcow2 -c 'read 0 512' x
greedy enabled x 2
rc 1 'two of them: refused' peak 64 io -f qcow2 -c 'read 0 512' x
said 'by sum and limit' "bitmap '00000001'.* 1073741824 bytes, at most 536870912"

greedy l1 x1 $((4 << 20))
ok 'the largest L1 table' read_write 100 x1
for n in $(seq 2 16); do
	greedy l1 "x$n" $((4 << 20)) "x$((n - 1))"
done
rc 1 'sixteen in a chain: refused' read_write 300 x16
said 'by sum and limit' "images that stand on it would take [0-9]* bytes of \
memory, at most 268435456"
ok 'seven are not too many' read_write 300 x7

greedy dirty x 2048
rc 2 'references far from each other' peak 160 check -f qcow2 x
greedy dirty x 9000
rc 1 'more of them are not repaired at opening' read_write 360 x
said 'by sum and limit' 'takes more than 2[0-9]* bytes of memory'

group 'what is large, and not only says so, is opened'
ok 'a disk of a petabyte' xdisk create -q -f qcow2 x 1P
ok 'is opened' read_write 100 x
ok 'its overlay, too' xdisk create -q -f qcow2 -b x -F qcow2 y
ok 'is opened' read_write 150 y
rm x y
ok 'a disk whose tables are all there' xdisk create -q -f qcow2 \
	-o preallocation=metadata,lazy_refcounts=on x 256G
printf '\1' | dd of=x bs=1 seek=79 conv=notrunc status=none
ok 'is repaired and opened when it was not closed cleanly' read_write 100 x
ok 'nothing is wrong in it' clean x
finish
