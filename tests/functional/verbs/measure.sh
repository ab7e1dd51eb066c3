#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk measure: qemu-img's numbers, and files that are not larger than said.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# both ARGUMENTS...: status and output of the two programs
both()
{
	qemu-img measure "$@" > "$T/.qemu" 2> /dev/null
	echo "status $?" >> "$T/.qemu"
	xdisk measure "$@" > "$T/.ours" 2> "$T/.err"
	echo "status $?" >> "$T/.ours"
	diff "$T/.qemu" "$T/.ours" || { cat "$T/.err"; false; }
}

group 'like qemu-img'
for size in 0 1 1000 64k 1G 10T 1P; do
	ok "raw, $size" both --size $size
	ok "qcow2, $size" both -O qcow2 --size $size
done
for o in cluster_size=512 cluster_size=2M extended_l2=on preallocation=off \
		preallocation=metadata preallocation=falloc preallocation=full \
		refcount_bits=1 refcount_bits=64 compat=0.10 lazy_refcounts=on \
		cluster_size=512,refcount_bits=64 compression_type=zstd \
		size=3G foo=1; do
	ok "-o $o" both -O qcow2 -o $o --size 1G
done

qemu-img create -q -f raw a.raw 100M
qemu-io -f raw -c 'write 0 1M' -c 'write 10M 64k' -c 'write 20000k 1k' \
	-c 'write 20008k 1k' a.raw > /dev/null
qemu-img create -q -f qcow2 -b a.raw -F raw o.qcow2
qemu-io -f qcow2 -c 'write 3M 1M' -c 'write -z 0 64k' o.qcow2 > /dev/null
qemu-img convert -c -O qcow2 o.qcow2 c.qcow2
qemu-img create -q -f qcow2 -o compat=0.10 v2.qcow2 10M
qemu-img create -q -f qcow2 s.qcow2 64M
qemu-io -f qcow2 -c 'write 0 1M' s.qcow2 > /dev/null
qemu-img snapshot -c snap s.qcow2
qemu-io -f qcow2 -c 'write 1M 3M' s.qcow2 > /dev/null
for i in a.raw o.qcow2 c.qcow2 v2.qcow2 s.qcow2; do
	for out in raw qcow2; do
		ok "$i to $out" both -O $out $i
		ok "$i to $out, -f" both -f ${i#*.} -O $out $i
	done
	ok "$i, small clusters" both -O qcow2 -o cluster_size=4k $i
	ok "$i, preallocated" both -O qcow2 -o preallocation=full $i
done
ok 'with a backing file' both -O qcow2 -o backing_file=a.raw,backing_fmt=raw \
	o.qcow2
ok 'a snapshot, -l' both -f qcow2 -O qcow2 -l snap s.qcow2
ok 'a snapshot that is not there, -l' both -f qcow2 -O qcow2 -l foo s.qcow2
ok '-U' both -U -f qcow2 -O qcow2 o.qcow2
ok '--image-opts' both -O qcow2 --image-opts driver=qcow2,file.filename=o.qcow2
qemu-img bitmap --add s.qcow2 one
qemu-img bitmap --add -g 4k s.qcow2 another
ok 'an image with bitmaps' both -O qcow2 s.qcow2
ok 'bitmaps that an old image has not' both -O qcow2 -o compat=0.10 s.qcow2
said_json() { tr -d ' \n'; }
is 'JSON has the same numbers' "$(xdisk measure --output=json -O qcow2 s.qcow2 | said_json)" \
	"$(qemu-img measure --output=json -O qcow2 s.qcow2 |
		python3 -c 'import json, sys; j = json.load(sys.stdin)
print("{\"bitmaps\":%d,\"required\":%d,\"fully-allocated\":%d}" %
	(j["bitmaps"], j["required"], j["fully-allocated"]))')"
ok '-o help' xdisk measure -O qcow2 -o help
said 'lists the options' 'cluster_size'

group 'what is made is no larger'
for o in cluster_size=64k cluster_size=4k cluster_size=512 extended_l2=on; do
	xdisk measure -f qcow2 -O qcow2 -o $o o.qcow2 > m.txt
	xdisk convert -q -f qcow2 -O qcow2 -o $o o.qcow2 n.qcow2
	ok "$o: large enough" [ "$(stat -c %s n.qcow2)" -le \
		"$(sed -n 's/^required size: //p' m.txt)" ]
	[ $o != cluster_size=512 ] || continue	# tables grow ahead of use
	qemu-io -f qcow2 -c 'write 0 100M' n.qcow2 > /dev/null
	ok "$o: large enough when full" [ "$(stat -c %s n.qcow2)" -le \
		"$(sed -n 's/^fully allocated size: //p' m.txt)" ]
done

group 'errors'
ok 'no image and no size' both
ok 'two images' both a.raw o.qcow2
ok 'an image and a size' both --size 1G a.raw
ok '-f without an image' both -f raw --size 1G
ok '-l without an image' both -l s --size 1G
ok 'a size that is none' both --size x
ok 'a size too large' both --size 8E
ok 'no such image' both nope
ok 'not that format' both -f qcow2 a.raw
ok 'an unknown format' both -O foo --size 1G
ok 'no such output' both --output=foo --size 1G
rc 1 'a format that cannot tell' xdisk measure -O vdi --size 1G
says "Block driver 'vdi' does not support size measurement"
finish
