#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What people have in their notes and scripts for qemu-img, word by word, with
# only the program's name exchanged. (A folder that is theirs is put below $T.)
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq

mkdir -p new share/xvs/img/linux

# typed LINE: the line as it was written, for the other program
typed()
{
	eval "$(sed -e 's/\bqemu-img\b/xdisk/' -e "s, /\(new\|share\), $T/\1,g" \
		-e "s, /rhel, $T/rhel,g" <<< "$1")"
}

# also LINE: that works
also() { ok "$1" typed "$1"; }

also 'qemu-img create -f raw image_file 4G'
is 'is that long' "$(stat -c %s image_file)" $((4 << 30))
also 'qemu-img create -f qcow2 rhel6u3.qcow2 1G'
also 'qemu-img check rhel6u3.qcow2'
says 'No errors were found on the image.'
also 'qemu-img info rhel6u3.qcow2'
said 'tells the size' 'virtual size: 1 GiB'
also 'qemu-img -h'
said 'lists the formats' '^Supported formats:.* qcow2.* raw'

group 'overlays'
qemu-img create -q -f raw img1.raw 8M
qemu-io -f raw -c 'write -P 1 0 1M' img1.raw > /dev/null
also 'qemu-img create -o backing_file=img1.raw,backing_fmt=raw -f qcow2 img1.qcow2'
is 'its backing file' "$(qemu-img info img1.qcow2 | grep ^backing |
	tr '\n' ' ')" 'backing file: img1.raw backing file format: raw '
also 'qemu-img create -b img1.raw -f qcow2 img1b.qcow2'
said 'what is guessed is said' 'img1.raw: recorded as raw'
is 'the same backing file' "$(qemu-img info img1b.qcow2 | grep ^backing |
	tr '\n' ' ')" 'backing file: img1.raw backing file format: raw '
also 'qemu-img create -f qcow2 -o ? temp.qcow'
said 'lists the options' 'cluster_size'
is 'makes nothing' "$(ls temp.qcow 2> /dev/null)" ''
qemu-io -f qcow2 -c 'write -P 2 512k 1M' img1.qcow2 > /dev/null
qemu-img convert -O raw img1.qcow2 shows.raw
also 'qemu-img commit -f qcow2 img1.qcow2'
says 'Image committed.'
ok 'the base has it' cmp img1.raw shows.raw
ok 'the overlay shows it' holds img1.qcow2 qcow2 shows.raw

group 'an overlay on an overlay'
ok 'over an overlay' xdisk create -f qcow2 -b img1.qcow2 -F qcow2 img2.qcow2
qemu-io -f qcow2 -c 'write -P 3 2M 64k' img2.qcow2 > /dev/null
qemu-img convert -O raw img2.qcow2 shows.raw
also 'qemu-img commit -f qcow2 img2.qcow2'
ok 'the one below has it' holds img1.qcow2 qcow2 shows.raw

group 'a backing image that was moved: a link where it was, or the new name'
cp img1.raw new/img1.raw
cp img1.qcow2 new/img1.qcow2
cp img2.qcow2 new/img2.qcow2
qemu-img convert -O raw new/img2.qcow2 shows.raw
also 'qemu-img rebase -b /new/img1.raw /new/img1.qcow2'
also 'qemu-img rebase -u -b /new/img1.raw /new/img1.qcow2'
said 'what is guessed is said' 'guessed qcow2'
also 'qemu-img rebase -u -b /new/img1.qcow2 /new/img2.qcow2'
said 'what is kept is said' 'recorded as qcow2, as the backing file before'
ok 'shows what it did' holds new/img2.qcow2 qcow2 shows.raw

group 'sizes'
also 'qemu-img create disk_image 1G'
also 'qemu-img resize disk_image +10G'
is 'is longer' "$(stat -c %s disk_image)" $((11 << 30))
qemu-img create -q -f raw share/xvs/img/linux/ia32e_rhel7u2_kvm.img 8G
also 'qemu-img create -b /share/xvs/img/linux/ia32e_rhel7u2_kvm.img -f qcow2 /rhel7u2.qcow2 50G'
is 'as long as wanted' "$(qemu-img info --output=json rhel7u2.qcow2 |
	jq '."virtual-size"')" $((50 << 30))
also 'qemu-img create -f qcow2 ./linux.qcow2 20G'
also 'qemu-img create -f qcow2 rhel7u2-1.qcow2 20G'
also 'qemu-img resize rhel7u2-1.qcow2 +20G'
is 'is longer' "$(qemu-img info --output=json rhel7u2-1.qcow2 |
	jq '."virtual-size"')" $((40 << 30))
rc 1 'qemu-img resize rhel7u2-1.qcow2 -19G' \
	typed 'qemu-img resize rhel7u2-1.qcow2 -19G'
said 'asks again, as qemu-img does' '--shrink'
also 'qemu-img resize --shrink rhel7u2-1.qcow2 -19G'
is 'is shorter' "$(qemu-img info --output=json rhel7u2-1.qcow2 |
	jq '."virtual-size"')" $((21 << 30))
also 'qemu-img info rhel7u2-1.qcow2'

group 'the options of qcow2 that the notes name'
for size in 512 64k 2M; do
	also "qemu-img create -f qcow2 -o cluster_size=$size c.qcow2 8M"
	is 'has them' "$(qemu-img info --output=json c.qcow2 |
		grep -o 'cluster-size": [0-9]*')" \
		"cluster-size\": $(numfmt --from=iec ${size^^})"
done
for mode in off metadata full; do
	also "qemu-img create -f qcow2 -o preallocation=$mode p.qcow2 8M"
	ok 'the image is clean' clean p.qcow2
done
qemu-io -f qcow2 -c 'write -P 1 0 64k' rhel6u3.qcow2 > /dev/null
also 'qemu-img snapshot -c before rhel6u3.qcow2'
qemu-io -f qcow2 -c 'write -P 2 0 64k' rhel6u3.qcow2 > /dev/null
also 'qemu-img snapshot -c after rhel6u3.qcow2'
also 'qemu-img snapshot -l rhel6u3.qcow2'
says '^2 .*after'
also 'qemu-img snapshot -a before rhel6u3.qcow2'
ok 'is what it was' xdisk io -f qcow2 -c 'read -P 1 0 64k' rhel6u3.qcow2
also 'qemu-img snapshot -d after rhel6u3.qcow2'
also 'qemu-img check rhel6u3.qcow2'
also 'qemu-img convert -c -O qcow2 img1.raw z.qcow2'
ok 'compressed, holds the same' holds z.qcow2 qcow2 img1.raw
also 'qemu-img convert -O qcow2 --object secret,id=s,data=geheim -o encryption=on,encrypt.key-secret=s img1.raw e.qcow2'
ok 'encrypted, with 16 bytes of key' sh -c 'qemu-img compare --object \
	secret,id=s,data=geheim --image-opts driver=raw,file.filename=img1.raw \
	driver=qcow2,file.filename=e.qcow2,encrypt.key-secret=s'
finish
