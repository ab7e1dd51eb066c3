#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Formats that nobody gave: what is guessed is said, and no guess is dangerous.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

mkdir other
qemu-img create -q -f raw a.raw 1M
qemu-img create -q -f raw other/base.raw 1M
qemu-img create -q -f qcow2 a.qcow2 1M
qemu-img create -q -f qcow2 -b a.raw -F raw over.qcow2
qemu-img create -q -f qcow2 -b other/base.raw -F raw far.qcow2
qemu-img create -q -f qcow2 -b "$T/other/base.raw" -F raw full.qcow2
for i in over far full; do
	qemu-io -f qcow2 -c 'write -P 1 0 64k' $i.qcow2 > /dev/null
done

ok 'one image is guessed' xdisk info a.qcow2
says 'a.qcow2: no format given, guessed qcow2 (-f qcow2 says so'
ok 'two images are guessed' xdisk compare a.raw a.qcow2
said 'the second one too' 'a.qcow2: .* (-F qcow2 says so'

# --strict-format: each is refused with the command to type.
# refused DESCRIPTION COMMAND...: and what it tells to type works
refused()
{
	local text=$1 line

	shift
	rc 1 "$text: refused" xdisk "$@" || rc 2 "$text: refused" xdisk "$@"
	line=$(grep -A 1 'say so:$' "$T/.log" | tail -n 1 | sed 's/^ *//')
	ok "$text: what to type works" eval "$line"
}
for i in a.raw a.qcow2; do
	refused "info $i" info --strict-format $i
	refused "map $i" map --strict-format $i
done
refused 'check' check --strict-format a.qcow2
refused 'a name with blanks and quotes' info --strict-format "$(cp a.qcow2 \
	"it's a.qcow2" && echo "it's a.qcow2")"
refused 'resize' resize --strict-format -q a.qcow2 2M
refused 'commit' commit --strict-format -q over.qcow2
refused 'rebase' rebase --strict-format -q -F raw -b other/base.raw over.qcow2
refused 'rebase, the backing file' rebase --strict-format -q -f qcow2 \
	-b a.raw over.qcow2
refused 'create, the backing file' create --strict-format -q -f qcow2 \
	-b a.raw new.qcow2
rc 2 'compare: refused' xdisk compare --strict-format -f raw a.raw a.qcow2
said 'compare: tells what to type' 'compare -F qcow2 --strict-format -f raw a.raw'
printf '[xdisk]\nstrict-format = yes\n\n[defaults]\ncache = none\n' > yes.conf
printf '[xdisk]\nstrict-format = no\n' > no.conf
printf '[xdisk]\nstrict-format = perhaps\n' > perhaps.conf
printf '[xdisk]\nfrobnicate = no\n' > unknown.conf
export XDISK_CONFIG
XDISK_CONFIG=$T/yes.conf
refused 'strict-format = yes' info a.qcow2
ok 'what was given is no guess' xdisk info -f qcow2 a.qcow2
XDISK_CONFIG=$T/no.conf
ok 'strict-format = no: info guesses' xdisk info a.qcow2
XDISK_CONFIG=$T/perhaps.conf
rc 1 'a configuration that is wrong' xdisk info a.qcow2
said 'the wrong value is told' 'perhaps.conf: line 2: "perhaps" is neither yes nor no'
XDISK_CONFIG=$T/unknown.conf
rc 1 'a key that is unknown' xdisk info a.qcow2
says 'unknown key "frobnicate" in \[xdisk\]: image-dirs, strict-format'
for i in yes no; do
	ok "the daemon takes $i" "$builddir/backend/xdiskd" --check-config \
		-c $i.conf
done
for i in perhaps unknown; do
	rc 1 "the daemon refuses $i" "$builddir/backend/xdiskd" --check-config \
		-c $i.conf
done
unset XDISK_CONFIG

# It is written to only beside the overlay.
group "a guessed overlay's base"
before=$(md5sum < other/base.raw)
for i in far full; do
	ok "$i: read" xdisk map $i.qcow2
	mkdir -p deep && cp $i.qcow2 deep/
done
rm far.qcow2
(cd deep && qemu-img rebase -u -F raw -b ../other/base.raw far.qcow2)
rc 1 'is not written to in another folder' xdisk commit deep/far.qcow2
said 'what to type' 'xdisk commit -f qcow2 deep/far.qcow2'
rc 1 'is not written to by its full name' xdisk commit deep/full.qcow2
ln -s ../other/base.raw deep/link.raw
qemu-img rebase -u -F raw -b link.raw deep/far.qcow2
rc 1 'is not written to through a link' xdisk commit deep/far.qcow2
is 'is as it was' "$(md5sum < other/base.raw)" "$before"
ok 'is written to below the folder' xdisk commit full.qcow2
ok 'is written to with -f' xdisk commit -f qcow2 deep/far.qcow2

group 'what is given is never overridden'
qemu-img create -q -f raw a.raw 1M
cp a.qcow2 c.qcow2
ok '-f raw of what looks like qcow2' xdisk resize -f raw -q c.qcow2 1G
is 'that is resized as raw' "$(stat -c %s c.qcow2)" $((1 << 30))
for verb in 'resize -q' 'rebase -u -F raw -b a.raw' commit 'amend -o compat=v2'; do
	size=
	[ "$verb" = 'resize -q' ] && size=2M
	rc 1 "${verb%% *} -f qcow2 of raw" xdisk $verb -f qcow2 a.raw $size
	is "${verb%% *} -f qcow2 of raw changes nothing" "$(tr -d '\0' < a.raw | wc -c) $(stat -c %s a.raw)" \
		'0 1048576'
done

# It stays closed.
group 'an external data file that a guessed header names'
echo secret > secret.txt
truncate -s 1M secret.txt
qemu-img create -q -f qcow2 -o data_file=secret.txt,data_file_raw=on d.qcow2 1M
printf geheim | dd of=secret.txt conv=notrunc status=none
rc 1 'refused' xdisk io -c 'read -v 0 512' d.qcow2
is 'is not read' "$(grep -c gehei "$T/.log")" 0
finish
