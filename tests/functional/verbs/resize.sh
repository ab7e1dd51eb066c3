#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Other sizes, as qemu-img makes them, and nothing lost on the way.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

size() { qemu-img info -f "$2" --output=json "$1" | jq '."virtual-size"'; }
blocks() { echo $(($(stat -c '%b' "$1") / 2)); }	# KiB
same()	# ARGUMENTS: both tools say and do the same
{
	cp want.img a; cp want.img b
	qemu-img resize -f "$1" "${@:2}" > a.out 2>&1 < /dev/null
	local status=$?
	sed -i 's/^qemu-img:/xdisk:/' a.out
	mv a a.img; mv b a
	xdisk resize -f "$1" "${@:2}" > b.out 2>&1
	[ $? = $status ] && cmp a.out b.out && [ "$(size a.img "$1")" = "$(size a "$1")" ]
}

group 'what is said'
qemu-img create -q -f qcow2 want.img 1M
for args in 'a 2M' 'a +1M' 'a 1M' 'a +0' 'a 512k' '--shrink a 512k' \
	'-q --shrink a 512k' 'a 0' '--shrink a -1M' 'a -2G' '-q a +2M' \
	'--shrink --preallocation=full a 512k' '--preallocation=falloc a 1M' \
	'--preallocation=off --shrink a -512k' '--shrink a -- -512k'; do
	ok "qcow2: resize $args" same qcow2 $args
done
rm want.img; truncate -s 1M want.img
for args in 'a 2M' 'a +1M' 'a 512k' '--shrink a 512k' 'a 1000' \
	'--shrink a 1000' '--preallocation=falloc a 3M' \
	'--preallocation=full a +1M' '-q --preallocation=full --shrink a 1k'; do
	ok "raw: resize $args" same raw $args
done
group 'raw'
rc 1 'no preallocation of metadata' xdisk resize -f raw --preallocation=metadata a 9M
says 'Unsupported preallocation mode: metadata'
is 'the file stays as it is' 1048576 "$(stat -c %s a)"
rc 1 'a size that is no number' xdisk resize -f raw a foo
says "not 'foo'"
rc 1 'a size that is too much' xdisk resize -f raw a 99999999T
rc 1 'an addition that is too much' xdisk resize -f raw a +8192P
rc 1 'no size' xdisk resize -f raw a
rc 1 'two sizes' xdisk resize -f raw a 1M 2M
rc 1 'an unknown mode of preallocation' xdisk resize -f raw --preallocation=some a 2M
xdisk resize -f raw --output=json a 3M > out
ok 'JSON tells the new size' grep -q '"virtual-size": 3145728' out
ok 'JSON tells the old size' grep -q '"previous-size": 1048576' out
group 'qcow2'
qemu-img create -q -f qcow2 x 1M
rc 1 'more than the format has' xdisk resize -f qcow2 x 3P
says 'Failed to grow the L1 table'
rc 1 'a size of no whole sectors' xdisk resize -f qcow2 x +1000
is 'nothing has happened' 1048576 "$(size x qcow2)"
ok 'the image is clean' clean x

# Through sizes that need other L1 tables and refcount structures.
for options in cluster_size=64k cluster_size=512 cluster_size=512,refcount_bits=1 \
	cluster_size=1k,compat=v2 cluster_size=2M,refcount_bits=64 \
	extended_l2=on,cluster_size=16k; do
	rm -f x want; truncate -s 5M want
	qemu-img create -q -f qcow2 -o $options x 5M
	group "$options"
	ok 'random requests on it hold' model -s 1 -n 200 x qcow2 want
	for s in 9M 3G 2560k 512 3333632; do
		group "$options to $s"
		truncate -s $s want
		ok 'is resized' xdisk resize -q -f qcow2 --shrink x $s
		ok 'the image is clean' clean x
		[ $s = 3G ] && { ok 'the far end reads as zeroes' qemu-io -c 'read -P 0 3071M 1M' x; continue; }
		ok 'the disk holds what was written' holds x qcow2 want
		ok 'random requests on it hold' model -s 2 -n 60 x qcow2 want
	done
