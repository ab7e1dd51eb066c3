#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# How far it has come, with -p and by SIGUSR1: never in what stdout carries.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires jq python3

line='^    ([0-9.]*/100%)'

# told ARGUMENTS...: xdisk, to whom SIGUSR1 comes all the time; stdout goes to
# "out", stderr to "err". Ignored until it is listened to.
told()
{
	local pid status

	(
		trap '' USR1
		exec ${WRAP:-} "$builddir/tool/xdisk" "$@"
	) > out 2> err &
	pid=$!
	sleep 0.1
	while kill -USR1 $pid 2> /dev/null; do
		sleep 0.01
	done
	wait $pid
	status=$?
	cat err
	return $status
}

# quiet WHAT OUTPUT: that is all there is on stdout, and the line is on stderr
quiet()
{
	is "$1: SIGUSR1 is answered on stderr" "$(grep -q "$line" err; echo $?)" 0
	is "$1: nothing of it is on stdout" "$(sha256sum < out)" \
		"$(sha256sum < "$2")"
}

head -c 20M /dev/urandom > a
: > nothing
ok 'convert to stdout' told convert -r 25M -f raw -O raw a -
quiet 'convert to stdout' a
ok 'convert -p to stdout' told convert -p -r 25M -f raw -O raw a -
quiet 'convert -p to stdout' a
ok 'convert to a file' told convert -r 25M -f raw -O qcow2 a x
quiet 'convert to a file' nothing
ok 'convert --output=json' told convert -r 25M --output=json -f raw a x
is 'is JSON' "$(jq '.["bytes-written"]' out)" 20971520
is 'with SIGUSR1 answered on stderr' "$(grep -q "$line" err; echo $?)" 0
xdisk create -q -f raw base 20M
xdisk convert -q -f raw -O qcow2 a over
xdisk rebase -q -u -f qcow2 -b base -F raw over
echo 'Image committed.' > want
ok 'commit' told commit -r 25M -f qcow2 over
quiet 'commit' want
rm base over

group 'on a terminal'
tty() { python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]))' "$@"; }
xdisk=$builddir/tool/xdisk
ok '-p with the image on stdout' \
	tty bash -c "$xdisk convert -p -f raw a - > out"
said 'shows it on the terminal' '(100.00/100%)'
ok 'not in the image' cmp out a
ok '-p with JSON on stdout' \
	tty bash -c "$xdisk convert -p --output=json -f raw a x > out"
said 'shows it on the terminal' '(100.00/100%)'
is 'not in the JSON' "$(jq '.["bytes-written"]' out)" 20971520
ok '-p, and the terminal is stdout' \
	tty bash -c "$xdisk convert -p -f raw a x 2> err"
said 'shows it there' '(100.00/100%)'
is 'as qemu-img does: nothing is on stderr' "$(wc -c < err)" 0
ok '-p, and stdout is no terminal' \
	tty bash -c "$xdisk convert -p -f raw a x > out"
is 'shows nothing' "$(cat .log out)" ''
finish
