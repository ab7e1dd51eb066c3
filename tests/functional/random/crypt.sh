#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random requests on encrypted images.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/crypt-lib.sh"

seed=${MODEL_SEED:-1}
operations=${MODEL_OPERATIONS:-1500}

crypt_run()
{
	echo "# seed $seed" >&2
	model -e correct -s $((seed++)) -n "$operations" x "$1" want || return
	[ "$1" != qcow2 ] || xdisk check -f qcow2 x || return
	qemu-img compare "${secret[@]}" --image-opts \
		driver=raw,file.filename=want "$("$1" x)"
}

fresh_crypt()
{
	rm -f x
	cp "${3:-/dev/null}" want
	truncate -s 9M want
	xdisk_create -f "$1" -o "$2" x 9M
}

luks=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=2
aes=encrypt.format=aes,encrypt.key-secret=s
for options in $luks,cluster_size=512 $luks,cluster_size=64k \
	$luks,extended_l2=on $luks,preallocation=metadata $aes,cluster_size=4k \
	$aes,extended_l2=on,cluster_size=16k $aes,compat=v2; do
	fresh_crypt qcow2 $options
	ok "$options" crypt_run qcow2
	ok "$options, again" crypt_run qcow2
done
qemu-img snapshot "${secret[@]}" -c s --image-opts "$(qcow2 x)"
ok 'after a snapshot' crypt_run qcow2

head -c 6M /dev/urandom > base
for options in $luks $luks,extended_l2=on $aes; do
	fresh_crypt qcow2 $options,backing_file=base,backing_fmt=raw base
	ok "overlay, $options" crypt_run qcow2
done

fresh_crypt luks key-secret=s,iter-time=2
xdisk io "${secret[@]}" --image-opts -c 'write -z 0 9M' "$(luks x)" > /dev/null
ok 'luks' crypt_run luks
finish
