#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xdisk rebase against qemu-img rebase: contents, headers, statuses.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io

# image NAME FORMAT SIZE [-b BASE -F FORMAT] COMMAND...
image()
{
	local name=$1 format=$2 size=$3 base=()

	shift 3
	if [ "${1:-}" = -o ]; then
		base+=("$1" "$2")
		shift 2
	fi
	if [ "${1:-}" = -b ]; then
		base+=("$1" "$2" "$3" "$4")
		shift 4
	fi
	qemu-img create -q -f "$format" ${base[@]+"${base[@]}"} "$name" "$size" ||
		exit 99
	for c; do
		qemu-io -f "$format" -c "$c" "$name" > /dev/null || exit 99
	done
}

backing() { qemu-img info -U "$1" | grep -a '^backing file' | tr '\n' ' '; }

# as_qemu IMAGE ARGUMENTS...: both rebase a copy of IMAGE; the results are the
# same, show what IMAGE showed, and are clean
as_qemu()
{
	local image=$1 status

	shift
	cp "$image" q.qcow2
	cp "$image" x.qcow2
	qemu-img convert -f qcow2 -O raw "$image" before.raw 2> /dev/null
	qemu-img rebase "$@" q.qcow2
	status=$?
	xdisk rebase "$@" x.qcow2 2> .err
	[ $? -eq $status ] || { cat .err; echo "status is $status"; return 1; }
	diff <(backing q.qcow2) <(backing x.qcow2) || return 1
	case " $* " in *' -u '*'nope '*|*' -u '*'0 '*|*' -u '*'1 '*) return ;; esac
	qemu-img check -f qcow2 x.qcow2 && xdisk check -f qcow2 x.qcow2 ||
		return 1
	qemu-img compare -f qcow2 -F qcow2 q.qcow2 x.qcow2 || return 1
	case " $* " in *' -u '*) return ;; esac
	qemu-img compare -f raw -F qcow2 before.raw x.qcow2
}

image a.raw raw 4M 'write -P 1 0 1M' 'write -P 2 2M 64k' 'write -P 3 3M 512'
image b.raw raw 4M 'write -P 1 0 512k' 'write -P 9 1M 1M' 'write -P 3 3M 512'
image c.qcow2 qcow2 4M 'write -P 1 0 1M' 'write -P 4 2M 64k' 'write -z 3M 64k'
image mid.qcow2 qcow2 4M -b a.raw -F raw 'write -P 7 200k 300k' \
	'write -z 2M 32k'
image short.raw raw 1500k 'write -P 5 1M 300k'
image long.raw raw 7M 'write -P 6 3M 4M'
group 'like qemu-img'
for o in '' -ocompat=v2 -ocluster_size=512 -ocluster_size=2M -oextended_l2=on; do
	opts=()
	[ -z "$o" ] || opts=(-o "${o#-o}")
	image over.qcow2 qcow2 4M ${opts[@]+"${opts[@]}"} \
		-b mid.qcow2 -F qcow2 'write -P 8 0 70k' 'write -P 8 2100k 1k'
	n="overlay ${o#-o}: "
	ok "${n}to raw" as_qemu over.qcow2 -f qcow2 -b b.raw -F raw
	ok "${n}to qcow2" as_qemu over.qcow2 -f qcow2 -b c.qcow2 -F qcow2
	ok "${n}to one below in its chain" as_qemu over.qcow2 -b a.raw -F raw
	ok "${n}to what it has" as_qemu over.qcow2 -b mid.qcow2 -F qcow2
	ok "${n}to a shorter one" as_qemu over.qcow2 -b short.raw -F raw
	ok "${n}to a longer one" as_qemu over.qcow2 -b long.raw -F raw
	ok "${n}to no backing file" as_qemu over.qcow2 -b ''
	ok "${n}to another, -u" as_qemu over.qcow2 -u -b b.raw -F raw
	ok "${n}-u to what is not there" as_qemu over.qcow2 -u -b nope -F raw
	ok "${n}-u to none" as_qemu over.qcow2 -u -b ''
	image longer.qcow2 qcow2 9000k ${opts[@]+"${opts[@]}"} \
		-b short.raw -F raw 'write -P 8 1200k 1k' 'write -P 8 8M 1k'
	ok "${n}a longer one, to a longer one" as_qemu longer.qcow2 -b long.raw \
		-F raw
	ok "${n}a longer one, to a shorter one" as_qemu longer.qcow2 -b c.qcow2 \
		-F qcow2
	image alone.qcow2 qcow2 9000k ${opts[@]+"${opts[@]}"} 'write -P 8 1M 1k'
	# (qemu-img loses the zeroes of version 2.)
	qemu-img convert -f qcow2 -O raw alone.qcow2 before.raw
	ok "${n}one that had none" xdisk rebase -b long.raw -F raw alone.qcow2
	ok "${n}shows what it did" holds alone.qcow2 qcow2 before.raw
	ok "${n}the one that had none is clean" clean alone.qcow2
done
image over.qcow2 qcow2 4M -b mid.qcow2 -F qcow2 'write -P 8 0 70k'
for c in none writeback writethrough directsync unsafe; do
	ok "-t $c -T $c" as_qemu over.qcow2 -t $c -T $c -b b.raw -F raw
done
ok '-q -p' as_qemu over.qcow2 -q -p -b b.raw -F raw
ok '-u without -b' as_qemu over.qcow2 -u

