#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Guests that end while their disks have much to do, or wait for a server that
# does not answer; and requests beside long ones.
. "${srcdir:-.}/tests/simxen/simxen.sh"
simxen_require qemu-nbd jq "$xdiskd" "$worker"
simxen_start
dir=$SIMXEN_DIR
servers=
trap '{ kill -KILL $servers; wait $servers; } 2>/dev/null; simxen_stop' EXIT

create_big() {
	"$xdisk" create -q -f qcow2 -o preallocation=metadata "$dir/big" 1T
}

no_worker() {
	! workers_of "$daemon_pid"
}

# ends DOMID: when it is destroyed the worker ends, and holds nothing more.
ends() {
	guest destroy --domid "$1" --quick &&
	wait_for 10 no_worker &&
	[ "$(held_by_backends)" -eq 0 ]
}

# discard CONDITION: of what is told of reads beside discards of the whole disk.
discard() {
	guest discard --domid 1 --vdev xvda --count 16 >"$dir/out" &&
	cat "$dir/out" &&
	jq -e ".discards == 16 and .failed == 0 and $1" "$dir/out"
}

# After the first nothing is left to be discarded, and all is computing: then a
# read has to wait for that alone, unless the machine has others to serve.
reads_beside() {
	guest create --domid 1 --disk "$dir/big,qcow2,xvda,rw" &&
	discard '.reads > 50' || return
	for time in 1 2 3 4 5; do
		discard '.longest_read_ms < 200' || continue
		guest destroy --domid 1 --quick
		return
	done
	return 1
}

# As many as four rings hold, of the largest size.
flood() {
	guest create --domid 2 --disk "$dir/big,qcow2,xvda,rw" &&
	guest discard --domid 2 --vdev xvda --queues 4 --order 4 \
		--count 2047 --stay &&
	sleep 1 &&
	ends 2
}

clean() {
	"$xdisk" check -f qcow2 "$dir/big"
}

# serve PROGRAM...: a server of one disk; its output is in "port".
serve() {
	"$@" >"$dir/port" 2>"$dir/server.log" &
	server=$!
	servers="$servers $server"
}

# on ACCESS URL: the disk that is there.
on() {
	echo "format=raw,backendtype=qdisk,vdev=xvda,access=$1,target=$2"
}

# silent_amid DOMID DISK MIX: the server falls silent while requests are under
# way...
silent_amid() {
	guest create --domid "$1" --disk "$2" || return
	guest verify --domid "$1" --vdev xvda --seconds 60 --mix "$3" &
	sleep 1
	kill -STOP "$server"
	sleep 1
	ends_with "$1" $!
}

# silent_at_first DOMID DISK: ...and is it when the image is opened.
silent_at_first() {
	guest create --domid "$1" --disk "$2" || return
	guest verify --domid "$1" --vdev xvda --ops 1 &
	sleep 1
	ends_with "$1" $!
}

# ends_with DOMID FRONTEND
ends_with() {
	ends "$1"
	set -- $? "$2"
	kill "$2" 2>/dev/null
	wait "$2" 2>/dev/null
	return "$1"
}

SIMXEN_LOG=info daemon_start
check "a terabyte of metadata" create_big
check "reads wait a moment beside discards of the whole disk" reads_beside
check "a guest ends amid discards of the whole disk" flood
check "its image is well" clean

truncate -s 64M "$dir/raw"
serve qemu-nbd -f raw -k "$dir/nbd" -e 8 -t "$dir/raw"
nbd=nbd:unix:$dir/nbd
check "an NBD server is up" wait_for 5 [ -S "$dir/nbd" ]
check "it falls silent" silent_amid 3 "$(on rw "$nbd")" 40,40,4,4,12
check "it does not even greet" silent_at_first 4 "$(on rw "$nbd")"

serve python3 "$srcdir/tests/functional/protocols/web-server.py" "$dir"
check "a web server is up" wait_for 5 [ -s "$dir/port" ]
web=http://127.0.0.1:$(cat "$dir/port")/raw
check "it falls silent" silent_amid 5 "$(on ro "$web")" 100,0,0,0,0
check "it does not even greet" silent_at_first 6 "$(on ro "$web")"
tap_done
