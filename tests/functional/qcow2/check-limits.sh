#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What readers do not put up with is no damage: a repair keeps the snapshots
# whose entries are only longer, more or larger than that, or does nothing.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

# Python lines over `f`, the file; `start`, where its snapshot table is; and
# records(), these as [head, extra, names].
edit()
{
	python3 - "$1" "$2" <<- 'END'
	import os, struct, sys, textwrap
	f = open(sys.argv[1], 'r+b')
	f.seek(60)
	nr, start = struct.unpack('>IQ', f.read(12))

	def records():
	    f.seek(start)
	    for _ in range(nr):
	        head = bytearray(f.read(40))
	        extra = f.read(struct.unpack_from('>I', head, 36)[0])
	        names = f.read(sum(struct.unpack_from('>HH', head, 12)))
	        f.read(-(40 + len(extra) + len(names)) % 8)
	        yield [head, extra, names]

	def put(records):
	    """A new table behind the end of the file."""
	    f.seek(-(-os.path.getsize(sys.argv[1]) // 65536) * 65536)
	    at = f.tell()
	    for head, extra, names in records:
	        struct.pack_into('>I', head, 36, len(extra))
	        f.write(head + extra + names)
	        f.write(bytes(-(40 + len(extra) + len(names)) % 8))
	    f.truncate(-(-f.tell() // 65536) * 65536)
	    f.seek(60)
	    f.write(struct.pack('>IQ', len(records), at))

	exec(textwrap.dedent(sys.argv[2]))
	END
}

changed() { cp good "$1" && edit "$1" "$2"; }

# Both snapshots with their content, for us and for QEMU.
keeps_both()
{
	[ "$(xdisk snapshot -l -f qcow2 "$1" | grep -c ' \(one\|two\) ')" -eq 2 ] &&
	[ "$(qemu-img snapshot -l "$1" | grep -c ' \(one\|two\) ')" -eq 2 ] &&
	for name in one two; do
		qemu-img convert -l $name -f qcow2 -O raw "$1" out &&
			cmp out $name.raw || return
	done
}

repair_does_nothing()
{
	cp "$1" before
	rc 2 "$2: nothing is repaired" xdisk check -r all -f qcow2 "$1"
	said "$2: and that is said" '^Nothing is repaired'
	ok "$2: the file is as it was" cmp "$1" before
	rc 2 "$2: nor by a repair of leaks" xdisk check -r leaks -f qcow2 "$1"
	ok "$2: the file is as it was" cmp "$1" before
}

qemu-img create -q -f qcow2 good 4M
for name in one two; do
	qemu-io -f qcow2 -c "write -P 0x${#name}1 0 1M" \
		-c "write -P 0x$(printf $name | md5sum | head -c 2) 1M 1M" \
		good > io.log
	qemu-img convert -f qcow2 -O raw good $name.raw
	qemu-img snapshot -c $name good
done

for extra in 1025 2000 70000; do
	changed long "
	r = list(records())
	r[0][1] += b'x' * ($extra - len(r[0][1]))
	put(r)"
	cp long theirs
	rc 2 "$extra bytes of extra data are found" xdisk check -f qcow2 long
	says "entry 0 .*has $extra bytes of extra data, at most 1024"
	qemu-img check -q -r all theirs > theirs.log 2>&1
	ok 'QEMU keeps such a snapshot' keeps_both theirs
	rc 0 'a repair' xdisk check -r all -f qcow2 long
	ok 'does so, too' keeps_both long
	ok 'nothing is wrong any more' clean long
	is 'what fits of the extra data is still there' "$(edit long '
		extra = list(records())[0][1]
		print(len(extra), extra.count(b"x"))')" '1024 1000'
done

# an entry that is sound but for its length: behind it lies the guest's data
cp good long
qemu-io -f qcow2 -c 'write -P 9 2M 1M' long > io.log
edit long "f.seek(start + 36); f.write(struct.pack('>I', 300000))"
repair_does_nothing long 'a length that was never one'

changed many "f.seek(60); f.write(struct.pack('>I', 65537))"
cp many before
rc 1 'more snapshots than are read: refused' xdisk check -r all -f qcow2 many
said 'with both numbers' '65537 snapshots, at most 65536'
ok 'the file is as it was' cmp many before

# 520 empty snapshots with ids and names as long as can be
changed large "
	r = list(records())
	for n in range(520):
	    head = bytearray(40)
	    struct.pack_into('>HH', head, 12, 65535, 65535)
	    r.append([head, r[0][1], (b'%08d' % n * 20000)[:2 * 65535]])
	put(r)"
repair_does_nothing large 'a table of 65 MiB'

group 'large for what a repair cuts off'
changed large "
	r = list(records())
	for n in range(70):
	    r.append([bytearray(r[0][0]), r[0][1] + bytes(1 << 20), b'%02d' % n])
	    struct.pack_into('>QIHH', r[-1][0], 0, 0, 0, 1, 1)
	put(r)"
ok 'a table of 70 MiB of extra data' xdisk check -r all -f qcow2 large
ok 'is made shorter, and keeps all' keeps_both large
is 'that there are' "$(xdisk snapshot -l -f qcow2 large | wc -l)" 74
ok 'nothing is wrong any more' clean large

group 'a table of 40 MiB, full of nothing'
changed l1 "
	end = -(-os.path.getsize(sys.argv[1]) // 65536) * 65536
	f.truncate(end + (40 << 20))
	r = list(records())
	struct.pack_into('>QI', r[0][0], 0, end, (40 << 20) // 8)
	put(r)"
repair_does_nothing l1 'an L1 table of 40 MiB'
finish
