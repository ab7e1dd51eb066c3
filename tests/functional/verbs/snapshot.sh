#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Internal snapshots of ours, in turn with those of qemu-img.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# shows IMAGE SNAPSHOT RAW: we and they find that content in it
shows()
{
	model -l "$2" -n 0 "$1" qcow2 "$3" && rm -f got &&
		qemu-img convert -f qcow2 -l "$2" -O raw "$1" got && cmp got "$3"
}

for options in cluster_size=64k cluster_size=512,refcount_bits=8 \
	cluster_size=4k,compat=v2 cluster_size=2M,refcount_bits=64 \
	extended_l2=on,cluster_size=16k; do
	rm -f x want*
	truncate -s 6M want
	qemu-img create -q -f qcow2 -o $options x 6M
	group "$options"
	ok 'random requests hold before any snapshot' model -s 1 -n 250 x qcow2 want
	for i in 1 2 3 4; do
		cp want want$i
		if [ $i = 3 ]; then
			ok 'qemu-img makes snapshot 3' qemu-img snapshot -c s$i x
		else
			ok "snapshot $i is made" xdisk snapshot -f qcow2 -c s$i x
		fi
		ok 'the image is clean' clean x
		ok 'random requests on it hold' model -s 1$i -n 150 x qcow2 want
		ok 'the image is clean still' clean x
	done
	for i in 1 2 3 4; do
		ok "snapshot $i is as it was" shows x s$i want$i
	done
	ok 'the disk is as it should be' holds x qcow2 want
	ok 'snapshot 2 is deleted' xdisk snapshot -f qcow2 -d s2 x
	ok 'the image is clean' clean x
	ok 'that of qemu-img is deleted' xdisk snapshot -f qcow2 -d 3 x
	ok 'the image is clean' clean x
	ok 'random requests on it hold' model -s 20 -n 150 x qcow2 want
	ok 'the image is clean still' clean x
	ok 'the last is as it was' shows x s4 want4
	ok 'the first is applied' xdisk snapshot -f qcow2 -a s1 x
	ok 'the image is clean' clean x
	ok 'the disk is the first' holds x qcow2 want1
	cp want1 want
	ok 'random requests on it hold' model -s 21 -n 150 x qcow2 want
	ok 'the image is clean' clean x
	ok 'the first is as it was' shows x s1 want1
	ok 'the last is as it was, too' shows x s4 want4
	ok 'qemu-img applies the last' qemu-img snapshot -a s4 x
	ok 'qemu-img deletes the first' qemu-img snapshot -d s1 x
	ok 'the image is clean' clean x
	ok 'the last is deleted' xdisk snapshot -f qcow2 -d s4 x
	ok 'the image is clean' clean x
	ok 'the disk stays as it was' holds x qcow2 want4
	is 'no snapshots are left' '' "$(xdisk snapshot -l x)"
done

group 'lists, names, errors'
qemu-img create -q -f qcow2 x 1M
qemu-img create -q -f raw r 1M
for n in a a 2 ''; do ok "snapshot '$n'" xdisk snapshot -q -f qcow2 -c "$n" x; done
is 'they list what we do' "$(qemu-img snapshot -l x | list_words)" \
	"$(xdisk snapshot -l x | list_words)"
is 'without an option, too' "$(qemu-img snapshot -l x | list_words)" \
	"$(xdisk snapshot x | list_words)"
is 'their ids' '"1" "2" "3" "4" ' "$(xdisk snapshot -l --output=json x |
	sed -n 's/.*"id": \("[0-9]*"\).*/\1/p' | tr '\n' ' ')"
ok 'a name goes before an id' xdisk snapshot -f qcow2 -d 2 x
is 'the right one is gone' '1 2 4 ' "$(xdisk snapshot -l x | sed -n 's/^\([0-9]\).*/\1/p' | tr '\n' ' ')"
ok 'an id is above all' xdisk snapshot -f qcow2 -c new --output=json x
said 'its id is 5' '"id": "5"'
rc 1 'one that is not there cannot be deleted' xdisk snapshot -f qcow2 -d nope x
says "^xdisk: Could not delete snapshot 'nope': snapshot not found"
rc 1 'one that is not there cannot be applied' xdisk snapshot -f qcow2 -a nope x
says "^xdisk: Could not apply snapshot 'nope': Failed to load snapshot: No such file"
rc 1 'two actions at once' xdisk snapshot -l -c x x
says "Cannot mix '-l', '-a', '-c', '-d'"
rc 1 'no file is named' xdisk snapshot -c x
rc 1 'a name of 256 bytes' xdisk snapshot -f qcow2 -c "$(printf 'x%.0s' {1..256})" x
ok 'raw: can be listed' xdisk snapshot -l r
is 'raw: nothing is listed' '' "$(xdisk snapshot -l r 2>&1)"
rc 1 'raw: none can be made' xdisk snapshot -f raw -c s r
ok 'the image is clean' clean x

