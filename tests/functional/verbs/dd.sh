#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk dd against qemu-img dd: contents, sizes, texts; holes stay holes.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# both FORMAT ARGUMENTS...: the two programs make %; same bytes, texts, status
both()
{
	local format=$1 status

	shift
	rm -f q x
	qemu-img dd "${@//%/q}" > .qemu 2>&1
	status=$?
	xdisk dd "${@//%/x}" > .ours 2> .err
	[ $? -eq $status ] || { echo "status is $status"; cat .err; return 1; }
	diff <(sed 's/^qemu-img/xdisk/; s/\bq\b/x/g' .qemu | number_words) \
		<(grep -v 'no format given' .err | number_words) || return 1
	[ -e q ] || return 0
	[ "$(qemu-img info q | grep '^virtual')" = \
		"$(qemu-img info x | grep '^virtual')" ] || return 1
	[ ! -s q ] || qemu-img compare -f $format -F $format q x || return 1
	[ $format = raw ] || clean x
}

qemu-img create -q -f raw a.raw 10M
qemu-io -f raw -c 'write -P 1 0 1M' -c 'write -P 2 5000 3000' \
	-c 'write -P 3 9M 1M' a.raw > /dev/null
qemu-img convert -O qcow2 a.raw a.qcow2
printf 'an odd length' > odd.raw
for in in raw qcow2; do
	for out in raw qcow2; do
		for args in '' bs=1M 'bs=1M count=3' 'bs=3000 count=3' \
				'bs=1M skip=3' 'bs=3M skip=1' 'bs=1M skip=10' \
				'bs=1M count=100 skip=5' count=0 'bs=1.5k count=1' \
				'bs=0x100000 count=0x3' 'skip=8 bs=64k'; do
			[ "$args" ] || args=bs=64k
			ok "$in to $out $args" both $out -f $in -O $out if=a.$in \
				of=% $args
		done
	done
done
group 'like qemu-img'
ok 'the raw format is the default' both raw -f qcow2 if=a.qcow2 of=% bs=1M
ok 'the input is guessed' both raw if=a.qcow2 of=% bs=1M
ok '-U' both raw -U -f qcow2 if=a.qcow2 of=% bs=1M
ok '--image-opts' both raw --image-opts -O raw \
	if=driver=qcow2,file.filename=a.qcow2 of=% bs=1M
ok 'an odd length' both raw -f raw if=odd.raw of=%
ok 'beyond the end' both raw -f raw if=a.raw of=% bs=1M skip=11
ok 'far beyond the end' both raw -f raw if=a.raw of=% bs=1M \
	skip=99999999999999999999
# Since 10.0, qemu-img counts blocks without suffixes.
rc 1 'with a suffix' xdisk dd -f raw if=a.raw of=x bs=1M skip=8E
said 'is told' 'Invalid skip specified. Must be between 0 and 9223372036854775807.'
ok 'the last of an operand counts' both raw -f raw if=nope if=a.raw of=% bs=1M
qemu-img create -q -f raw x 20M
cp x q
ok 'over a file that is there' both raw -f raw if=a.raw of=% bs=1M

# count blocks behind those skipped, as dd(1) and the manual have it.
group
ok 'skip and count' xdisk dd -f raw if=a.raw of=x bs=1M skip=8 count=2
dd if=a.raw of=q bs=1M skip=8 count=2 status=none
ok 'skip and count are those of dd' cmp q x

group 'holes'
xdisk dd -f raw if=a.raw of=x bs=1M
ok 'holes stay holes' [ "$(stat -c %b x)" -le "$(($(stat -c %b a.raw) + 16))" ]
qemu-img create -q -f raw big.raw 1T
ok 'a terabyte of holes is copied' xdisk dd -f raw -O qcow2 if=big.raw of=x bs=1M
is 'JSON tells what was copied and written' "$(xdisk dd --output=json -f raw if=a.raw of=x bs=1M count=3 |
	tr -d ' \n')" '{"bytes-copied":3145728,"bytes-written":1048576,"blocks":3}'

group 'errors'
ok 'no operands' both raw
ok 'no output' both raw if=a.raw
ok 'no input' both raw of=%
ok 'an unknown operand' both raw if=a.raw of=% foo=1
ok 'one that dd has' both raw if=a.raw of=% conv=notrunc
ok 'a word that is no operand' both raw foo
for bs in 0 -1 x 4G ''; do
	ok "bs=$bs" both raw -f raw if=a.raw of=% bs=$bs
done
ok 'count=x' both raw -f raw if=a.raw of=% count=x
ok 'skip=x' both raw -f raw if=a.raw of=% skip=x
rc 1 'no such input' xdisk dd -f raw if=nope of=x
says "Could not open 'nope'"
rc 1 'no such format' xdisk dd -f raw -O foo if=a.raw of=x
says 'Unknown file format'
rc 1 'not that format' xdisk dd -f qcow2 if=a.raw of=x
rc 1 'a folder that is not there' xdisk dd -f raw if=a.raw of=nope/x
says 'nope/x: error while creating output image: '
before=$(md5sum < a.raw)
rc 1 'a file onto itself' xdisk dd -f raw if=a.raw of=./a.raw
says "'./a.raw' would be overwritten, but it is the file 'a.raw'"
is 'a file onto itself is left alone' "$(md5sum < a.raw)" "$before"
finish
