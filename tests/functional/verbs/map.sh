#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# map says what qemu-img map says.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

json()
{
	xdisk map --output=json "$@" | map_words | jq -S . > got || return
	qemu-img map --output=json "$@" | jq -S . > want || return
	diff want got
}

human()
{
	xdisk map "$@" > got || return
	qemu-img map "$@" > want || return
	diff want got
}

both() { json "$@" && human "$@"; }

qemu-img create -q -f qcow2 one.qcow2 64M
qemu-io -f qcow2 -c 'write 0 1M' -c 'write -z 2M 64k' -c 'write -z -u 3M 64k' \
	-c 'write 20M 100' -c 'write 63M 1M' one.qcow2 > /dev/null
qemu-img create -q -f qcow2 -b one.qcow2 -F qcow2 two.qcow2 80M
qemu-io -f qcow2 -c 'write 64k 64k' -c 'write -z 512k 64k' -c 'write 70M 1' \
	two.qcow2 > /dev/null
qemu-img create -q -f qcow2 -b two.qcow2 -F qcow2 three.qcow2 90M
qemu-img create -q -f qcow2 -o cluster_size=512 small.qcow2 1M
qemu-io -f qcow2 -c 'write 7k 3k' -c 'write 1000k 1k' small.qcow2 > /dev/null
truncate -s 10M sparse.raw
qemu-io -f raw -c 'write 1M 1M' sparse.raw > /dev/null
qemu-img create -q -f qcow2 empty.qcow2 10M
for i in one two three small empty; do
	ok "$i" both -f qcow2 $i.qcow2
done
ok 'raw' both -f raw sparse.raw
ok 'from an offset' json -f qcow2 --start-offset=65536 two.qcow2
ok 'of a length' json -f qcow2 --start-offset=64k --max-length=1M two.qcow2
qemu-img convert -c -f qcow2 -O qcow2 one.qcow2 zlib.qcow2
ok 'compressed' json -f qcow2 zlib.qcow2
# Clusters that are allocated and were never written are holes of the file.
for o in cluster_size=64k cluster_size=4k cluster_size=2M extended_l2=on; do
	qemu-img create -q -f qcow2 -o "preallocation=metadata,$o" holes.qcow2 64M
	qemu-io -f qcow2 -c 'write 0 100k' -c 'write 10M 3M' -c 'write -z 20M 1M' \
		-c 'discard 30M 1M' -c 'write 63M 1M' holes.qcow2 > /dev/null
	ok "preallocated, $o" both -f qcow2 holes.qcow2
done
qemu-img create -q -f qcow2 -o preallocation=metadata large.qcow2 8G
qemu-io -f qcow2 -c 'write -P 7 5G 1M' large.qcow2 > /dev/null
xdisk convert -f qcow2 -O qcow2 --output=json large.qcow2 few.qcow2 > told
is 'what was never written is not read' "$(jq '."bytes-read"' told)" 1048576
ok 'nor lost' qemu-img compare -f qcow2 -F qcow2 large.qcow2 few.qcow2
# The same requests lead to the same map, whoever carries them out; but for where
# the data lies, and which of it is a hole of the file.
states()
{
	qemu-img map --output=json "$1" | jq -c 'reduce .[] as $e ([];
		($e | {depth, present, data, end: (.start + .length),
		       zero: (.zero and (.data | not))}) as $n |
		if length > 0 and (last | del(.end)) == ($n | del(.end))
		then .[:-1] + [$n] else . + [$n] end) | .[]'
}
requests=(-c 'write -z 2M 100k' -c 'write 64k 4k' -c 'write -z 66k 1k'
	-c 'write -z 130k 1k' -c 'write -z 200k 200k' -c 'write 600M 128k'
	-c 'write -z -u 600M 64k' -c 'discard 64k 64k' -c 'write 5M 70k'
	-c 'write 300k 1k' -c 'write -z 1023k 1k' -c 'write 1000M 1M'
	-c 'discard 1G 1M' -c 'write -z 1535M 1M')
for o in compat=v3 cluster_size=4k extended_l2=on; do
	for backing in '' '-b three.qcow2 -F qcow2'; do
		qemu-img create -q -f qcow2 -o $o $backing theirs.qcow2 1536M
		cp theirs.qcow2 ours.qcow2
		qemu-io -f qcow2 "${requests[@]}" theirs.qcow2 > log 2>&1
		xdisk io -f qcow2 "${requests[@]}" ours.qcow2 > log 2>&1
		states theirs.qcow2 > want
		states ours.qcow2 > got
		ok "as qemu-io writes, $o $backing" diff want got
	done
done
rc 1 'has no offsets for people' xdisk map -f qcow2 zlib.qcow2
said 'which is told' 'compressed clusters'
rc 1 'no file' xdisk map -f qcow2 nowhere
rc 1 'no number' xdisk map -f qcow2 --start-offset=x one.qcow2
finish
