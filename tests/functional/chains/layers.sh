#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Long backing chains of layers that are as different as can be: cluster sizes,
# subclusters, shorter and longer than what is below; written to in between.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

options=(cluster_size=64k cluster_size=4k cluster_size=512
	cluster_size=16k,extended_l2=on cluster_size=2M cluster_size=128k)
sizes=(5M 6M 4000k 7777k 5M 3M 9M)

# layer N: on layer N - 1, and what it must hold in `want`
layer()
{
	local n=$1 size=${sizes[$(($1 % ${#sizes[@]}))]}

	truncate -s "$(numfmt --from=iec "${size^^}")" want
	xdisk create -q -f qcow2 -b $(($n - 1)) -F "$below" \
		-o "${options[$(($n % ${#options[@]}))]}" "$n" "$size" &&
	model -s "$n" -n 60 "$n" qcow2 want
}

head -c 4500480 /dev/urandom > 0
cp 0 want
below=raw
for n in $(seq 14); do
	ok "layer $n" layer "$n"
	ok "layer $n is as it must be" holds "$n" qcow2 want
	below=qcow2
done
# Reads again what is known, at other places and sizes, and writes between.
ok 'the whole, at random' model -s 99 -n 2000 14 qcow2 want
ok 'and again' holds 14 qcow2 want
ok 'resized' xdisk resize -q -f qcow2 14 12M
truncate -s 12M want
ok 'the rest is zeroes' holds 14 qcow2 want

# As much work for a hundred as for one: qemu-io needs a hundred times as much.
qemu-img create -q -f qcow2 base 64M
qemu-io -f qcow2 -c 'write -P 5 0 64M' base > /dev/null
prev=base
for n in $(seq 101 200); do
	xdisk create -q -f qcow2 -b $prev -F qcow2 "$n"
	prev=$n
done
awk 'BEGIN { srand(1); for (i = 0; i < 20000; i++)
	print "read -q -P 5 " int(rand() * 16384) * 4096 " 4k" }' > reads
ok 'a hundred layers' bash -c "timeout 20 $builddir/tool/xdisk io -r -f qcow2 \
	200 < reads"
finish
