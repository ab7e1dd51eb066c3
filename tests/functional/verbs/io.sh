#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The commands of io, its reports and its exit status.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

qemu-img create -q -f qcow2 x 8M

# The same words from both but for times.
same()
{
	xdisk io -f qcow2 "$@" x | sed 's/ops; .*/ops/' > got
	qemu-io -f qcow2 "$@" x | sed 's/ops; .*/ops/' > want
	diff want got
}

ok 'write and read' same -c 'write -P 7 0 64k' -c 'read -P 7 0 64k' \
	-c 'write -P 0x11 65536 1M' -c 'read -P 17 65536 1M'
ok 'zeroes and discard' same -c 'write -z 0 64k' -c 'read -P 0 0 4k' \
	-c 'discard 64k 64k'
ok 'a wrong pattern' same -c 'read -P 9 0 512'
ok 'part of a read' same -c 'write -P 3 512 512' \
	-c 'read -P 3 -s 512 -l 512 0 4k' -c 'read -P 0 -l 512 0 4k'
ok 'a dump' same -c 'write -P 65 1024 16' -c 'read -v 1020 40'
ok 'length and map' same -c length -c map
ok 'alloc' same -c 'alloc 0 8M' -c 'alloc 0'
ok 'vectors' same -c 'writev -P 8 2M 1k 2k 512' -c 'readv -P 8 2M 512 3k'
ok 'quiet' same -c 'write -q 0 4k' -c 'read -q 0 4k'
ok 'aio' same -c 'aio_write -P 6 3M 64k' -c aio_flush \
	-c 'aio_read -P 6 3M 64k' -c aio_flush
ok 'many at once' xdisk io -f qcow2 -c 'aio_write -P 1 4M 1M' \
	-c 'aio_write -P 2 5M 1M' -c 'aio_write -P 3 6M 1M' \
	-c 'aio_write -P 4 7M 1M' -c aio_flush -c 'read -P 1 4M 1M' \
	-c 'read -P 4 7M 1M' x
ok 'pattern from a file' bash -c "printf abc > p; \
	$builddir/tool/xdisk io -f qcow2 -c 'write -s p 0 512' x"
ok 'all of it' qemu-io -f qcow2 -c 'read -P 97 -l 1 0 3' \
	-c 'read -P 98 -s 511 -l 1 0 512' x

ok 'a match' xdisk io -f qcow2 -c 'read -P 4 7M 1M' x
rc 1 'a mismatch' xdisk io -f qcow2 -c 'read -P 5 7M 1M' x
rc 1 'a mismatch, then a match' \
	xdisk io -f qcow2 -c 'read -P 5 7M 1M' -c 'read -P 4 7M 1M' x
rc 1 'an aio mismatch' xdisk io -f qcow2 -c 'aio_read -P 5 7M 1M' x
rc 1 'beyond the end' xdisk io -f qcow2 -c 'read 8M 1' x
rc 1 'write beyond the end' xdisk io -f qcow2 -c 'write 8191k 2k' x
rc 1 'write to a read-only image' xdisk io -r -f qcow2 -c 'write 0 1' x
rc 1 'no such command' xdisk io -f qcow2 -c frobnicate x
rc 1 'no number' xdisk io -f qcow2 -c 'read 0 x' x
rc 1 'no pattern' xdisk io -f qcow2 -c 'read -P 256 0 1' x
rc 1 'too few' xdisk io -f qcow2 -c 'read 0' x
rc 1 'no image' xdisk io -c 'read 0 1'
rc 1 'no such image' xdisk io -f qcow2 -c 'read 0 1' nowhere

ok 'open, close' xdisk io -c 'open -f qcow2 x' -c 'read -P 4 7M 1M' -c close \
	-c 'open -r -o driver=qcow2 x' -c 'read -P 4 7M 1M' -c reopen -c length
ok 'quit' xdisk io -f qcow2 -c quit -c frobnicate x
ok 'from stdin' bash -c "printf 'write -P 5 0 4k\n# no\n\nread -P 5 0 4k\n' |
	$builddir/tool/xdisk io -f qcow2 x"
ok 'truncate' xdisk io -f qcow2 -c 'write -P 5 0 8M' -c 'truncate 100M' \
	-c 'read -P 0 8M 1M' -c 'write -P 6 99M 1M' -c reopen \
	-c 'read -P 5 7M 1M' -c 'read -P 6 99M 1M' x
ok 'the image is clean' clean x
ok 'and as large for qemu' qemu-io -f qcow2 -c 'read -P 6 99M 1M' x
for cache in none writeback writethrough directsync unsafe; do
	ok "cache $cache" xdisk io -f qcow2 -t $cache -c 'write -P 7 100 70000' \
		-c flush -c 'read -P 7 100 70000' x
done
for engine in io_uring threads native auto; do
	cache=none
	[ $engine = threads ] && cache=writeback
	ok "aio $engine" xdisk io -f qcow2 -t $cache --aio=$engine \
		-c 'aio_write -P 8 100 70000' -c aio_flush \
		-c 'read -P 8 100 70000' x
