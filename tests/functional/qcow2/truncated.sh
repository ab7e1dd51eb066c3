#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# qcow2 images that were cut short: what the file does not hold is told by its
# place and is the only thing that is lost. Images whose last cluster was never
# written to its end are whole.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

new() { rm -f x out && qemu-img create -q -f qcow2 "$@"; }
cut() { truncate -s -"$1" x; }
unreadable()
{
	xdisk verify -f qcow2 --output=json x 2> /dev/null |
		jq -c '.layers[0].unreadable | map([.start, .length])'
}
read_at() { xdisk io -r -f qcow2 -c "read $1" x; }

group 'data clusters'
new x 4M
qemu-io -f qcow2 -c 'write -P 7 0 1M' x > /dev/null
cp x good
qemu-img convert -f qcow2 -O raw x disk
cut 70000
rc 1 'clusters beyond the end' xdisk convert -f qcow2 -O raw x out
said 'are told' 'x: .*of guest offset 0xf0000 points beyond the end of the file, which has'
rc 2 'verify finds them' xdisk verify -f qcow2 x
is 'and no others' '[[983040,65536]]' "$(unreadable)"
ok 'all else is read' read_at '-P 7 0 917504'
ok 'and salvaged' xdisk convert -q --salvage -f qcow2 -O raw x out
truncate -s 4M out
is 'to where the file ends' 978577 "$(cmp disk out | awk '{ print $5 + 0 }')"
is 'really' $(($(stat -c %s x) - 0x50000 + 1)) \
	"$(cmp disk out | awk '{ print $5 + 0 }')"

cp good x
cut 600
ok 'a cluster that the end cuts reads as QEMU reads it' \
	xdisk convert -f qcow2 -O raw x out
said 'but not without a word' \
	'warn: x: the cluster of guest offset 0xf0000 at 0x140000 is cut off by the end of the file of'
ok 'the same' qemu-img compare -f raw -F qcow2 out x
rc 2 'verify finds it' xdisk verify -f qcow2 x
said 'as the check does' 'cut off by the end of the file: 64936 of 65536'

group 'compressed clusters'
seq 1 400000 | head -c 2M > text
rm -f x
qemu-img convert -c -f raw -O qcow2 text x
cp x good
ok 'a stream that ends in the last sector' xdisk convert -f qcow2 -O raw x out
is 'is whole' "$(cat .log)" ''
ok 'and the same' cmp text out
for n in 513 1500 9000; do
	cp good x
	cut $n
	rc 1 "compressed clusters cut by $n" xdisk convert -f qcow2 -O raw x out
	said 'are told' \
		'error: x: the compressed cluster of guest offset .*by the end of the file of'
	rc 2 'verify finds them' xdisk verify -f qcow2 x
	ok 'the rest is read' xdisk compare -f raw -F qcow2 \
		--image-opts driver=raw,size=1966080,file.filename=text \
		driver=raw,size=1966080,file.driver=qcow2,file.file.filename=x
done

group 'tables'
new x 2G
qemu-io -f qcow2 -c 'write -P 7 0 64k' -c 'write -z 1G 64k' x > /dev/null
cut 4096
rc 1 'an L2 table that is cut off does not say "zeroes"' read_at '1530M 64k'
says 'error: x: the table at 0x6f000 is cut off by the end of the file'
ok 'what it still says holds' read_at '-P 0 1G 64k'
ok 'and so does another' read_at '-P 7 0 64k'
rc 1 'it is not written by' xdisk io -f qcow2 -c 'write 1530M 64k' x

new -o cluster_size=512 x 32M
qemu-io -f qcow2 -c 'write -P 7 0 64k' x > /dev/null
qemu-img resize -q -f qcow2 x 64M
ok 'an L1 table at the end' read_at '-P 0 60M 64k'
python3 - <<- 'END'
	import struct
	with open('x', 'r+b') as f:
	    h = f.read(48)
	    size, at = struct.unpack('>I', h[36:40])[0], \
	        struct.unpack('>Q', h[40:48])[0]
	    f.truncate(at + size * 8 - 4096)
END
rc 1 'that is cut off does not say "zeroes"' read_at '63M 64k'
says 'error: x: .*L1 entry .*beyond the end of the file'
ok 'what it still says holds' read_at '-P 7 0 64k'
rc 1 'it is not written to' xdisk io -f qcow2 -c 'write 0 512' x
says 'the L1 table of 2048 entries at .* is cut off by the end'

group 'data files'
new -o data_file=x.data x 4M
qemu-io -f qcow2 -c 'write -P 7 0 4M' x > /dev/null
ok 'a data file' read_at '-P 7 0 4M'
truncate -s 2M x.data
rc 1 'that is cut off' xdisk convert -f qcow2 -O raw x out
says "guest offset 0x200000 lies beyond the end of the data file 'x.data' of 2097152 bytes"
ok 'all else is read' read_at '-P 7 0 2M'
rc 2 'verify finds it' xdisk verify -f qcow2 x

group 'what programs make'
whole()
{
	rm -f out
	xdisk convert -f qcow2 -O raw x out > said 2>&1 && cat said &&
		[ ! -s said ] && qemu-img compare -f raw -F qcow2 out x &&
		xdisk verify -f qcow2 x && clean x
}

new -o extended_l2=on x 3000320
qemu-io -f qcow2 -c 'write -P 1 66k 512' x > /dev/null
ok 'subclusters of the last cluster' whole
new -o preallocation=metadata,extended_l2=on x 3000320
ok 'metadata of a disk that ends in a cluster' whole
new -o preallocation=metadata x 3000320
ok 'metadata' whole
new x 3000320
qemu-io -f qcow2 -c 'write -P 1 2999808 512' x > /dev/null
ok 'the last sector' whole
qemu-img snapshot -c s x
ok 'a table of snapshots at the end' whole
new x 1M
xdisk io -f qcow2 -c 'write -P 1 64k 512' x > /dev/null
ok 'one sector that we have written' whole
finish