# What cannot be counted is not begun.
for bits in 1 2; do
	group "refcounts of $bits bits"
	qemu-img create -q -f qcow2 -o refcount_bits=$bits x 8M
	xdisk snapshot -f qcow2 -c empty x || exit 1
	qemu-io -c 'write 0 3M' x > /dev/null
	[ $bits = 2 ] && for n in 1 2; do xdisk snapshot -f qcow2 -c s$n x; done
	rc 1 'one snapshot too many' xdisk snapshot -f qcow2 -c s x
	says "refcounts of $bits bits cannot count more"
	ok 'nothing leaks' clean x
	ok 'the image can be used' qemu-io -c 'write 1M 5M' x
	ok 'the image is clean' clean x
done

group "a snapshot of another size, under an overlay's backing image"
qemu-io -f raw -c 'write -P 9 0 1M' r > /dev/null
rm -f want; cp r want; truncate -s 3M want
qemu-img create -q -f qcow2 -o cluster_size=512 -b r -F raw x 3M
model -s 4 -n 200 x qcow2 want; cp want want1
ok 'one of the small disk is made' xdisk snapshot -f qcow2 -c small x
xdisk resize -q -f qcow2 x 70M
truncate -s 70M want
model -s 5 -n 200 x qcow2 want; cp want want2
ok 'one of the large disk is made' xdisk snapshot -f qcow2 -c large x
ok 'back to small' xdisk snapshot -f qcow2 -a small x
ok 'the image is clean' clean x
ok 'content and size are those of small' holds x qcow2 want1
ok 'back to large' xdisk snapshot -f qcow2 -a large x
ok 'the image is clean' clean x
ok 'content and size are those of large' holds x qcow2 want2

# Bitmaps could not tell what has changed.
group 'an image with a bitmap'
qemu-img create -q -f qcow2 x 1M
qemu-img bitmap --add x b
ok 'a snapshot is made' xdisk snapshot -f qcow2 -c s x
rc 1 'it cannot be applied' xdisk snapshot -f qcow2 -a s x
says 'Device has active dirty bitmaps'
ok 'it is deleted' xdisk snapshot -f qcow2 -d s x
is 'the bitmap is sound' '"auto"' "$(qemu-img info --output=json x | grep -o '"auto"\|"in-use"')"
ok 'the image is clean' clean x

# Forty of 32 MiB of L1 entries in a sparse file.
group 'snapshots without end'
qemu-img create -q -f qcow2 x 1M
qemu-img snapshot -c s x
python3 - << 'P'
import struct
f = open('x', 'r+b'); d = f.read()
off = struct.unpack_from('>Q', d, 64)[0]
id_len, name_len = struct.unpack_from('>HH', d, off + 12)
extra = struct.unpack_from('>I', d, off + 36)[0]
size = (40 + extra + id_len + name_len + 7) & ~7
record = bytearray(d[off:off + size].ljust(size, b'\0'))
table = b''
for i in range(40):
    struct.pack_into('>QI', record, 0, (1 << 30) + i * (32 << 20), 4 << 20)
    table += bytes(record)
f.seek(off); f.write(table)
f.seek(60); f.write(struct.pack('>I', 40))
f.truncate((1 << 30) + 40 * (32 << 20))
P
rc 1 'not opened for writing' xdisk snapshot -f qcow2 -c t x
says 'take up more than 1 GiB'
ok 'read-only they are listed' xdisk snapshot -f qcow2 -l x

# It is kept, and unknown extra data, too.
group 'a VM state behind the disk'
qemu-img create -q -f qcow2 -o cluster_size=4k x 4M
qemu-io -c 'write -P 1 0 1M' x > /dev/null
xdisk snapshot -f qcow2 -c vm x
cat > grow.py << 'P'
# Moves the last snapshot's L1 entry behind the disk's: a state of one table.
import struct, sys
f = open('x', 'r+b'); d = bytearray(f.read())
off = struct.unpack_from('>Q', d, 64)[0]
l1, n = struct.unpack_from('>QI', d, off)
need = n
id_len, name_len = struct.unpack_from('>HH', d, off + 12)
extra = struct.unpack_from('>I', d, off + 36)[0]
tail = bytes(d[off + 40 + extra:off + 40 + extra + id_len + name_len])
ext = bytearray(d[off + 40:off + 40 + extra]) + b'ABCDEFGH'
struct.pack_into('>Q', ext, 0, 8192)
# the second L1 entry's table, unused by the disk so far, is the state's
struct.pack_into('>I', d, off + 36, len(ext))
d[off + 40:off + 40 + len(ext) + len(tail)] = ext + tail
f.seek(0); f.write(d)
P
python3 grow.py
is 'its size is shown' '8 KiB' "$(xdisk snapshot -l x | sed -n 's/.* \(8 KiB\) .*/\1/p')"
ok 'another snapshot is made' xdisk snapshot -f qcow2 -c two x
is 'its size is shown still' '8 KiB' "$(xdisk snapshot -l x | sed -n 's/.* \(8 KiB\) .*/\1/p')"
ok 'unknown extra data is kept' grep -q ABCDEFGH x
ok 'the image is clean' clean x
ok 'qemu-img applies it' qemu-img snapshot -a vm x
finish
