#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk commit against qemu-img commit: contents, sizes, statuses, texts.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# image NAME FORMAT SIZE [CREATE-OPTIONS --] COMMAND...
image()
{
	local name=$1 format=$2 size=$3 opts=()

	shift 3
	if [[ " $* " == *' -- '* ]]; then
		while [ "$1" != -- ]; do
			opts+=("$1")
			shift
		done
		shift
	fi
	qemu-img create -q -f "$format" ${opts[@]+"${opts[@]}"} "$name" "$size" ||
		exit 99
	for c; do
		qemu-io -f "$format" -c "$c" "$name" > /dev/null || exit 99
	done
}

# twins: the images of $T/set, for each of the two programs
twins()
{
	rm -rf qemu ours
	cp -r --sparse=always set qemu
	cp -r --sparse=always set ours
}

# as_qemu ARGUMENTS...: both commit in a copy of the set; all images have the
# same content and length afterwards, and the qcow2 ones are clean
as_qemu()
{
	local status i f

	twins
	(cd qemu && qemu-img commit "$@" > ../.qemu 2> ../.qemu-err)
	status=$?
	(cd ours && xdisk commit "$@" > ../.ours 2> ../.ours-err)
	[ $? -eq $status ] || {
		echo "status is $status"
		cat .ours-err .qemu-err
		return 1
	}
	diff .qemu .ours || return 1
	for i in ours/*; do
		i=${i#ours/}
		f=${i#*.}
		qemu-img compare -f "$f" -F "$f" "qemu/$i" "ours/$i" || return 1
		cmp <(qemu-img info "qemu/$i" | grep -a '^virtual') \
			<(qemu-img info "ours/$i" | grep -a '^virtual') ||
			return 1
		[ "$f" = raw ] || clean "ours/$i" || return 1
	done
}

mkdir set
cd set || exit 99
image base.raw raw 4M 'write -P 1 0 1M' 'write -P 2 2M 64k'
image mid.qcow2 qcow2 4M -b base.raw -F raw -- 'write -P 3 512k 1M' \
	'write -z 2M 32k'
image over.qcow2 qcow2 4M -b mid.qcow2 -F qcow2 -- 'write -P 4 700k 70k' \
	'write -z 0 64k' 'write -P 5 3M 512' 'discard 1M 128k'
cd ..
group 'like qemu-img'
ok 'into the image below' as_qemu -f qcow2 over.qcow2
is 'the commit is told' "$(cat .ours)" 'Image committed.'
is 'the overlay is empty' "$(xdisk map -f qcow2 --output=json \
	ours/over.qcow2 | grep -c '"depth": 0, "present": true')" 0
ok 'the overlay is small again' [ "$(stat -c %s ours/over.qcow2)" -le 393216 ]
ok '-d' as_qemu -d -f qcow2 over.qcow2
is 'the overlay is as it was' "$(cmp set/over.qcow2 ours/over.qcow2 && echo y)" y
ok '-b, further below' as_qemu -b base.raw -f qcow2 over.qcow2
ok '-b, right below' as_qemu -b mid.qcow2 -f qcow2 over.qcow2
ok '-b, by its path' as_qemu -b "./base.raw" -f qcow2 over.qcow2
ok '-q' as_qemu -q over.qcow2
ok '-p' as_qemu -q -p over.qcow2
ok '-r' as_qemu -r 100M over.qcow2
for c in none writeback writethrough directsync unsafe; do
	ok "-t $c" as_qemu -t $c over.qcow2
done
ok 'guessing the format' as_qemu over.qcow2
group
ok 'the whole chain' sh -c 'cd ours && "$0" commit mid.qcow2 &&
	qemu-img compare -f raw -F qcow2 base.raw ../qemu/mid.qcow2' \
	"$builddir/tool/xdisk"

group 'errors'
ok 'no such base' as_qemu -b nope over.qcow2
rc 1 'no such base is named' xdisk commit -b nope set/over.qcow2
says "Did not find 'nope' in the backing chain of"
ok 'itself as base' as_qemu -b over.qcow2 over.qcow2
ok 'a raw image' as_qemu -f raw base.raw
rc 1 'a raw image has no backing file' xdisk commit -f raw set/base.raw
says 'Image does not have a backing file'
ok 'no such image' as_qemu nope
ok 'a bad rate' as_qemu -r foo over.qcow2
ok 'a bad cache mode' as_qemu -t foo over.qcow2
ok 'no image' as_qemu
ok 'two images' as_qemu over.qcow2 mid.qcow2
chmod 444 set/mid.qcow2
twins
if ! (: >> ours/mid.qcow2) 2> /dev/null; then
	rc 1 'a base that cannot be written' xdisk commit ours/over.qcow2
fi
chmod 644 set/mid.qcow2

group 'a base in use is not written to'
twins
"$builddir/tool/xdisk" io -r -f qcow2 -c 'sleep 60000' ours/mid.qcow2 &
reader=$!
until grep -q ":$(stat -c %i ours/mid.qcow2) " /proc/locks; do
	sleep 0.02
done
rc 1 'a base that another program reads' xdisk commit -f qcow2 ours/over.qcow2
says 'lock'
kill "$reader"
wait "$reader" 2> /dev/null

group 'kinds of images'
for o in compat=v2 cluster_size=512 cluster_size=2M extended_l2=on \
		refcount_bits=64 compression_type=zstd; do
	rm -rf set
	mkdir set
	cd set || exit 99
	image base.qcow2 qcow2 4M 'write -P 1 0 1M' 'write -P 2 2M 64k'
	image over.qcow2 qcow2 4M -o $o -b base.qcow2 -F qcow2 -- \
		'write -P 3 512k 1M' 'write -z 64k 128k' 'write -z 2M 32k' \
		'write -P 4 3M 512'
	cd ..
	ok "$o" as_qemu over.qcow2
	ok "$o, -d" as_qemu -d over.qcow2
done
rm set/over.qcow2
cd set || exit 99
image over.qcow2 qcow2 4M -o data_file=over.data -b base.qcow2 -F qcow2 -- \
	'write -P 3 512k 1M' 'write -z 2M 32k'
mv over.data ..
cd ..
ok 'an external data file' sh -c 'cp over.data set/ && cp -r set d && cd d &&
	qemu-img convert -f qcow2 -O raw over.qcow2 shows.raw &&
	"$0" commit -f qcow2 over.qcow2 &&
	qemu-img compare -f raw -F qcow2 shows.raw base.qcow2 &&
	qemu-img compare -f raw -F qcow2 shows.raw over.qcow2 &&
	qemu-img check -f qcow2 over.qcow2' "$builddir/tool/xdisk"
rm -f set/over.data
cd set || exit 99
image big.raw raw 8M 'write -P 6 1M 1M'
qemu-img convert -c -O qcow2 -B base.qcow2 -F qcow2 -f raw big.raw over.qcow2
cd ..
ok 'compressed, onto a smaller base' as_qemu over.qcow2
rm set/big.raw
ok 'qemu-img makes a snapshot' sh -c 'cd set && qemu-img snapshot -c a over.qcow2'
# (qemu-img shows what a snapshot still holds: the same)
ok 'an overlay with a snapshot' as_qemu over.qcow2
ok 'the snapshot is what it was' sh -c 'qemu-img snapshot -a a ours/over.qcow2 &&
	qemu-img snapshot -a a qemu/over.qcow2 &&
	qemu-img compare qemu/over.qcow2 ours/over.qcow2'

group 'sizes'
for format in raw qcow2; do
	rm -rf set
	mkdir set
	cd set || exit 99
	image base.$format $format 1500k 'write -P 1 0 1500k'
	image long.qcow2 qcow2 5M -b base.$format -F $format -- \
		'write -P 2 1400k 200k' 'write -P 3 4M 64k'
	image short.qcow2 qcow2 1M -b base.$format -F $format -- \
		'write -P 4 900k 64k'
	image top.qcow2 qcow2 3M -b short.qcow2 -F qcow2 -- \
		'write -P 5 2M 64k'
	cd ..
	ok "$format: a longer overlay" as_qemu long.qcow2
	ok "$format: a shorter overlay" as_qemu short.qcow2
	ok "$format: over a shorter one" as_qemu top.qcow2
	twins
	qemu-img convert -O raw set/top.qcow2 top.raw
	ok "$format: over a shorter one, into the base" \
		xdisk commit -b base.$format ours/top.qcow2
	ok "$format: the base shows what the overlay did" \
		holds ours/base.$format $format top.raw
done

# What the overlay shows stays.
group 'killed at any time'
rm -rf set
mkdir set
cd set || exit 99
image base.qcow2 qcow2 64M 'write -P 1 0 32M'
image over.qcow2 qcow2 64M -b base.qcow2 -F qcow2 -- 'write -P 2 8M 40M'
cd ..
qemu-img convert -O raw set/over.qcow2 before.raw
for ms in 002 005 010 020 040; do
	twins
	(timeout -s KILL 0.$ms "$builddir/tool/xdisk" commit ours/over.qcow2) \
		> /dev/null 2>&1
	ok "after $ms ms, it can be done once more" sh -c 'for i in $(seq 50); do
		"$0" commit ours/over.qcow2 && exit; sleep 0.05; done; exit 1' \
		"$builddir/tool/xdisk"
	ok "after $ms ms, the content is there" holds ours/base.qcow2 qcow2 before.raw
	ok "after $ms ms, nothing is corrupt" sh -c 'qemu-img check ours/base.qcow2
		status=$?; [ $status = 0 ] || [ $status = 3 ]'
done
group
is 'JSON tells what was copied and emptied' "$(twins; xdisk commit --output=json -f qcow2 ours/over.qcow2 |
	tr -d ' \n')" '{"committed":true,"bytes-copied":41943040,"emptied":true}'
finish
