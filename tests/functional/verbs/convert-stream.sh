#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# convert from and to streams, its summary, rate and salvage.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img jq

{ seq 1 900000; head -c 3M /dev/urandom; } > raw
truncate -s 40M raw
seq 1 99999 >> raw
truncate -s $(($(stat -c %s raw) / 512 * 512)) raw
xdisk=$builddir/tool/xdisk

shell() { bash -c "set -o pipefail; $1"; }

ok 'from a pipe to qcow2' \
	shell "cat raw | $xdisk convert -f raw -O qcow2 - x"
ok 'holds what came' holds x qcow2 raw
ok 'and is clean' clean x
ok 'from a pipe, compressed' \
	shell "cat raw | $xdisk convert -c -f raw -O qcow2 - x"
ok 'holds what came, too' holds x qcow2 raw
ok 'and is clean, too' clean x
ok 'from a pipe to raw' shell "cat raw | $xdisk convert -f raw - x; cmp x raw"
ok 'sparse' test $(($(du -k x | cut -f 1))) -lt 20000
ok 'from a file as stdin' \
	shell "$xdisk convert -f raw -O qcow2 - x < raw"
ok 'holds the same' holds x qcow2 raw
ok 'from nothing' shell "$xdisk convert -f raw -O qcow2 - y < /dev/null"
ok 'to a pipe' shell "$xdisk convert -f qcow2 -O raw x - | cmp - raw"
ok 'to a file as stdout' shell "$xdisk convert -f qcow2 -O raw x - > y"
ok 'is all there' cmp y raw
head -c 1000 raw > odd
ok 'a piece of a sector' shell "cat odd | $xdisk convert -f raw - y"
is 'becomes a sector' "$(stat -c %s y)" 1024
rc 1 'to a pipe that breaks' \
	shell "trap '' PIPE; $xdisk convert -f qcow2 x - | head -c 100 > y"
rc 1 'qcow2 from a pipe' shell "cat x | $xdisk convert -f qcow2 - y"
rc 1 'qcow2 to a pipe' shell "$xdisk convert -f raw -O qcow2 raw - | cat"
rc 1 'a full device' shell "$xdisk convert -f qcow2 x - > /dev/full"

ok 'a summary' shell "$xdisk convert -q --output=json -f raw -O qcow2 raw x > s"
is 'with all bytes' "$(jq '."bytes-written" + ."bytes-zero"' s)" \
	"$(stat -c %s raw)"
is 'the size' "$(jq '."virtual-size"' s)" "$(stat -c %s raw)"
is 'and where' "$(jq -r .filename s)" x

start=$(date +%s%N)
xdisk convert -r 8M -f raw -S 0 -O raw <(:) x 2> /dev/null
head -c 4M raw > four
xdisk convert -r 8M -f raw -S 0 -O raw four x
ok 'a rate' test $((($(date +%s%N) - start) / 1000000)) -ge 300
finish
