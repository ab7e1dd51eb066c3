#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# info says what qemu-img info says.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq python3

json()
{
	xdisk info "$@" --output=json | info_json > got || return
	qemu-img info "$@" --output=json | info_json > want || return
	diff want got
}

human()
{
	xdisk info "$@" | info_words > got || return
	qemu-img info "$@" | info_words > want || return
	diff want got
}

both() { json "$@" && human "$@"; }

mkdir d
truncate -s 3M base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw one.qcow2
qemu-img create -q -f qcow2 -b one.qcow2 -F qcow2 two.qcow2 9M
qemu-img create -q -f qcow2 -b ../two.qcow2 -F qcow2 d/three.qcow2
qemu-img create -q -f qcow2 -o compat=v2,cluster_size=4k v2.qcow2 12345678
qemu-img create -q -f qcow2 -o compression_type=zstd zstd.qcow2 1000000M
qemu-img create -q -f qcow2 -o lazy_refcounts=on,refcount_bits=64 lazy.qcow2 1M
qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=2M ext.qcow2 1M
qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on data.qcow2 1M
qemu-img create -q -f qcow2 snap.qcow2 64M
qemu-img snapshot -c one snap.qcow2
qemu-img snapshot -c 'another one with a long name' snap.qcow2
qemu-img bitmap -f qcow2 --add data.qcow2 b
qemu-img create -q -f qcow2 -o data_file=data2.raw data2.qcow2 1M
# Of everything something, and then broken in several ways
qemu-img create -q -f qcow2 -b base.raw -F raw all.qcow2
qemu-img snapshot -c one all.qcow2
qemu-img snapshot -c 'two "quoted"' all.qcow2
qemu-img bitmap -f qcow2 --add all.qcow2 b
qemu-img bitmap -f qcow2 --add --disable -g 1M all.qcow2 'a name'
cp all.qcow2 in-use.qcow2
python3 "$srcdir/tests/functional/bitmaps.py" flags in-use.qcow2 b 3
cp all.qcow2 corrupt.qcow2
printf '\2' | dd of=corrupt.qcow2 bs=1 seek=79 conv=notrunc status=none
cp all.qcow2 stale.qcow2
printf '\0' | dd of=stale.qcow2 bs=1 seek=95 conv=notrunc status=none
encrypted=
secret='--object secret,id=s,data=x'
if xdisk create -q -f qcow2 $secret -o encrypt.format=luks \
	-o encrypt.key-secret=s,encrypt.iter-time=1 luks.qcow2 1M 2> /dev/null
then
	xdisk bitmap $secret --add --image-opts \
		driver=qcow2,file.filename=luks.qcow2,encrypt.key-secret=s b
	encrypted=luks
fi
ok 'raw' both -f raw base.raw
for i in one two d/three v2 zstd lazy ext snap data data2 all in-use corrupt \
	stale $encrypted; do
	ok "$i" both -f qcow2 $i.qcow2
done
ok 'the data file is not opened' rm data.raw
ok 'nor missed' xdisk info -f qcow2 data.qcow2
ok 'chain' both -f qcow2 --backing-chain d/three.qcow2
ok 'a dirty image' bash -c 'printf "\1" | dd of=lazy.qcow2 bs=1 seek=79 conv=notrunc'
ok 'is told' both -f qcow2 lazy.qcow2
ok 'no backing image' rm base.raw
ok 'is no matter' both -f qcow2 one.qcow2
rc 1 'but for the chain' xdisk info -f qcow2 --backing-chain one.qcow2
qemu-img rebase -u -b two.qcow2 -F qcow2 one.qcow2
rc 1 'a circle' xdisk info -f qcow2 --backing-chain two.qcow2
says 'infinite loop'
ok 'but not followed' xdisk info -f qcow2 two.qcow2
ok 'without -f it guesses' xdisk info v2.qcow2
says 'guessed qcow2'
rc 1 'nothing there' xdisk info -f qcow2 nowhere
rc 1 'not that format' xdisk info -f qcow2 $srcdir/README.md
rc 1 'no such output' xdisk info --output=xml v2.qcow2
ok 'in use by qemu-io' bash -c '
	qemu-io -f qcow2 -c "write 0 4k" -c "sleep 1500" v2.qcow2 &
	sleep 0.5
	'"$builddir"'/tool/xdisk info -f qcow2 -U v2.qcow2; status=$?
	wait; exit $status'

# names with "file:" before them, and with colons
mkdir names; cd names
qemu-img create -q -f qcow2 base.qcow2 1M
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 file:a:top.qcow2
for name in file:a:top.qcow2 ./a:top.qcow2 file:base.qcow2; do
	for tool in xdisk qemu-img; do
		$tool info -f qcow2 $name 2>&1 | grep -E '^(image|backing file):' > $tool.said
	done
	ok "the name $name" diff qemu-img.said xdisk.said
done
cd ..
finish
