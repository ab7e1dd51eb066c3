#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Files get shorter, and nothing in them changes.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

length() { stat -c %s "$1"; }
shows() { rm -f got; qemu-img convert -f qcow2 -l "$2" -O raw "$1" got && cmp got "$3"; }

for options in cluster_size=64k cluster_size=512 cluster_size=4k,compat=v2 \
	cluster_size=4k,refcount_bits=64 extended_l2=on,cluster_size=16k; do
	rm -f x want*
	truncate -s 24M want
	qemu-img create -q -f qcow2 -o $options x 24M
	qemu-io -f qcow2 -c 'write -P 3 0 24M' x > /dev/null
	qemu-io -f raw -c 'write -P 3 0 24M' want > /dev/null
	group "$options"
	ok 'most of it is discarded' xdisk io -f qcow2 \
		-c 'discard 512k 7M' -c 'discard 8M 6M' -c 'discard 15M 8M' x
	xdisk convert -f qcow2 -O raw x want
	before=$(length x)
	ok 'a dry run' xdisk compact -f qcow2 --dry-run --output=json x
	expected=$(sed -n 's/.*"file-size": \([0-9]*\).*/\1/p' .log | head -n 1)
	is 'a dry run changes no length' "$before" "$(length x)"
	ok 'it is compacted' xdisk compact -f qcow2 x
	ok 'the file is much shorter' test "$(length x)" -lt $((before / 3))
	ok 'its length is about that of the dry run' test "$(length x)" -le $((expected + 262144))
	ok 'the image is clean' clean x
	ok 'the disk holds what was written' holds x qcow2 want
	ok 'random requests on it hold' model -s 1 -n 120 x qcow2 want
	ok 'it is compacted again' xdisk compact -q -f qcow2 x
	ok 'the image is clean' clean x
	ok 'the disk holds what was written' holds x qcow2 want
	for i in 1 2 3; do
		cp want want$i
		qemu-img snapshot -c s$i x
		model -s 2$i -n 100 x qcow2 want
	done
	qemu-img snapshot -d s1 x
	xdisk io -f qcow2 -c 'discard 0 20M' x > /dev/null
	xdisk convert -f qcow2 -O raw x want
	before=$(length x)
	group "$options, with snapshots"
	ok 'it is compacted' xdisk compact -f qcow2 x
	ok 'the file is not longer' test "$(length x)" -le "$before"
	ok 'the image is clean' clean x
	ok 'the disk is right' holds x qcow2 want
	ok 'the second snapshot is right' shows x s2 want2
	ok 'the third snapshot is right' shows x s3 want3
	ok 'random requests on it hold' model -s 9 -n 100 x qcow2 want
	ok 'the image is clean' clean x
	ok 'the third snapshot is right still' shows x s3 want3
	qemu-img snapshot -d s2 x
	qemu-img snapshot -a s3 x
	qemu-img snapshot -d s3 x
	group "$options, snapshots deleted"
	ok 'it is compacted' xdisk compact -q -f qcow2 x
	ok 'the image is clean' clean x
	ok 'the disk holds what was written' holds x qcow2 want3
done

group 'zeroes'
qemu-img create -q -f qcow2 x 16M
qemu-io -f qcow2 -c 'write -P 0 0 8M' -c 'write -P 1 8M 4M' -c 'write -P 0 12M 4M' x > /dev/null
ok 'it is compacted' xdisk compact -f qcow2 --zeroes x
said 'tells how many were let go' 'zeroes let go: 12 MiB'
ok 'the file is shorter' test "$(length x)" -lt 5242880
ok 'the image is clean' clean x
ok 'the content stays' qemu-io -c 'read -P 0 0 8M' -c 'read -P 1 8M 4M' -c 'read -P 0 12M 4M' x

# Compressed clusters are packed anew.
python3 - words <<'P'
import random, sys
rnd = random.Random(7)
words = ["".join(rnd.choices("abcdefgh", k=rnd.randint(2, 9))) for _ in range(500)]
with open(sys.argv[1], "wb") as f:
    for i in range(384):
        k = rnd.choice((2000, 9000, 30000, 60000))
        t = " ".join(rnd.choices(words, k=k // 4)).encode()[:k]
        f.write((t + rnd.randbytes(k // 3)).ljust(65536, b"\0")[:65536])
P
for options in compression_type=zlib compression_type=zstd \
	cluster_size=4k cluster_size=2M extended_l2=on compat=0.10 \
	refcount_bits=8; do
	rm -f x
	qemu-img convert -c -f raw -O qcow2 -o $options words x
	cp words want
	qemu-img snapshot -c one x
	xdisk io -f qcow2 -c 'discard 1M 6M' -c 'write -P 1 8M 2M' \
		-c 'discard 11M 4M' -c 'write -P 2 9000k 20k' -c 'discard 0 10k' \
		-c 'write -c -P 3 18M 2M' x > /dev/null
	xdisk convert -f qcow2 -O raw x want
	before=$(length x)
	group "compressed, $options, shared by a snapshot"
	ok 'it is compacted' xdisk compact -f qcow2 x
	ok 'the image is clean' clean x
	ok 'the disk is right' holds x qcow2 want
	ok 'the snapshot is right' shows x one words
	ok 'the file is not longer' test "$(length x)" -le "$before"
	ok 'it is compacted again' xdisk compact -f qcow2 x
	ok 'the file is not longer then' test "$(length x)" -le "$before"
	ok 'the snapshot is right then' shows x one words
	ok 'random requests on it hold' model -s 3 -n 100 x qcow2 want
	qemu-img snapshot -d one x
	xdisk io -f qcow2 -c 'discard 0 9M' x > /dev/null
	xdisk convert -f qcow2 -O raw x want
	before=$(length x)
	group "compressed, $options, most discarded"
	ok 'it is compacted' xdisk compact -f qcow2 x
	ok 'the file is shorter' test "$(length x)" -lt "$before"
	ok 'the image is clean' clean x
	ok 'the disk holds what was written' holds x qcow2 want
	ok 'verify reads all' xdisk verify -f qcow2 x
	ok 'random requests on it hold' model -s 4 -n 100 x qcow2 want
	ok 'the image is clean' clean x
done
group 'refused'
rc 1 'a raw image' xdisk compact -f raw want
says "images of format 'raw' cannot be compacted"
rc 1 '--zeroes in a dry run' xdisk compact -f qcow2 --dry-run --zeroes x
finish
