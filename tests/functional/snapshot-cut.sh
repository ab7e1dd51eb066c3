#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images as a power cut leaves them while a snapshot is made or deleted: refcounts
# that are too high. They are used as if nothing had happened.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# cut.py leak IMAGE WHAT: one reference more to `tables`, `data` or `all` of it
cat > cut.py << 'P'
import struct, sys
what, path, which = sys.argv[1:]
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
    if which in (kind, 'all'):
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

for options in cluster_size=64k cluster_size=512,refcount_bits=8 \
	cluster_size=4k,compat=v2 cluster_size=16k,extended_l2=on; do
	for what in tables data all; do
		fresh -o $options
		python3 cut.py leak x $what
		ok "$options, too many references to $what: a snapshot" \
			xdisk snapshot -f qcow2 -c s x
		ok 'leaves no wrong flag' no_worse
		cp want want.s
		ok 'written to' model -s 2 -n 100 x qcow2 want
		ok 'the snapshot is what it was' model -l s -n 0 x qcow2 want.s
		ok 'it is deleted' xdisk snapshot -f qcow2 -d s x
		ok 'no wrong flag' no_worse
		rc 3 'only lost clusters' xdisk check -f qcow2 x
		ok 'the disk is what it was' holds x qcow2 want
		ok 'they are found' xdisk check -f qcow2 -r leaks x
		ok 'all of them' clean x
	done
done

# What is not ours alone still is the snapshot's.
fresh -o cluster_size=4k
cp want want.s
qemu-img snapshot -c s x
ok 'two have the tables: written to' model -s 4 -n 100 x qcow2 want
ok 'the snapshot is what it was' model -l s -n 0 x qcow2 want.s
ok 'nothing to be found' clean x
finish
