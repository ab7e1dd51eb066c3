#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check beyond what qemu-img does: --dry-run, --data, progress; what -r leaks
# leaves alone; what a check costs.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq python3

# The 64-bit word at $2 of image $1 becomes $3 (hex).
poke() { printf '%s' "$3" | sed 's/../\\x&/g' | xargs -0 printf |
	dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
json() { xdisk check -f qcow2 --output=json "$@" 2> err; }

qemu-img create -q -f qcow2 good 16M
qemu-io -f qcow2 -c 'write -P 5 0 960k' good > /dev/null
L1=$((3 << 16)) L2=$((4 << 16)) REFS=$((2 << 16))

group 'what a repair would do'
dry()
{
	cp x y
	rc "$1" "$2: nothing is mended" xdisk check -f qcow2 --dry-run -r "$3" x
	said 'it is told' "$4"
	ok 'nothing is written' cmp x y
}
cp good x
poke x $L2 0000000000000000
dry 3 'a leak' leaks '^Would free leaked clusters'
dry 3 'how many' all 'would mend 1 leaked clusters and 0 corruptions'
is 'in JSON, too' "$(json --dry-run -r all x | jq '.["leaks-fixable"]')" 1
cp good x
poke x $((REFS + 10)) 0000
dry 2 'a refcount too low' all '^Would raise refcounts'
dry 2 'which -r leaks leaves alone' leaks 'mend 0 leaked clusters and 0 corr'
cp good x
poke x $((L2 + 8)) 8000000000050000
dry 2 'one cluster twice' all '^Would copy clusters'
cp good x
poke x $L1 8000010000000000
dry 2 'an entry beyond the end' all '^Would drop or mend entries'
dry 2 'behind it -r leaks frees nothing' leaks '^Leaked clusters are kept'
cp good x
poke x 48 0000010000000000
dry 2 'no refcounts' all '^Would write a new refcount structure'
cp good x
poke x 72 0000000000000003
dry 0 'bits' all '^Would clear bits'
ok 'a good image' xdisk check -f qcow2 --dry-run -r all good
chmod 400 good
ok 'one that may not be written to' xdisk check -f qcow2 --dry-run -r all good
rc 1 '--dry-run without -r' xdisk check -f qcow2 --dry-run good

group 'payloads'
for kind in zlib zstd; do
	qemu-img convert -c -O qcow2 -o compression_type=$kind good c
	ok "$kind: all can be unpacked" xdisk check -f qcow2 --data c
	at=$((0x$(od -An -t x1 -j $L2 -N 8 c | tr -d ' ') & ((1 << 54) - 1)))
	cp c x
	poke x $at ffffffffffffffff
	ok 'rubbish is not looked at' xdisk check -f qcow2 x
	rc 2 'unless --data is given' xdisk check -f qcow2 --data x
	said 'it is named' "^ERROR compressed cluster at 0x50000 (guest offset 0) cannot be"
	rc 2 'nothing can mend it' xdisk check -f qcow2 --data -r all x
	ok 'but what is beside it stays' xdisk io -f qcow2 \
		-c 'read -P 5 64k 896k' x
	is 'and is counted' "$(json --data x | jq .corruptions)" 1
done

group 'progress'
tty() { python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))' "$@"; }
qemu-img create -q -f qcow2 -o preallocation=metadata big 64G
ok 'progress' tty "$builddir/tool/xdisk" check -p -f qcow2 big
said 'is shown to its end' '(100.00/100%)'
ok 'not without -p' tty "$builddir/tool/xdisk" check -f qcow2 big
is 'really' "$(grep -c '/100%' .log)" 0

group 'what it costs'
ok 'holes cost nothing' in_kib 100000 timeout 10 "$builddir/tool/xdisk" check \
	-f qcow2 big
truncate -s 15T big
ok 'however long' in_kib 100000 timeout 10 "$builddir/tool/xdisk" check \
	-f qcow2 big
finish