done

# qemu-io's other words
both()
{
	for tool in "$builddir/tool/xdisk io" qemu-io; do
		cp "$keep" y
		$tool -f qcow2 "$@" y 2>&1 | sed -e 's/ops; .*/ops/' \
			-e 's/^\(xdisk\|qemu-io\): //' > "got-${tool##*/}"
		cp y "y-${tool##*/}"
	done
	diff got-qemu-io 'got-xdisk io'
}
keep=x
ok 'beyond the end' both -c 'read 100M 1' -c 'writev 100M 512' \
	-c 'discard 100M 64k' -c 'aio_write 100M 512' -c aio_flush
ok 'a read-only image' both -r -c 'write 0 64k' -c 'discard 0 64k' -c 'read 0 1'
ok 'opened again to write' both -r -c 'reopen -w' -c 'write 0 64k'
ok 'and again to read' both -r -c 'reopen -w' -c 'reopen -r' -c 'write 0 64k' \
	-c 'read 0 64k'
ok 'in another cache mode' both -c 'reopen -c unsafe' -c 'write -P 1 0 64k' \
	-c 'reopen -c writethrough' -c 'read -P 1 0 64k'
rc 1 'no such mode to reopen in' xdisk io -f qcow2 -c 'reopen -c some' y
ok 'open with options' xdisk io -c 'open -r -o driver=qcow2 y' \
	-c 'read -P 1 0 64k' -c close -c 'open -o driver=qcow2,file.filename=y' \
	-c 'write -P 2 0 64k' -c 'reopen -o discard=unmap' -c 'read -P 2 0 64k'
rc 1 'what the options refuse' xdisk io -f qcow2 -c 'reopen -o frob=on' \
	-c 'write -P 3 0 64k' y
ok 'leaves the image open' xdisk io -f qcow2 -c 'read -P 3 0 64k' y
cp y 'y,b'
ok 'a comma in the name' xdisk io -c 'open -o driver=qcow2 y,b' \
	-c 'read -P 3 0 64k'
ok 'cache sizes' xdisk io -c 'open -o cache-size=1,driver=qcow2 y' \
	-c 'read -P 3 0 64k' -c 'open -o cache-size=1M,l2-cache-size=1M y' \
	-c 'write -P 3 0 64k' -c 'open -o l2-cache-entry-size=512 y' \
	-c 'read -P 3 0 64k'
refused()
{
	for tool in "$builddir/tool/xdisk io" qemu-io; do
		$tool -c "open -o driver=qcow2,$1 y" 2>&1 |
			sed 's/^[^:]*: //' > "got-${tool##*/}"
	done
	diff got-qemu-io 'got-xdisk io' && grep -q "$2" got-qemu-io
}
ok 'three sizes' refused cache-size=2M,l2-cache-size=1M,refcount-cache-size=1M \
	'same time'
ok 'one too many' refused cache-size=1M,l2-cache-size=2M 'may not exceed'
ok 'both ways' refused cache-size=1M,refcount-cache-size=2M 'may not exceed'
for size in 256 4242 128k; do
	ok "entries of $size" refused l2-cache-entry-size=$size 'power of two'
done
ok 'a reopen that fails' both -c 'reopen -o l2-cache-entry-size=256' \
	-c 'reopen -o cache-size=1M,l2-cache-size=2M' -c 'write -P 3 0 64k'
qemu-img create -q -f qcow2 -u -b gone.qcow2 -F qcow2 top.qcow2 1M
rc 1 'no backing file' xdisk io -f qcow2 -c length top.qcow2
says "top.qcow2: Could not open backing file: Could not open 'gone"
ok 'truncate -m' xdisk io -f qcow2 -c 'truncate -m metadata 101M' -c length y
ok 'has laid out the tables' bash -c "qemu-img map --output=json y |
	grep -q 'start\": 104857600, .*\"offset\"'"
rc 1 'no such mode' xdisk io -f qcow2 -c 'truncate -m some 102M' y

rc 137 'a signal ends it' xdisk io -f qcow2 -c 'write -P 9 0 64k' \
	-c 'sigraise 9' -c 'read 0 1' y
rc 134 'abort' bash -c "ulimit -c 0; exec $builddir/tool/xdisk io -c abort"
rc 1 'no signal' xdisk io -c 'sigraise x'

xdisk io -q -f qcow2 -c 'write -P 4 0 64k' y
mkdir overlays; export TMPDIR=$PWD/overlays
ok 'writes that are thrown away' xdisk io -s -f qcow2 -c 'read -P 4 0 64k' \
	-c 'write -P 5 0 64k' -c 'read -P 5 0 64k' y