done
group 'a full image'
qemu-img create -q -f qcow2 x 64M
qemu-io -c 'write 0 64M' x > /dev/null
ok 'is shrunk' xdisk resize -f qcow2 --shrink x 1M
ok 'its file is shorter' test "$(blocks x)" -lt 2048 -a "$(stat -c %s x)" -lt 2097152
ok 'the image is clean' clean x
ok 'grows again' xdisk resize -f qcow2 x 64M
ok 'what is new reads as zeroes' qemu-io -c 'read -P 0 1M 63M' x

# Preallocation
for mode in metadata falloc full; do
	for options in cluster_size=64k cluster_size=512 extended_l2=on cluster_size=1k,compat=v2; do
		rm -f x want; truncate -s 1234432 want
		qemu-img create -q -f qcow2 -o $options x 1234432
		group "preallocation $mode, $options"
		ok 'random requests on it hold' model -s 3 -n 100 x qcow2 want
		ok 'grows' xdisk resize -q -f qcow2 --preallocation=$mode x 9M
		truncate -s 9M want
		ok 'the image is clean' clean x
		ok 'the disk holds what was written' holds x qcow2 want
		[ $mode = metadata ] || ok 'takes the space' test "$(blocks x)" -gt 7900
		is 'has it mapped' 0 "$(qemu-img map --output=json --start-offset=2M x |
			grep -c '"present": false')"
		ok 'random requests on it hold' model -s 4 -n 100 x qcow2 want
		ok 'the image is clean' clean x
	done
	[ $mode = metadata ] && continue
	truncate -s 0 r; truncate -s 1000 r
	group "preallocation $mode, raw"
	ok 'grows' xdisk resize -q -f raw --preallocation=$mode r 8M
	ok 'takes the space' test "$(blocks r)" -ge 8190
done

# What is preallocated has to be zeroes for who has the key.
group 'encrypted'
secret='--object secret,id=s,data=key'
opts='driver=qcow2,file.filename=x,encrypt.key-secret=s'
xdisk create -q -f qcow2 $secret -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 x 1M
ok 'grows' xdisk resize -q $secret --image-opts --preallocation=metadata "$opts" 3M
ok 'reads as zeroes' qemu-io $secret --image-opts -c 'read -P 0 0 3M' "$opts"
ok 'shrinks' xdisk resize -q $secret --image-opts --shrink "$opts" 512k

# A backing image that is longer must not show.
for compat in v2 v3; do
	qemu-img create -q -f raw base 8M
	qemu-io -f raw -c 'write -P 7 0 8M' base > /dev/null
	qemu-img create -q -f qcow2 -o compat=$compat -b base -F raw x 1000448
	group "overlay of version $compat"
	ok 'grows' xdisk resize -q -f qcow2 x 9M
	ok 'the image is clean' clean x
	ok 'shows what it did' qemu-io -c 'read -P 7 0 1000448' x
	said 'all of that was read' 'read 1000448/1000448'
	rc 0 'shows zeroes behind it' qemu-io -c 'read -P 0 1000448 8436736' x
	ok 'shrinks' xdisk resize -q -f qcow2 --shrink x 2M
	ok 'grows with space' xdisk resize -q -f qcow2 --preallocation=metadata x 6M
	ok 'shows zeroes behind what it was' qemu-io -c 'read -P 0 1000448 5166k' x
	ok 'the image is clean' clean x
done

group 'snapshots'
qemu-img create -q -f qcow2 -o compat=v2 x 1M
qemu-img snapshot -c s x
rc 1 'refused in version 2' xdisk resize -f qcow2 x 2M
says "Can't resize a v2 image which has snapshots"
rm -f x want; truncate -s 4M want
qemu-img create -q -f qcow2 -o cluster_size=4k x 4M
model -s 5 -n 300 x qcow2 want
cp want want.s
qemu-img snapshot -c s x
ok 'shrink under a snapshot' xdisk resize -q -f qcow2 --shrink x 1M
truncate -s 1M want
ok 'the image is clean' clean x
ok 'the disk holds what was written' holds x qcow2 want
ok 'grow again' xdisk resize -q -f qcow2 x 6M
truncate -s 6M want
ok 'the disk holds what was written' holds x qcow2 want
ok 'random requests on it hold' model -s 6 -n 300 x qcow2 want
ok 'the image is clean' clean x
qemu-img snapshot -a s x
is 'the snapshot has its size' 4194304 "$(size x qcow2)"
ok 'the snapshot has its content' holds x qcow2 want.s
finish
