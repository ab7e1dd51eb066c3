#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk amend against qemu-img amend: what changes, what is refused, and that
# what a guest reads stays what it was.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# NAME PATTERN: what qemu-img says of x
info_says() { qemu-img info x | grep -q -e "$1: $2\$"; }

# Both refuse it, and in the same words up to the end of qemu-img's first line.
refused()
{
	local want

	want=$(qemu-img amend -f qcow2 -o "$1" "$2" 2>&1 | head -n 1)
	rc 1 "refused: $1" xdisk amend -f qcow2 -o "$1" "$2"
	said '... in qemu-img words' "${want#qemu-img: }"
}

group 'what is asked wrongly'

qemu-img create -q -f qcow2 x 8M
refused cluster_size=4k x
refused foo=1 x
refused compat=7 x
refused refcount_bits=7 x
refused refcount_bits=x x
refused lazy_refcounts=x x
refused data_file=x x
refused data_file_raw=on x
refused encrypt.format=luks x
refused encrypt.state=active x
rc 1 'no options' xdisk amend -f qcow2 x
says 'Must specify options'
rc 1 'no file' xdisk amend -f qcow2 -o size=1M
rc 1 'no such file' xdisk amend -f qcow2 -o size=1M y
truncate -s 1M r
rc 1 'raw has none' xdisk amend -f raw -o size=2M r
says 'does not support option amendment'
ok 'the options are listed' xdisk amend -f qcow2 -o help
xdisk amend -f qcow2 -o help > got
qemu-img amend -f qcow2 -o help > want
is 'as qemu-img lists them' "$(cat got)" "$(cat want)"
ok 'and with a file' xdisk amend -f qcow2 -o '?' x
rc 1 'nothing is changed when one is wrong' \
	xdisk amend -f qcow2 -o lazy_refcounts=on,refcount_bits=3 x
ok 'lazy refcounts stay off' info_says 'lazy refcounts' false
ok 'the image is clean' clean x

group 'fields'

ok 'lazy refcounts on' xdisk amend -f qcow2 -o lazy_refcounts=on x
ok 'lazy refcounts are on' info_says 'lazy refcounts' true
ok 'lazy_refcounts=off' xdisk amend -f qcow2 -o lazy_refcounts=off x
ok 'lazy refcounts are off' info_says 'lazy refcounts' false
ok 'size=12M' xdisk amend -q -f qcow2 -o size=12M x
ok 'the size is 12 MiB' info_says 'virtual size' '12 MiB (12582912 bytes)'
ok 'size=13M, with JSON' xdisk amend -f qcow2 --output=json -o size=13M x
said 'tells what was amended' '"size": "13M"'
ok 'the image is clean' clean x

group 'down and up again, with zero clusters, snapshots, a backing file'

for options in cluster_size=64k cluster_size=4k cluster_size=512; do
	for backing in none base; do
		rm -f x want
		head -c 3M /dev/urandom > base
		truncate -s 4M want
		if [ $backing = base ]; then
			dd if=base of=want conv=notrunc status=none
			qemu-img create -q -f qcow2 -b base -F raw \
				-o $options x 4M
		else
			qemu-img create -q -f qcow2 -o $options x 4M
		fi
		ok "$options, backing: $backing: written to" \
			model -s 3 -n 200 x qcow2 want
		cp want want1
		qemu-img snapshot -c s1 x
		ok 'zeroes over a snapshot' qemu-io -f qcow2 -c 'write -z 0 1M' \
			-c 'write -z -u 2M 512k' -c 'write -P 7 100k 50k' x
		qemu-img convert -f qcow2 -O raw x want
		ok 'down to version 2' xdisk amend -f qcow2 -o compat=0.10 x
		ok 'it is of version 2' info_says compat 0.10
		ok 'the image is clean' clean x
		ok 'holds the same' holds x qcow2 want
		ok 'up to version 3' xdisk amend -f qcow2 -o compat=v3 x
		ok 'it is of version 3' info_says compat 1.1
		ok 'written to again' model -s 4 -n 100 x qcow2 want
		ok 'the image is clean' clean x
		qemu-img snapshot -a s1 x
		ok 'the snapshot is as it was' holds x qcow2 want1
	done
done
rm -f x && qemu-img create -q -f qcow2 x 4M
qemu-img snapshot -c s x
ok 'larger than its snapshot' xdisk amend -f qcow2 -o size=5M x
refused compat=v2 x
rm -f x && qemu-img create -q -f qcow2 -o refcount_bits=8 x 4M
refused compat=v2 x
ok 'width and version at once' \
	xdisk amend -f qcow2 -o compat=v2,refcount_bits=16 x
refused refcount_bits=8 x
refused lazy_refcounts=on x
ok 'both need version 3' \
	xdisk amend -f qcow2 -o compat=v3,refcount_bits=1,lazy_refcounts=on x
ok 'the image is clean' clean x
ok 'its refcounts stay at one bit' info_says 'refcount bits' 1

group 'records as they were before version 3: they do not say their disk size'
rm -f x && qemu-img create -q -f qcow2 -o compat=v2 x 4M
qemu-img snapshot -c one x
qemu-img snapshot -c two x
python3 - x << 'P'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    d = f.read()
    nr, at = struct.unpack_from(">IQ", d, 60)
    out, pos = b"", at
    for _ in range(nr):
        head = bytearray(d[pos:pos + 40])
        names = sum(struct.unpack_from(">HH", head, 12))
        extra, = struct.unpack_from(">I", head, 36)
        struct.pack_into(">I", head, 36, 0)
        out += head + d[pos + 40 + extra:pos + 40 + extra + names]
        out += bytes(-len(out) % 8)
        pos += (40 + extra + names + 7) // 8 * 8
    f.seek(at)
    f.write(out + bytes(pos - at - len(out)))
P
ok 'old snapshot records' clean x
ok 'up to version 3' xdisk amend -f qcow2 -o compat=v3 x
ok 'the image is clean' clean x
is 'both are there' "$(qemu-img snapshot -l x | grep -c -e one -e two)" 2
ok 'one is gone back to' qemu-img snapshot -a one x

group 'the backing file, rewritten only'

rm -f x && qemu-img create -q -f qcow2 -b base -F raw x 4M
cp base base2
ok 'another backing file' xdisk amend -f qcow2 -o backing_file=base2 x
ok 'base2 is the backing file' info_says 'backing file' base2
ok 'its format stays' info_says 'backing file format' raw
long=$(printf 'd%.0s' $(seq 200))
mkdir "$long" && cp base "$long/$long"
ok 'one with a long name' \
	xdisk amend -f qcow2 -o "backing_file=$long/$long,backing_fmt=raw" x
ok 'it is the backing file' info_says 'backing file' "$long/$long"
dd if=base of=want conv=notrunc status=none
truncate -s 3M want && truncate -s 4M want
ok 'it is read' holds x qcow2 want
ok 'the first one again' xdisk amend -f qcow2 -o backing_file=base x
ok 'qemu-img agrees' holds x qcow2 want
ok 'qemu-img rewrites the header' qemu-img rebase -u -f qcow2 -F raw -b base2 x
ok 'the image is clean' clean x
ok 'no backing file' xdisk amend -f qcow2 -o backing_file= x
rc 1 'it has none' info_says 'backing file' '.*'
rc 1 'a format without a file' xdisk amend -f qcow2 -o backing_fmt=raw x
rc 1 'an unknown format' \
	xdisk amend -f qcow2 -o backing_file=base,backing_fmt=foo x
finish
