#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# create: what it prints, accepts and refuses.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

# The same words from both, on stdout.
formatting()
{
	rm -f x
	xdisk create "$@" > got || return
	rm -f x
	qemu-img create "$@" > want || return
	diff want got
}

# Both refuse it.
refused()
{
	rm -f x
	! xdisk create "$@" 2> got && ! qemu-img create "$@" && cat got
}

truncate -s 3M base.raw
qemu-img create -q -f qcow2 base.qcow2 5M
group 'the words of qemu-img'
ok 'qcow2' formatting -f qcow2 x 20G
ok 'raw' formatting -f raw x 4G
ok 'raw is the default' formatting x 1M
ok 'options' formatting -f qcow2 \
	-o cluster_size=4k,lazy_refcounts=on,refcount_bits=8,compat=v3 x 1.5G
ok 'several -o' formatting -f qcow2 -o cluster_size=1M -o compat=0.10 x 7k
ok 'size as an option' formatting -f qcow2 -o size=5M x
ok 'size of the backing image' formatting -f qcow2 -b base.qcow2 -F qcow2 x
ok 'another size' formatting -f qcow2 -b base.qcow2 -F qcow2 x 50G
ok 'backing image as options' formatting -f qcow2 \
	-o backing_file=base.raw,backing_fmt=raw x
ok 'preallocation' formatting -f qcow2 -o preallocation=metadata x 10M
ok 'zstd' formatting -f qcow2 -o compression_type=zstd x 10M
ok 'empty' formatting -f qcow2 x 0
group
ok '-q prints nothing' test -z "$(xdisk create -q -f qcow2 x 1M)"

while read -r options size; do
	ok "refused: $options $size" refused -f qcow2 -o "$options" x $size
done << 'END'
cluster_size=256 1M
cluster_size=4M 1M
cluster_size=5000 1M
refcount_bits=7 1M
refcount_bits=128 1M
compat=0.10,refcount_bits=8 1M
compat=0.10,lazy_refcounts=on 1M
compat=0.10,compression_type=zstd 1M
compat=2 1M
compression_type=lzma 1M
preallocation=some 1M
lazy_refcounts=maybe 1M
colour=blue 1M
cluster_size=512 200G
size=5M 7M
backing_fmt=raw 1M
backing_file=base.qcow2,backing_fmt=qcow2,preallocation=metadata
backing_file=nowhere,backing_fmt=qcow2
backing_file=base.qcow2,backing_fmt=martian
cluster_size=64k
END
ok 'refused: 100x' refused -f qcow2 x 100x
ok 'refused: 9E' refused -f qcow2 x 9E
ok 'refused: unknown format' refused -f martian x 1M
ok 'refused: no such directory' refused -f qcow2 nowhere/x 1M
ok 'refused: three arguments' refused -f qcow2 x 1M 1M

for help in '?' help; do
	ok "-o $help" xdisk create -f qcow2 -o "$help" x
	says '^  cluster_size='
done

# A guest may have written what we would recognise.
group 'a guess is never recorded'
rm -f x
rc 1 '-b without -F over qcow2 is refused' \
	xdisk create -b base.qcow2 -f qcow2 x 50G
says 'xdisk create -F qcow2 -b base.qcow2 -f qcow2 x 50G'
ok '-b without -F over qcow2 makes nothing' test ! -e x
ok '-b without -F over raw' xdisk create -f qcow2 -b base.raw x
is 'raw is recorded' raw \
	"$(qemu-img info --output=json x | jq -r '.["backing-filename-format"]')"
rc 1 '-u needs a format' xdisk create -u -b nowhere -f qcow2 x 1M
ok '-u opens nothing' xdisk create -u -b nowhere -F qcow2 -f qcow2 x 1M

group 'names'
mkdir d
qemu-img create -q -f qcow2 d/base.qcow2 8M
ok 'a backing image is named relative to the overlay' \
	xdisk create -q -f qcow2 -b base.qcow2 -F qcow2 d/over.qcow2
