#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# verify: all layers are read, and what cannot be is told by layer and place.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

# The 64-bit word at $2 of image $1 becomes $3 (hex).
poke() { printf '%s' "$3" | sed 's/../\\x&/g' | xargs -0 printf |
	dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
L2=$((4 << 16))
# Where the first compressed cluster of an image with one L2 table begins.
stream() { echo $((0x$(od -An -t x1 -j "${2:-$L2}" -N 8 "$1" | tr -d ' ') &
	((1 << 54) - 1))); }
json() { xdisk verify -f qcow2 --output=json "$@" 2> err; }

truncate -s 8M base.raw
qemu-io -f raw -c 'write -P 1 0 3M' base.raw > /dev/null
qemu-img create -q -f qcow2 plain 8M
qemu-io -f qcow2 -c 'write -P 2 1M 960k' plain > /dev/null
qemu-img convert -c -O qcow2 plain mid.good
qemu-img rebase -u -f qcow2 -b base.raw -F raw mid.good
cp mid.good mid
qemu-img create -q -f qcow2 -b mid -F qcow2 top 8M
qemu-io -f qcow2 -c 'write -P 3 1M 64k' top > /dev/null

cp top before
ok 'a chain is read' xdisk verify -f qcow2 top
says '^mid: layer 1, qcow2, 960 KiB read$'
said 'a chain is read to the last layer' '^base.raw: layer 2, raw, 3 MiB read$'
ok 'nothing is written' cmp top before
ok 'JSON is told of a chain' json top
is 'JSON tells what was read' "$(json top | jq -c '[.layers[]."bytes-read"]')" \
	'[65536,983040,3145728]'
ok '-q reads a chain' xdisk verify -q -f qcow2 top
is '-q prints nothing' "$(cat .log)" ''

# Even under a layer that hides it.
group 'a stream that is broken'
poke mid "$(stream mid $((L2 + 16 * 8)))" ffffffffffffffff
ok 'check sees nothing of it' xdisk check -f qcow2 mid
rc 2 'is found' xdisk verify -f qcow2 top
said 'is told by layer and place' \
	'^mid: guest offset 1048576, 65536 bytes: Input/output error'
said 'the rest is read' '^mid: layer 1, qcow2, 896 KiB read, 64 KiB cannot be'
is 'is in JSON' "$(json top | jq -c '[.intact, .layers[1].unreadable[0].start,
	.layers[1].unreadable[0].length]')" '[false,1048576,65536]'
cp mid.good mid

group 'entries that lead nowhere, side by side'
cp plain x
poke x $((L2 + 17 * 8)) 8000010000000000
poke x $((L2 + 18 * 8)) 8000010000010000
rc 2 'entries beyond the end' xdisk verify -f qcow2 x
said 'they are one range' '^x: guest offset 1114112, 131072 bytes'
said 'the findings of the check are told' '^x: ERROR L2 entry 17 .*beyond the end'
says '2 errors in its metadata'

group 'what only a snapshot has'
cp mid.good x
qemu-img snapshot -c s x
qemu-io -f qcow2 -c 'write -P 4 1M 960k' x > /dev/null
ok 'a snapshot of compressed data' xdisk verify -f qcow2 x
poke x "$(stream x $((L2 + 16 * 8)))" ffffffffffffffff
rc 2 'a broken one of a snapshot is found' xdisk verify -f qcow2 x
says 'of a snapshot) cannot be unpacked'

group 'the other statuses'
cp plain x
poke x $((L2 + 17 * 8)) 0000000000000000
rc 3 'an image with leaks only' xdisk verify -f qcow2 x
rc 1 'no such image' xdisk verify -f qcow2 nowhere
mv base.raw away.raw
rc 1 'a layer is missing' xdisk verify -f qcow2 top
says 'base.raw'
mv away.raw base.raw
ok 'a raw image' xdisk verify -f raw base.raw
rc 1 'no file name' xdisk verify -f raw
finish
