#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every read, write, flush and allocation of the file fails once while images
# are written to, resized, repaired, created, or changed as a whole: nothing gets
# worse, and all can be done again. FULL=1 leaves no operation out and has
# qemu-img check each image that is left: a quarter of an hour.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3
if [ "${FULL:-}" ]; then
	export FAILNTH_QEMU=1 FAILNTH_TWICE=1
fi

# One operation in so many; others for each way to fail.
every() { export FAILNTH_EVERY=$([ "${FULL:-}" ] && echo 1 || echo "$1"); }

failnth()
{
	local data=()

	[ -e "$2.data" ] && data=("$2.data" work.data)
	timeout "$([ "${FULL:-}" ] && echo 900 || echo 100)" "$builddir/tests/crash/failnth" \
		"$1" "$2" work "${data[@]}"
}

make_image()
{
	qemu-img create -q -f qcow2 -o "$1" "${@:3}" "$2" 4M &&
		qemu-io -f qcow2 -c 'write -P 17 0 400k' \
			-c 'write -P 18 1M 300k' "$2"
}

# Shared with snapshot s, of the disk alone, and of the snapshot alone.
make_snapshots()
{
	make_image "$@"
	qemu-img snapshot -c s "$2"
	qemu-io -f qcow2 -c 'write -P 19 100k 200k' -c 'write -P 20 3M 300k' "$2"
	qemu-img snapshot -c other "$2"
}

# Room below what lies at the end.
make_gaps()
{
	make_image "$@"
	qemu-io -f qcow2 -c 'discard 0 300k' -c 'write -P 33 2M 500k' "$2"
	qemu-img snapshot -c s "$2"
	qemu-io -f qcow2 -c 'discard 1M 100k' "$2"
}

make_bitmaps()
{
	make_image "$@"
	qemu-img bitmap -f qcow2 --add "$2" b
	qemu-img bitmap -f qcow2 --add -g 512 "$2" c
	qemu-io -f qcow2 -c 'write -P 18 2M 300k' "$2"
}

# IMAGE.data: what its external data file begins with.
make_data()
{
	make_image "$1,data_file=work.data" "$2"
	mv work.data "$2.data"
}

truncate -s 3M base.raw
qemu-io -f raw -c 'write -P 1 0 3M' base.raw > /dev/null
make_image cluster_size=4k plain > /dev/null
make_image cluster_size=512,refcount_bits=64 small > /dev/null
# Its refcount table is nearly full.
make_image cluster_size=512,refcount_bits=64 brimful > /dev/null
qemu-io -f qcow2 -c 'write -P 21 2M 1280k' brimful > /dev/null
make_image cluster_size=64k overlay -b base.raw -F raw > /dev/null
make_image cluster_size=4k snap > /dev/null
qemu-img snapshot -c s snap
make_image cluster_size=16k,extended_l2=on extended > /dev/null
qemu-img convert -c -O qcow2 -o cluster_size=4k plain packed

for what in write discard zero grow; do
	for image in plain small overlay; do
		ok "$what, $image" failnth $what $image
	done
done
for image in snap extended packed; do
	ok "write, $image" failnth write $image
	ok "discard, $image" failnth discard $image
done
ok 'create' failnth create none

# ---- images of other kinds
cp base.raw another-base-of-the-same-content.raw
make_image cluster_size=512 little -b base.raw -F raw > /dev/null
make_snapshots cluster_size=4k shared > /dev/null
make_snapshots cluster_size=512,refcount_bits=8 tiny > /dev/null
make_snapshots cluster_size=16k,extended_l2=on subclusters > /dev/null
make_gaps cluster_size=4k gaps > /dev/null
make_gaps cluster_size=512 holes > /dev/null
make_bitmaps cluster_size=4k marked > /dev/null
make_bitmaps cluster_size=512 ticked > /dev/null
make_data cluster_size=4k data > /dev/null
make_data extended_l2=on edata > /dev/null
make_data cluster_size=4k,data_file_raw=on rdata > /dev/null
make_image cluster_size=4k,compat=0.10 old > /dev/null
qemu-img snapshot -c s old
make_image cluster_size=4k zeroes > /dev/null
qemu-io -f qcow2 -c 'write -z 200k 1M' zeroes > /dev/null
qemu-img snapshot -c s zeroes
qemu-io -f qcow2 -c 'write -z 600k 1M' zeroes > /dev/null
make_image cluster_size=4k veiled -b base.raw -F raw > /dev/null
qemu-io -f qcow2 -c 'write -z 200k 1M' veiled > /dev/null

# WHAT... -- IMAGE...
each()
{
	local whats=() what image

	while [ "$1" != -- ]; do
		whats+=("$1")
		shift
	done
	shift
	for what in "${whats[@]}"; do
		for image in "$@"; do
			ok "$what, $image" failnth "$what" "$image"
		done
	done
}

every 3
each zero grow -- extended
each write discard zero grow shrink -- data edata rdata
each empty -- data edata little plain overlay subclusters
each shrink -- plain small overlay extended shared subclusters marked
each snapshot apply delete -- shared subclusters
each rebase -- overlay little
each down -- plain zeroes veiled
each up -- old
each lazy -- plain overlay
each write -- brimful
each width -- shared marked
each narrow -- shared subclusters
each bitmap-add bitmap-clear bitmap-merge bitmap-remove bitmap-disable -- \
	marked ticked
each write grow -- marked
every 6
each cut -- plain overlay little data shared extended rdata ticked
each snapshot apply delete -- tiny
each compact -- gaps shared subclusters
each write discard -- ticked
every 17
each compact -- holes
each compress -- plain packed extended overlay shared
every 1

# ---- repairs, of what each of their steps is for
python3 "$srcdir/tests/functional/mkbad.py" . 37 108 > /dev/null
for bad in 41-* 58-* 64-* 74-* 78-* 80-* 97-* 103-* 108-*; do
	ok "repair ${bad%.qcow2}" failnth repair "$bad"
done
finish