is 'the overlay has the size of that image' 8388608 \
	"$(qemu-img info --output=json d/over.qcow2 | jq '.["virtual-size"]')"
is 'its name is recorded as given' base.qcow2 \
	"$(qemu-img info --output=json d/over.qcow2 | jq -r '.["backing-filename"]')"
name=$(printf '%01023d' 0)
ok 'the longest name' xdisk create -u -q -f qcow2 -b "$name" -F raw x 1M
ok 'the longest name is read by qemu-img' grep -q "$name" <(qemu-img info x)
rc 1 'a name one byte longer is refused' xdisk create -u -f qcow2 -b "0$name" -F raw x 1M
rc 1 'a long name is refused in a small cluster' \
	xdisk create -u -f qcow2 -o cluster_size=512 -b "$name" -F raw x 1M
ok 'a comma in a name' xdisk create -u -q -f qcow2 \
	-o backing_file=a,,b,backing_fmt=raw x 1M
is 'it is one name' a,b \
	"$(qemu-img info --output=json x | jq -r '.["backing-filename"]')"
rm -f x
group
rc 1 'a backing file without a name' xdisk create -f qcow2 -b '' x 1M
says 'x: Expected backing file name, got empty string'
rc 1 'an empty name among the options' xdisk create -f qcow2 -o backing_file= x 1M
rc 1 'an empty name makes nothing' test -e x
ok 'an extent size hint' xdisk create -q -f qcow2 -o extent_size_hint=1M x 1M
rc 1 'an extent size hint that is no size' xdisk create -q -f qcow2 -o extent_size_hint=big x 1M
ok 'a size of whole bytes' xdisk create -q -f qcow2 x 1048576.0
rc 1 'a size that is none' xdisk create -q -f qcow2 -o size=-1024 x
says "Parameter 'size' expects a non-negative number"

group 'options of the file below, and of others'
for o in nocow=on nocow=off,preallocation=off extent_size_hint=2M,nocow=on \
	nocow=on,preallocation=falloc; do
	for format in raw qcow2; do
		ok "$format, $o" xdisk create -f $format -o $o f 1M
		cp .log got
		qemu-img create -f $format -o $o f 1M > want
		ok 'told as qemu-img does' diff want got
	done
done
rc 1 'nocow=maybe' xdisk create -f raw -o nocow=maybe f 1M
rc 1 'extent_size_hint=x' xdisk create -f raw -o extent_size_hint=x f 1M
ok 'vmdk, zeroed_grain=on' xdisk create -f vmdk -o zeroed_grain=on f 64M
cp .log got
qemu-img create -f vmdk -o zeroed_grain=on f2 64M | sed s/f2/f/ > want
ok 'vmdk is told as qemu-img does' diff want got
qemu-io -f vmdk -c 'write -z 0 1M' -c 'write -P 3 2M 1M' f > log
ok 'zero grains of a vmdk are read' xdisk io -f vmdk -c 'read -P 0 0 1M' -c 'write -P 5 64k 64k' \
	-c 'read -P 3 2M 1M' f
ok 'qemu-io reads grains written over' qemu-io -f vmdk -c 'read -P 5 64k 64k' -c 'read -P 0 0 64k' f
ok 'qemu-img finds the vmdk consistent' qemu-img check -f vmdk f

group 'names of protocols as formats of a backing file'
truncate -s 3M bytes
for format in file host_device; do
	ok "$format is taken" xdisk create -q -f qcow2 -b bytes -F $format over
	is "$format is recorded" "$(xdisk info -f qcow2 --output=json over |
		sed -n 's/.*"backing-filename-format": "\(.*\)".*/\1/p')" $format
	ok 'it is read' xdisk io -f qcow2 -c 'read -P 0 0 3M' over
	ok "it is rebased to a $format" xdisk rebase -u -f qcow2 -b bytes -F $format over
	ok 'it is read then' xdisk io -f qcow2 -c 'read -P 0 0 3M' over
done
finish