# Nothing that is the same is copied: same base, or zeroes.
group 'what is copied'
written() { xdisk rebase --output=json "$@" | grep -o 'written": [0-9]*'; }
cp over.qcow2 x.qcow2
is 'to the same: nothing is written' "$(written -b mid.qcow2 -F qcow2 x.qcow2)" \
	'written": 0'
image m2.qcow2 qcow2 4M -b a.raw -F raw
is 'to a sibling: what differs' "$(written -b m2.qcow2 -F qcow2 x.qcow2)" \
	"written\": $((5 * 65536 + 65536))"

group 'rebase -c'
xdisk create -q -f qcow2 -b mid.qcow2 -F qcow2 z.qcow2
qemu-img convert -O raw z.qcow2 before.raw
ok 'it succeeds' xdisk rebase -c -b '' z.qcow2
ok 'the content is the same' holds z.qcow2 qcow2 before.raw
ok 'the image is clean' clean z.qcow2
ok 'the data is compressed' sh -c 'qemu-img check z.qcow2 | grep "00% compressed"'

# Unknown extensions stay, names may be long.
group 'headers'
cp over.qcow2 x.qcow2
long=$(printf '%01023d' 1)
ok 'a name as long as it may be' as_qemu over.qcow2 -u -F raw -b "$long"
ok 'a name too long' as_qemu over.qcow2 -u -F raw -b "1$long"
rc 1 'a name too long is an error' xdisk rebase -u -F raw -b "1$long" x.qcow2
says 'too long: 1024 bytes, at most 1023'
ok 'a name too long changes nothing' cmp over.qcow2 x.qcow2
image small.qcow2 qcow2 1M -o cluster_size=512
cp small.qcow2 x.qcow2
ok 'no room in a small cluster' as_qemu small.qcow2 -u -F raw -b "${long:600}"
rc 1 'a name without room is an error' xdisk rebase -u -F raw -b "${long:600}" x.qcow2
says 'No space left in the file header'
ok 'a name without room changes nothing' cmp small.qcow2 x.qcow2
ok 'rebased again and again' bash -c '
	for i in 1 2 3 4 5; do
		"$0" rebase -q -u -F raw -b "$(printf "%0${i}00d" 0)" over.qcow2 &&
		"$0" rebase -q -u -F qcow2 -b mid.qcow2 over.qcow2 || exit 1
	done' "$builddir/tool/xdisk"
ok 'after that it is rebased like qemu-img' as_qemu over.qcow2 -b b.raw -F raw

group 'errors'
ok 'no such backing file' as_qemu over.qcow2 -b nope -F raw
rc 1 'no such backing file is an error' xdisk rebase -b nope -F raw over.qcow2
says "Could not open new backing file 'nope': "
ok 'wrong format' as_qemu over.qcow2 -b b.raw -F qcow2
ok 'unknown format' as_qemu over.qcow2 -b a.raw -F foo
ok 'unknown cache mode' as_qemu over.qcow2 -t foo -b a.raw -F raw
ok 'unknown source cache mode' as_qemu over.qcow2 -T foo -b a.raw -F raw
rc 1 'a raw overlay' xdisk rebase -f raw -b b.raw -F raw a.raw
said 'has no backing file' "Could not change the backing file to 'b.raw'"
rc 1 'an overlay on itself' xdisk rebase -b over.qcow2 -F qcow2 over.qcow2
said 'is a circle' 'the chain is a circle'
image top.qcow2 qcow2 4M -b over.qcow2 -F qcow2
rc 1 'a base on its overlay' xdisk rebase -b top.qcow2 -F qcow2 over.qcow2
said 'is a circle' 'the chain is a circle'
rc 1 'no -b' xdisk rebase over.qcow2
says 'Must specify backing file (-b) or use unsafe mode'
rc 1 'no image' xdisk rebase -b a.raw -F raw

# Raw if nothing is recognised, else only what it was before.
group 'without -F'
ok 'raw is taken' xdisk rebase -u -b b.raw over.qcow2
says 'b.raw: recorded as raw'
is 'raw is recorded' "$(backing over.qcow2)" \
	'backing file: b.raw backing file format: raw '
rc 1 'qcow2 over raw is refused' xdisk rebase -u -b c.qcow2 over.qcow2
says 'xdisk rebase -F qcow2 -u -b c.qcow2 over.qcow2'
ok 'the command to type works' xdisk rebase -F qcow2 -u -b c.qcow2 over.qcow2
ok 'qcow2 as before is taken' xdisk rebase -b mid.qcow2 over.qcow2
says 'mid.qcow2: recorded as qcow2, as the backing file before it'
is 'qcow2 is recorded' "$(backing over.qcow2)" \
	'backing file: mid.qcow2 backing file format: qcow2 '
rc 1 'what is not there is refused' xdisk rebase -u -b nope over.qcow2

# A crash before the name changes leaves an image that reads as before.
group
cp over.qcow2 x.qcow2
qemu-img convert -f qcow2 -O raw x.qcow2 before.raw
for n in 1 2 3; do
	(timeout -s KILL 0.00$n "$builddir/tool/xdisk" rebase -b '' x.qcow2) \
		> /dev/null 2>&1
	until xdisk info -q -f qcow2 x.qcow2 > /dev/null 2>&1 &&
			! xdisk io -r -f qcow2 -c length x.qcow2 2>&1 |
			grep -q 'read lock'; do	# the kernel is still at it
		sleep 0.05
	done
	ok "killed after $n ms: the same content" holds x.qcow2 qcow2 before.raw
done
finish
