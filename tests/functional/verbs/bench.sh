#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk bench: qemu-img's texts and statuses; every request is sent, once.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# both ARGUMENTS...: status and output, but for the time it took
both()
{
	local program

	for program in qemu-img xdisk; do
		$program bench "$@" > .out 2> .err
		echo "status $?" >> .out
		grep -v 'no format given\|^Try\|^WARNING\|^  ' .err >> .out
		sed 's/[0-9.]* seconds/N seconds/; s/^qemu-img/xdisk/
			s/^xdisk bench:/xdisk:/' .out | number_words > .$program
	done
	diff .qemu-img .xdisk
}

qemu-img create -q -f raw a.raw 10M
qemu-img create -q -f qcow2 a.qcow2 10M
group 'like qemu-img'
for f in raw qcow2; do
	ok "$f: read" both -c 100 -f $f a.$f
	ok "$f: write" both -c 100 -w -f $f a.$f
	ok "$f: one at a time" both -c 100 -d 1 -f $f a.$f
	ok "$f: more than there is to do" both -c 3 -d 64 -f $f a.$f
	ok "$f: large requests" both -c 100 -s 64k -f $f a.$f
	ok "$f: steps" both -c 100 -S 128k -f $f a.$f
	ok "$f: small steps" both -c 100 -S 512 -o 100 -f $f a.$f
	ok "$f: an offset" both -c 100 -o 5M -f $f a.$f
	ok "$f: a pattern" both -c 100 -w --pattern 7 -f $f a.$f
	ok "$f: flushes" both -c 100 -w -d 8 --flush-interval=10 -f $f a.$f
	ok "$f: flushes beside" both -c 100 -w -d 8 --flush-interval=10 \
		--no-drain -f $f a.$f
	ok "$f: direct" both -c 100 -t none -f $f a.$f
	ok "$f: io_uring" both -c 100 -i io_uring -f $f a.$f
	ok "$f: threads" both -c 100 -i threads -f $f a.$f
	ok "$f: native" both -c 100 -t none -i native -f $f a.$f
	ok "$f: -n" both -c 100 -t none -n -f $f a.$f
done
ok 'guessing' both -c 10 a.qcow2
rc 1 'no requests' xdisk bench -c 0 -f raw a.raw
! qemu_since 10.0 || ok 'qemu-img says the same' both -c 0 -f raw a.raw
ok '-U' both -U -c 10 -f raw a.raw
ok '--image-opts' both -c 10 --image-opts driver=raw,file.filename=a.raw

group 'what is written, and where'
qemu-img create -q -f raw b.raw 1M
ok 'all is written' xdisk bench -q -w -f raw -c 256 --pattern 9 b.raw
is 'the pattern is everywhere' "$(tr -d '\11' < b.raw | wc -c)" 0
qemu-img create -q -f raw b.raw 1M
ok 'some is written, in steps' xdisk bench -q -w -f raw -c 64 -S 16k --pattern 9 b.raw
is 'as much as asked for is written' "$(tr -d '\0' < b.raw | wc -c)" $((64 * 4096))
ok 'it writes to random offsets' xdisk bench -q -w -f raw -c 100 --random 5 --pattern 1 b.raw
is 'random offsets are multiples of the step' "$(od -An -v -w4096 -tx1 b.raw | tr -d ' ' |
	sort -u | cut -c 1-2,8191-8192 | sort -u | tr '\n' ' ')" '0000 0101 0909 '
cp b.raw c.raw
xdisk bench -q -w -f raw -c 100 --random 5 --pattern 1 c.raw
ok 'the same seed, the same offsets' cmp b.raw c.raw
truncate -s 1001k b.raw
ok 'an image that ends within a step' xdisk bench -q -f raw -s 12k -c 1000 b.raw
ok 'a qcow2, random writes, flushes' xdisk bench -q -w -f qcow2 -c 2000 -s 8k \
	--random 1 --flush-interval=100 a.qcow2
ok 'the image is clean' clean a.qcow2
json() { xdisk bench --output=json -f raw "$@" | python3 -c '
import json, sys
j = json.load(sys.stdin)
l = j["latency-us"]
assert l["p50"] <= l["p90"] <= l["p99"] <= l["p99.9"] <= l["max"]
assert 0 < l["mean"] <= l["max"]
assert abs(j["iops"] * j["seconds"] - j["requests"]) < 1
print(j["operation"], j["requests"], j["bytes-each"], j["in-parallel"])'; }
is 'JSON of reads' "$(json -c 1000 -d 4 a.raw)" 'read 1000 4096 4'
is 'JSON of writes' "$(json -w -c 100 -s 512 a.raw)" 'write 100 512 64'

group 'errors'
ok 'no image' both
ok 'two images' both a.raw a.raw
rc 1 'no such image' xdisk bench nope
for o in '-c x' '-c -1' '-c 5G' '-d x' '-d -1' '-s x' '-s 3G' '-S x' '-S 3G' \
		'-o x' '-o -1' '--pattern 256 -w' '--pattern x -w' \
		'--flush-interval=x' '--flush-interval=3 -c 10' \
		'-w --flush-interval=3 -d 4' '-i foo'; do
	ok "$o" both $o -f raw a.raw
done
rc 1 'a cache mode that is none' xdisk bench -t foo -f raw a.raw
rc 1 'native, but buffered' xdisk bench -n -f raw a.raw
rc 1 'beyond the end' xdisk bench -o 20M -f raw a.raw
says 'Failed request: '
rc 1 'larger than the image' xdisk bench -s 20M -f raw a.raw
rc 1 'no depth' xdisk bench -d 0 -f raw a.raw
rc 1 'too great a depth' xdisk bench -d 65537 -f raw a.raw
said 'is told' 'a queue depth of 65537 is above 65536'
rc 1 'no size' xdisk bench -s 0 -f raw a.raw
: > empty.raw
rc 1 'an empty image' xdisk bench -f raw empty.raw
says 'empty'
finish
