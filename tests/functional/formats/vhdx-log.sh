#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# VHDX images that were not closed: read as they are after their log has been
# replayed, which we do in memory and qemu-img does in the file.
. "${srcdir:=.}/tests/functional/formats/lib.sh"

noise r.raw 9440768 1
truncate -s 14M r.raw
qemu-img convert -f raw -O vhdx -o block_size=1M,log_size=1M r.raw good.vhdx
size=$(qemu-img info -f vhdx --output=json good.vhdx | jq '."virtual-size"')
truncate -s "$size" r.raw

broken()
{
	python3 "$srcdir/tests/functional/formats/mkvhdxlog.py" "$1" x.vhdx
}

unchanged() { [ "$(sha256sum < x.vhdx)" = "$sum" ]; }

replayed()
{
	cp x.vhdx y.vhdx
	qemu-img check -q -r all -f vhdx y.vhdx
	xdisk compare -f vhdx -F vhdx x.vhdx y.vhdx &&
		qemu-img compare -f vhdx -F raw y.vhdx x.raw
}

# qemu-img 7.2 does not look at the tail, as [MS-VHDX] says: it replays what is
# before it, and of a sequence that goes around the end of the log only the end.
# It does not make the file as large as the log says, and refuses the image for an
# entry that cannot be though its checksum is right.
for kind in one many zero wrap wrap_entry stale last_torn only_torn empty tail \
		large_number metadata grow junk_length payload; do
	cp good.vhdx x.vhdx
	broken $kind || exit 99
	sum=$(sha256sum < x.vhdx)
	ok "log: $kind" xdisk convert -f vhdx -O raw x.vhdx x.raw
	[ $kind = payload ] || ok 'is what it was' cmp r.raw x.raw
	case $kind in
	tail | wrap* | grow | junk_length) ;;
	*) ok 'as qemu-img replays it' replayed ;;
	esac
	ok 'in any order' model -n 0 x.vhdx vhdx x.raw
	ok 'check finds nothing' xdisk check -f vhdx x.vhdx
	ok 'map tells where it is' xdisk map -f vhdx --output=json x.vhdx
	ok 'the file is as it was' unchanged
done
ok 'info' xdisk info -f vhdx --output=json x.vhdx
said 'says that it was not closed' '"dirty-flag": true'
is 'what the log changes has no place in the file' \
	"$(xdisk map -f vhdx --output=json x.vhdx |
		jq '[.[] | select(.data and (has("offset") | not))] | length > 0')" \
	true
rc 1 'it is not written to' xdisk io -f vhdx -c 'write 0 512' x.vhdx
says 'can only be read'

limited()
{
	in_kib 700000 timeout -s KILL 20 ${WRAP:-} "$builddir/tool/xdisk" "$@"
}

while read -r kind said; do
	cp good.vhdx x.vhdx
	broken $kind || exit 99
	sum=$(sha256sum < x.vhdx)
	rc 1 "log: $kind" limited io -r -f vhdx -c 'read 0 4k' x.vhdx
	said "$said" "$said"
	ok 'the file is as it was' unchanged
done << 'END'
bad_tail has all those that it needs
bad_middle has all those that it needs
bad_cut was cut short
bad_last says that the file
bad_far which no file has
bad_zero which no file has
bad_over over each other
bad_version log version 1
bad_large too large
bad_place not within the file
bad_odd not whole MiB
END
finish
