#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images as a power cut leaves them while a snapshot is made or deleted: COPIED
# flags that are off where the refcount is 1 again, refcounts that are too high.
# Both are used as if nothing had happened.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# cut.py flags IMAGE: no flags; cut.py leak IMAGE WHAT: one reference more to
# `tables`, `data` or `all` of it
cat > cut.py << 'P'
import struct, sys
what, path, which = sys.argv[1:] + ['all'] * (4 - len(sys.argv))
f = open(path, 'r+b')
def get(off, form):
    f.seek(off)
    return struct.unpack('>' + form, f.read(struct.calcsize('>' + form)))[0]
def put(off, form, v):
    f.seek(off)
    f.write(struct.pack('>' + form, v))
bits = get(20, 'I')
cluster = 1 << bits
version = get(4, 'I')
entry = 16 if version > 2 and get(72, 'Q') & 16 else 8
order = get(96, 'I') if version > 2 else 4
form = {3: 'B', 4: 'H', 5: 'I', 6: 'Q'}[order]
per_block = cluster * 8 >> order
offset = 0x00fffffffffffe00
def more(host):
    n = host >> bits
    block = get(get(48, 'Q') + n // per_block * 8, 'Q')
    at = block + n % per_block * (1 << order) // 8
    put(at, form, get(at, form) + 1)
def visit(at, kind):
    v = get(at, 'Q')
    if not v & offset or (kind == 'data' and v >> 62 & 1):
        return 0
    if what == 'flags':
        put(at, 'Q', v & ~(1 << 63))
    elif which in (kind, 'all'):
        more(v & offset)
    return v & offset
for i in range(get(36, 'I')):
    table = visit(get(40, 'Q') + i * 8, 'tables')
    for k in range(0, cluster if table else 0, entry):
        visit(table + k, 'data')
P

fresh()	# [ARGUMENTS of create]
{
	rm -f x want; truncate -s 6M want
	qemu-img create -q -f qcow2 "$@" x 6M
	model -s 1 -n 150 x qcow2 want
}

# Only lost clusters, if any, says each of the two.
no_worse()
{
	local status

	for check in xdisk qemu-img; do
		"$check" check -f qcow2 x
		status=$?
		[ $status = 0 ] || [ $status = 3 ] || return 1
	done
}

sound() { ! xdisk info -f qcow2 x | grep -q 'corrupt: true'; }

for options in cluster_size=64k cluster_size=512,refcount_bits=8 \
	cluster_size=4k,compat=v2 cluster_size=16k,extended_l2=on; do
	fresh -o $options
	python3 cut.py flags x
	rc 2 "$options, no flags: a check complains" xdisk check -f qcow2 x
	ok 'writes with flushes between' xdisk io -f qcow2 -c 'write -P 1 0 600k' \
		-c flush -c 'write -P 2 5M 600k' -c flush \
		-c 'write -P 3 1M 3M' -c flush -c 'write -P 4 3M 1M' -c flush x
	ok 'the image is not marked corrupt' sound
	ok 'all is there' qemu-io -f qcow2 -c 'read -P 1 0 600k' \
		-c 'read -P 2 5M 600k' -c 'read -P 3 1M 2M' \
		-c 'read -P 4 3M 1M' x
	said 'as it was written' 'read 1048576/1048576'
	ok 'another snapshot' xdisk snapshot -f qcow2 -c s x
	ok 'leaves nothing to be found' clean x
	ok 'deleted' xdisk snapshot -f qcow2 -d s x
	ok 'leaves nothing, either' clean x

	for what in tables data all; do
		fresh -o $options
		python3 cut.py leak x $what
		ok "$options, too many references to $what: a snapshot" \
			xdisk snapshot -f qcow2 -c s x
		ok 'leaves no wrong flag' no_worse
		cp want want.s
		ok 'random requests on it hold' model -s 2 -n 100 x qcow2 want
		ok 'the snapshot is what it was' model -l s -n 0 x qcow2 want.s
		ok 'it is deleted' xdisk snapshot -f qcow2 -d s x
		ok 'no wrong flag' no_worse
		rc 3 'only lost clusters' xdisk check -f qcow2 x
		ok 'the disk is what it was' holds x qcow2 want
		ok 'they are found' xdisk check -f qcow2 -r leaks x
		ok 'all of them' clean x
	done

	# as a file system that is made smaller, an overlay that is emptied
	fresh -o $options
	python3 cut.py flags x
	ok "$options, no flags: smaller" xdisk resize -q -f qcow2 --shrink x 2560k
	truncate -s 2560k want
	ok 'the disk holds what was written' holds x qcow2 want
	ok 'larger, with space' xdisk resize -q -f qcow2 --preallocation=falloc x 6M
	truncate -s 6M want
	ok 'the disk holds what was written' holds x qcow2 want
	ok 'random requests on it hold' model -s 3 -n 100 x qcow2 want
	ok 'and not marked corrupt' sound
	python3 cut.py flags x
	ok 'smaller, larger and written to at once' xdisk io -f qcow2 \
		-c 'truncate 100k' -c 'truncate 6M' -c 'write -P 5 0 3M' \
		-c flush -c 'write -P 6 3M 3M' x
	ok 'not marked corrupt, either' sound
	ok 'right' qemu-io -f qcow2 -c 'read -P 5 0 3M' -c 'read -P 6 3M 3M' x
	fresh -o $options
	rm -f base; truncate -s 6M base
	qemu-img rebase -u -f qcow2 -b base -F raw x
	python3 cut.py flags x
	ok 'committed' xdisk commit -q -f qcow2 x
	ok 'nothing is left to be found' clean x
	ok 'the base has it' cmp base want
done

group "what is not ours alone still is the snapshot's"
fresh -o cluster_size=4k
cp want want.s
qemu-img snapshot -c s x
ok 'two have the tables: written to' model -s 4 -n 100 x qcow2 want
ok 'the snapshot is what it was' model -l s -n 0 x qcow2 want.s
ok 'nothing to be found' clean x
finish
