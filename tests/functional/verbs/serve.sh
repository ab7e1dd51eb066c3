# SPDX-License-Identifier: LGPL-2.1-or-later
# serve.sh: images exported by NBD, to qemu-img, to ourselves, to the hostile.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# begin FILE [options]: a server on the socket s
begin()
{
	local file=$1 i

	shift
	${WRAP:-} "$builddir/tool/xdisk" serve -k "$T/s" "$@" "$file" \
		> serve.log 2>&1 &
	server=$!
	for i in $(seq 100); do
		! grep -q '^Serving' serve.log || return 0
		kill -0 $server 2> /dev/null || return 1
		sleep 0.05
	done
	return 1
}

end()
{
	kill -TERM $server && wait $server
}

survives()
{
	hostile "$@" && kill -0 $server
}

hostile()
{
	timeout 30 python3 "$srcdir/tests/functional/verbs/nbd-hostile.py" "$T/s" "$@"
}

uri="nbd+unix:///?socket=$T/s"
qemu-img create -q -f qcow2 a.qcow2 64M
ok 'a server' begin a.qcow2 -f qcow2
ok 'qemu writes' qemu-io -f raw -c 'write -P 5 1M 3M' -c 'write -P 6 5000 100' \
	-c 'read -P 5 1M 3M' -c 'read -P 6 5000 100' -c flush "$uri"
ok 'zeroes, discards' qemu-io -f raw -d unmap -c 'write -z 2M 1M' \
	-c 'write -z -u 3M 64k' -c 'discard 8M 1M' -c 'read -P 0 2M 1088k' "$uri"
ok 'at once' qemu-io -f raw -c 'aio_write -P 7 10M 64k' \
	-c 'aio_write -P 8 11M 3M' -c 'aio_write -P 9 20M 64k' -c aio_flush \
	-c 'read -P 7 10M 64k' -c 'read -P 8 11M 3M' -c 'read -P 9 20M 64k' "$uri"
ok 'what is where' qemu-img map -f raw --output=json "$uri"
says '"start": 14680064, "length": 6291456, .*"zero": true, "data": false'
rc 1 'the image is in use' xdisk io -f qcow2 -c 'write 0 512' a.qcow2
rc 1 'and the socket' xdisk serve -f raw -k "$T/s" "$srcdir/README.md" -r
for case in \
	'flags alive' 'option-magic refused' 'option-unknown error 1' \
	'option-long error 9' 'option-huge refused' \
	'go-short error 3' 'go-lengths error 3' 'go-infos error 3' \
	'go-name error 6' 'meta-before error 3' 'meta-short error 3' \
	'read-beyond error 22' 'read-wraps error 22' 'read-nothing error 22' \
	'read-long error 22' 'read-long-structured error 22' \
	'write-beyond error 28' 'write-long refused' 'trim-beyond error 28' \
	'zero-beyond error 28' 'flush-odd error 22' 'status-unasked error 22' \
	'command error 22' 'request-magic refused' 'noise alive'; do
	ok "${case%% *} is survived" survives "${case%% *}"
	said "${case#* }" "^${case#* }$"
done
ok 'all is there still' qemu-io -f raw -c 'read -P 5 1M 1M' \
	-c 'read -P 0 2M 1M' -c 'read -P 8 11M 3M' "$uri"
ok 'a deaf one' survives deaf
ok 'ends on SIGTERM' end
ok 'without its socket' test ! -e s
ok 'the image is clean' clean a.qcow2
ok 'and has it' qemu-io -f qcow2 -c 'read -P 5 1M 1M' -c 'read -P 9 20M 64k' a.qcow2

ok 'a read-only one' begin a.qcow2 -f qcow2 -r -x disk
uri="nbd+unix:///disk?socket=$T/s"
ok 'can be read' qemu-io -r -f raw -c 'read -P 5 1M 1M' "$uri"
rc 1 'not be written' qemu-io -f raw -c 'write 0 512' "$uri"
rc 1 'has a name' qemu-io -r -f raw -c 'read 0 512' "nbd+unix:///x?socket=$T/s"
ok 'and not be trimmed' survives trim-beyond disk
says '^error 1$'
ok 'we can be our own client' xdisk compare -f raw -F qcow2 "$uri" a.qcow2
ok 'many at once' bash -c "for i in 1 2 3 4; do
	$builddir/tool/xdisk convert -f raw -O qcow2 '$uri' c\$i.qcow2 &
	done; wait; for i in 1 2 3 4; do
	qemu-img compare -f qcow2 -F qcow2 -U a.qcow2 c\$i.qcow2 || exit 1; done"
ok 'ends' end
rc 1 'no socket given' xdisk serve -f raw a.qcow2
says 'no socket given'
rc 1 'a socket of too long a name' xdisk serve -f qcow2 \
	-k "$(printf 'x%.0s' $(seq 200))" a.qcow2
finish
