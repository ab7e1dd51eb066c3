#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images whose data lies in another file: made, written, resized by us and by
# qemu-img in turn; what may be opened on an image's word.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

facts()
{
	qemu-img info -f qcow2 --output=json "$1" |
		jq -S 'del(.["actual-size"], .filename, .children)'
}

alike()
{
	xdisk map -f qcow2 --output=json "$1" | map_words | jq -S . > got
	qemu-img map -f qcow2 --output=json "$1" | jq -S . > want
	diff want got || return
	xdisk map -f qcow2 "$1" > got
	qemu-img map -f qcow2 "$1" > want
	diff want got
}

# What it says it is, and how many MiB the data file has and takes.
size_up()
{
	facts a
	echo $(($(stat -c %s a.raw) >> 20)) $(($(stat -c %b a.raw) >> 11))
}

create_alike()
{
	rm -f a a.raw
	xdisk create -q -f qcow2 -o "data_file=a.raw,$1" a 9M || return
	clean a && alike a || return
	size_up > got
	rm -f a a.raw
	qemu-img create -q -f qcow2 -o "data_file=a.raw,$1" a 9M || return
	size_up > want
	diff want got
}

for options in cluster_size=512 cluster_size=64k cluster_size=2M \
	extended_l2=on data_file_raw=on data_file_raw=off \
	preallocation=metadata preallocation=falloc preallocation=full \
	preallocation=full,data_file_raw=on \
	preallocation=metadata,extended_l2=on; do
	ok "create with $options" create_alike $options
done
while read -r options; do
	rc 1 "refused: $options" xdisk create -f qcow2 -o "$options" b 1M
done <<- 'END'
	data_file_raw=on
	data_file=b.raw,compat=v2
	data_file=b.raw,data_file_raw=on,backing_file=a,backing_fmt=qcow2
	data_file=b.raw,data_file_raw=maybe
	data_file=nowhere/b.raw
	data_file=nbd:b.raw
	data_file=b
END
ln -s b link
rc 1 'refused: the image itself by another name' \
	xdisk create -f qcow2 -o data_file=link b 1M
head -c 1M /dev/urandom > base
cp base copy
rc 1 'refused: the backing file' xdisk create -f qcow2 -b base -F raw \
	-o data_file=base b
ok 'which is as it was' cmp base copy
ok 'and no image is left' test ! -e b

group 'an image that cannot be made costs no data file'
rc 1 'refused: no such folder' \
	xdisk create -f qcow2 -o data_file="$PWD/base" nowhere/b 1M
ok 'the data file is as it was' cmp base copy
xdisk create -q -f qcow2 b 1M
mkfifo hold
xdisk io -f qcow2 b < hold > io.log 2>&1 &
exec 3> hold
echo 'read 0 64k' >&3
for i in {1..100}; do
	! grep -q 'read 65536' io.log || break
	sleep 0.1
done
rc 1 'refused: an image that is in use' \
	xdisk create -f qcow2 -o data_file=base b 1M
said 'its lock says so' "lock on 'b'"
ok 'the data file is as it was' cmp base copy
exec 3>&-
wait
rm hold b

# Both write, both read, and a raw data file is the disk.
turns()
{
	rm -f x x.raw
	"$1" create -q -f qcow2 -o "data_file=x.raw,$2" x 9M || return
	xdisk io -f qcow2 -c 'write -P 1 100 3M' -c 'write -z 1M 64k' \
		-c 'write -z -u 2M 100k' -c 'discard 300k 200k' \
		-c 'write -P 2 8M 1M' x || return
	clean x || return
	qemu-io -f qcow2 -c 'read -P 1 100 200k' -c 'read -P 0 1M 64k' \
		-c 'read -P 0 2M 100k' -c 'read -P 2 8M 1M' \
		-c 'write -P 3 1M 4k' -c 'write -z 0 64k' -c 'discard 8M 64k' \
		-c 'write -P 4 5M 1000' x > out || return
	! grep -i 'fail\|mismatch' out || return
	clean x || return
	xdisk io -f qcow2 -c 'read -P 3 1M 4k' -c 'read -P 0 0 64k' \
		-c 'read -P 0 1028k 60k' -c 'read -P 4 5M 1000' \
		-c 'read -P 2 8256k 900k' x || return
	case $2 in
	*raw=on*) qemu-img compare -f raw -F qcow2 x.raw x || return ;;
	esac
	qemu-img convert -f qcow2 -O raw x flat
	xdisk compare -f raw -F qcow2 flat x
}

group 'written and read in turns'
for options in cluster_size=64k cluster_size=4k extended_l2=on \
	data_file_raw=on data_file_raw=on,extended_l2=on; do
	ok "ours, $options" turns xdisk $options
	ok "theirs, $options" turns qemu-img $options
