# SPDX-License-Identifier: LGPL-2.1-or-later
# nbd.sh: images on an NBD server, which is qemu-nbd.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-nbd qemu-io
xdisk help | grep -q '^Protocols:.* nbd' || {
	echo "1..0 # SKIP built without libnbd"
	exit 0
}

# export_image FORMAT FILE [options]: on the socket s
export_image()
{
	local format=$1 file=$2 i

	shift 2
	rm -f s
	qemu-nbd -f "$format" -k "$T/s" -e 8 -t "$@" "$file" &
	server=$!
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		[ ! -S s ] || return 0
		sleep 0.1
	done
	return 1
}

end_export()
{
	kill "$server" && wait "$server" 2> /dev/null
}

uri="nbd+unix:///?socket=$T/s"
old="nbd:unix:$T/s"

qemu-img create -q -f qcow2 a.qcow2 64M
export_image qcow2 a.qcow2 --discard=unmap
for name in "$uri" "$old"; do
	ok "info of $name" xdisk info "$name"
	says 'virtual size: 64 MiB'
done
ok 'writes' xdisk io -f raw -c 'write -P 5 1M 3M' -c 'write -P 6 5000 100' \
	-c 'flush' "$uri"
ok 'reads' xdisk io -f raw -c 'read -P 5 1M 3M' -c 'read -P 6 5000 100' \
	-c 'read -P 0 5100 1000' "$uri"
ok 'many at once' xdisk io -f raw -c 'aio_write -P 7 8M 64k' \
	-c 'aio_write -P 8 9M 64k' -c 'aio_write -P 9 10M 3M' -c aio_flush \
	-c 'read -P 7 8M 64k' -c 'read -P 8 9M 64k' -c 'read -P 9 10M 3M' "$uri"
ok 'zeroes' xdisk io -f raw -c 'write -z 2M 1M' -c 'read -P 0 2M 1M' \
	-c 'read -P 5 1M 1M' -c 'read -P 5 3M 1M' "$uri"
ok 'map' xdisk map -f raw --output=json "$uri"
says '"start": 8388608, "length": 65536, .*"data": true'
rc 1 'nothing beyond the end' xdisk io -f raw -c 'read 64M 512' "$uri"
end_export
ok 'the server has it all' qemu-io -f qcow2 -c 'read -P 5 1M 1M' \
	-c 'read -P 0 2M 1M' -c 'read -P 6 5000 100' -c 'read -P 9 10M 3M' a.qcow2
ok 'and is clean' qemu-img check a.qcow2

group 'two exports are two disks, though neither is a file'
qemu-img create -q -f raw n1.raw 1M
cp n1.raw n2.raw
qemu-io -f raw -c 'write -P 1 0 64k' n1.raw > /dev/null
qemu-io -f raw -c 'write -P 2 0 64k' n2.raw > /dev/null
export_image raw n1.raw
qemu-nbd -f raw -k "$T/s2" -t n2.raw &
second=$!
until [ -S s2 ]; do sleep 0.05; done
rc 1 'two exports that differ' xdisk compare -f raw -F raw "$uri" "${uri}2"
says 'Content mismatch at offset 0!'
ok 'an export and itself' xdisk compare -f raw -F raw "$uri" "$uri"
ok 'an export and its file' xdisk compare -U -f raw -F raw "$uri" n1.raw
kill "$second" && wait "$second" 2> /dev/null
end_export

group 'a format over the protocol'
qemu-img create -q -f qcow2 -o preallocation=metadata b.qcow2 8M
export_image raw b.qcow2
ok 'qcow2 is guessed' xdisk info "$uri"
says 'file format: qcow2'
ok 'qcow2 is written' xdisk io -f qcow2 -c 'write -P 3 0 5M' -c 'read -P 3 0 5M' \
	"$uri"
end_export
ok 'and read' qemu-io -f qcow2 -c 'read -P 3 0 5M' -c 'read -P 0 5M 3M' b.qcow2

group 'what cannot be'
export_image qcow2 a.qcow2 -r
rc 1 'a read-only export' xdisk io -f raw -c 'write 0 512' "$uri"
says 'read-only'
ok 'but reads' xdisk io -r -f raw -c 'read -P 5 1M 1M' "$uri"
end_export
rc 1 'nobody there' xdisk info "nbd+unix:///?socket=$T/nobody"
says 'No such file'
rc 1 'half a name' xdisk info nbd:x
said 'how it should be' 'nbd:HOST:PORT'
ok 'a file of such a name' xdisk create -q -f raw file:nbd:x 1M
ok 'is one' test -s nbd:x
rc 1 'a backing file is never there' xdisk create -f qcow2 -b "$uri" -F raw \
	c.qcow2
finish