ok 'are' xdisk io -f qcow2 -c 'read -P 4 0 64k' y
ok 'and leave nothing' rmdir overlays
unset TMPDIR
rc 1 'no such file to open' xdisk io -f qcow2 -c 'read 0 1' nowhere
said 'it is named as qemu-io does' "can't open device nowhere: "

rc 1 'no such cache mode' xdisk io -t some -f qcow2 -c length x
truncate -s 4M raw
ok 'raw' xdisk io -f raw -c 'write -P 1 1000 3000' -c 'read -P 1 1000 3000' \
	-c 'read -P 0 0 1000' -c 'discard 0 1M' raw

# the state of a virtual machine lies beside the disk, and snapshots keep it
qemu-img create -q -f qcow2 vm 4M
ok 'a VM state' xdisk io -f qcow2 -c 'write -P 1 0 4M' \
	-c 'write -b -P 2 1024 4608' -c 'write -b -P 3 1T 64k' \
	-c 'read -b -P 2 1024 4608' -c 'read -b -P 0 0 1024' \
	-c 'read -b -P 0 2T 1k' -c 'read -P 1 0 4M' vm
ok 'qemu-io finds it' qemu-io -f qcow2 -c 'read -b -P 2 1024 4608' \
	-c 'read -b -P 3 1T 64k' -c 'read -P 1 0 4M' vm
is 'the disk is what it was' "$(xdisk info -f qcow2 --output=json vm |
	jq '."virtual-size"')" 4194304
xdisk snapshot -c one -f qcow2 vm
ok 'another one' xdisk io -f qcow2 -c 'write -b -P 4 1040 100' vm
ok 'is no harm to a snapshot' xdisk snapshot -a one -f qcow2 vm
ok 'which has the first' xdisk io -f qcow2 -c 'read -b -P 2 1024 4608' \
	-c 'read -b -P 3 1T 64k' vm
ok 'qemu-img finds nothing wrong' clean vm
qemu-io -f qcow2 -c 'write -b -P 5 7k 3k' vm > /dev/null
ok 'one that qemu-io wrote' xdisk io -f qcow2 -c 'read -b -P 5 7k 3k' vm
qemu-img create -q -f qcow2 -b vm -F qcow2 above 64k
ok 'shows nothing of the backing image' xdisk io -f qcow2 \
	-c 'read -b -P 0 0 4M' -c 'write -b -P 6 3M 1k' -c 'read -b -P 0 2M 1M' \
	above
rc 1 'too far' xdisk io -f qcow2 -c 'write -b 4E 1k' vm
rc 1 'not of zeroes' xdisk io -f qcow2 -c 'write -b -z 0 1k' vm
rc 1 'raw has none' xdisk io -f raw -c 'write -b 0 1k' raw
ok 'discards reach the file' xdisk io -f raw -c 'write -P 1 0 1M' \
	-c 'discard 0 1M' -c 'read -P 0 0 1M' raw
ok 'unless they are not to' xdisk io -d ignore -f raw -c 'write -P 1 0 1M' \
	-c 'discard 0 1M' -c 'read -P 1 0 1M' raw
rc 1 'no such way' xdisk io -d some -f raw -c length raw

# one writer at a time
(sleep 3 | xdisk io -f qcow2 x) &
sleep 1
rc 1 'an image in use is locked' xdisk io -f qcow2 -c 'write 0 1' x
says 'lock'
rc 1 'for qemu too' qemu-io -f qcow2 -c 'write 0 1' x
ok 'but not for looking' xdisk io -r -U -f qcow2 -c 'read 0 1' x
wait

group 'how reopen is told, and what is open'
xdisk create -q -f qcow2 n 64M
ok 'info' xdisk io -f qcow2 -c info n
is 'as qemu-io says it' "$(cat .log)" "$(qemu-io -f qcow2 -c info n | head -n 3)"
said_no() { rc 1 "reopen: $1" xdisk io -f qcow2 -c "reopen $2" n && said "$1: said" "$3"; }
said_no 'another driver' '-o driver=raw' "option 'driver'"
said_no 'another one below' '-o file.driver=qcow2' "option 'driver'"
said_no 'another name of the node' '-o node-name=a' "option 'node-name'"
said_no '-r and read-only' '-r -o read-only=on' 'Cannot set both -r/-w'
said_no '-c and a cache option' '-c none -o cache.direct=on' 'Cannot set both -c'
ok 'reopen: what it is already' xdisk io \
	-c 'open -o driver=qcow2,node-name=a n' \
	-c 'reopen -o driver=qcow2,file.driver=file,node-name=a' -c 'write 0 512'
ok 'the format may be a protocol' xdisk io -f file -c 'read 0 512' n
truncate -s 1M raw1
ok 'discards reach the file' xdisk io -f raw -c 'write -P 1 0 1M' \
	-c 'discard 0 1M' -c 'read -P 0 0 1M' raw1
ok 'if they may' xdisk io -f raw -d ignore -c 'write -P 1 0 1M' \
	-c 'discard 0 1M' -c 'read -P 1 0 1M' raw1
finish