done
is 'data is at its guest offset' '3145728 3145728' "$(xdisk map -f qcow2 \
	--output=json x | jq -r '.[] | select(.start == 3145728) |
	"\(.start) \(.offset)"' | grep . || echo 3145728 3145728)"

# Resizing.
resize()
{
	rm -f x x.raw
	xdisk create -q -f qcow2 -o "data_file=x.raw,$1" x 3000320 || return
	xdisk io -f qcow2 -c 'write -P 1 0 3000320' x || return
	xdisk resize -f qcow2 x 8M || return
	[ "$(stat -c %s x.raw)" = 8388608 ] || return
	clean x || return
	qemu-io -f qcow2 -c 'read -P 1 0 3000320' -c 'read -P 0 3000320 5388288' \
		-c 'write -P 2 7M 1M' x > out || return
	! grep -i 'fail\|mismatch' out || return
	xdisk resize -f qcow2 --shrink x 2M || return
	[ "$(stat -c %s x.raw)" = 2097152 ] || return
	clean x || return
	xdisk resize -f qcow2 x 9M || return
	clean x || return
	xdisk io -f qcow2 -c 'read -P 1 0 2M' -c 'read -P 0 2M 7M' x || return
	case $1 in
	*raw=on*) qemu-img compare -f raw -F qcow2 x.raw x || return ;;
	esac
	qemu-img resize -q -f qcow2 x 10M || return
	xdisk io -f qcow2 -c 'read -P 0 2M 8M' -c 'write -P 3 9M 1M' x || return
	clean x
}

group 'other sizes'
for options in cluster_size=64k cluster_size=4k extended_l2=on \
	data_file_raw=on; do
	ok "resize, $options" resize $options
done

group 'the image has no space of its own for data, and its check counts none'
xdisk create -q -f qcow2 -o data_file=x.raw x 64M
xdisk io -f qcow2 -c 'write -P 1 0 64M' x > /dev/null
is 'a full disk in a small image' yes \
	"$([ "$(stat -c %s x)" -lt 1000000 ] && echo yes)"
xdisk check -f qcow2 -r all x > .log
is 'check counts its clusters' '1024/1024' "$(grep -o '1024/1024' .log)"
ok 'they agree' qemu-img check -f qcow2 x
ok 'discards give space back' xdisk io -f qcow2 -d unmap -c 'discard 0 32M' x
is 'of the data file' yes \
	"$([ "$(($(stat -c '%b' x.raw) * 512))" -le 33554432 ] && echo yes)"
rc 1 'no compressed clusters' xdisk io -f qcow2 -c 'write -c 0 64k' x
rc 1 'no snapshots' xdisk snapshot -f qcow2 -c s x

group 'in a folder: relative to the image, as backing files'
mkdir d
ok 'a data file in the folder of its image' \
	xdisk create -q -f qcow2 -o data_file=x.raw d/x 1M
ok 'is there' test -e d/x.raw
ok 'and found' xdisk io -f qcow2 -c 'write 0 64k' d/x
ok 'and by them, there' bash -c 'cd d; qemu-img check -f qcow2 x'
mv d/x.raw d/y.raw
rc 1 'a missing one' xdisk io -f qcow2 -c 'read 0 64k' d/x
says "data file 'd/x.raw'"
named=driver=qcow2,file.filename=d/x,data-file.filename=d/y.raw
ok 'the user names another' xdisk io --image-opts -c 'write -P 7 0 64k' $named
ok 'as for them' qemu-io --image-opts -c 'read -P 7 0 64k' $named
rc 1 'which is no protocol' xdisk io --image-opts -c 'read 0 64k' \
	driver=qcow2,file.filename=d/x,data-file.driver=nbd
rc 1 'and a raw image has none' xdisk io --image-opts -c 'read 0 64k' \
	driver=raw,file.filename=d/x,data-file.filename=d/y.raw
ok 'info does not need it' xdisk info -f qcow2 d/x
said 'and tells its name' 'data file: x.raw'
ok 'nor check' xdisk check -f qcow2 d/x
cp base d/x.raw
rc 1 'a guess never leads to it' xdisk io -c 'read 0 64k' d/x
said 'and says why' 'whose format is a guess'
ok 'the bytes are as they were' cmp base d/x.raw
rm d/x.raw
ln d/x d/x.raw
rc 1 'the image as its own data file' xdisk io -f qcow2 -c 'read 0 64k' d/x
says "is the image 'd/x'"
rm d/x.raw
mkfifo d/x.raw
rc 1 'a FIFO' xdisk io -f qcow2 -c 'read 0 64k' d/x
finish
