#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# qcow2 images encrypted with LUKS: of both makers, used by both.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/crypt-lib.sh"

how=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=20
both_clean()
{
	xdisk check -f qcow2 "$1" &&
		qemu-img check "${secret[@]}" --image-opts "$(qcow2 "$1")"
}
made_by()
{
	rm -f x
	$1 -f qcow2 -o "$how,$2" x 9M && both_ways "$(qcow2 x)" && both_clean x
}

# qemu-img needs two seconds for each.
for options in cluster_size=512 cluster_size=64k,compat=v2 \
	encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv; do
	ok "qemu-img's: $options" made_by qemu_create $options
done
for options in cluster_size=512 cluster_size=4k,compat=v2 cluster_size=64k \
	cluster_size=64k,extended_l2=on cluster_size=2M refcount_bits=1 \
	encrypt.cipher-alg=aes-128 \
	encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv \
	encrypt.cipher-mode=ecb,encrypt.ivgen-alg=plain \
	encrypt.ivgen-alg=plain,encrypt.hash-alg=sha1 \
	encrypt.hash-alg=sha512; do
	ok "ours: $options" made_by xdisk_create $options
done

ok 'an image with the defaults' xdisk_create -f qcow2 -o "$how" y 9M
is 'info as qemu-img has it' "$(xdisk info -f qcow2 y | info_words)" \
	"$(qemu-img info -f qcow2 y | info_words)"
is 'in JSON too' "$(xdisk info --output=json -f qcow2 y | info_json)" \
	"$(qemu-img info --output=json -f qcow2 y | info_json)"
ok 'works' both_ways "$(qcow2 y)"
rc 1 'another passphrase' ours "$(qcow2 y wrong)" -c 'read 0 1'
said 'is said to be wrong' 'Invalid password, cannot unlock any keyslot'
rc 1 'no secret named' xdisk io -f qcow2 -c 'read 0 1' y
said 'says which option' "Parameter 'encrypt.key-secret' is required"
ok 'check needs none' xdisk check -f qcow2 y

refused() { rc 1 "create: $1" xdisk_create -f qcow2 -o "$2" n 1M; said "$1: said" "$3"; }
refused 'no secret' encrypt.format=luks "'encrypt.key-secret' is required"
refused 'unknown secret' encrypt.format=luks,encrypt.key-secret=none "'none'"
refused 'unknown cipher' "$how,encrypt.cipher-alg=des" 'aes-128, aes-192'
refused 'unknown mode' "$how,encrypt.cipher-mode=gcm" 'ecb, cbc, xts'
refused 'no time' "$how,encrypt.iter-time=0" milliseconds
refused 'essiv of a hash that is no key' \
	"$how,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha1" 'key size 20'
refused 'aes-192' "$how,encrypt.cipher-alg=aes-192,encrypt.cipher-mode=cbc" aes-192

group 'an encrypted overlay of an encrypted image, each with its own passphrase'
xdisk create -q "${secret[@]}" -f qcow2 \
	-o "${how/secret=s/secret=t},backing_file=y,backing_fmt=qcow2" over
chain="$(qcow2 over t),backing.encrypt.key-secret=s"
ok 'an overlay' ours "$chain" -c 'read -P 3 513k 700k' -c 'write -P 9 600k 10k' \
	-c 'read -P 3 513k 87k' -c 'read -P 9 600k 10k' -c 'read -P 3 610k 100k'
ok 'for both' theirs "$chain" -c 'read -P 3 513k 87k' -c 'read -P 9 600k 10k' \
	-c 'read -P 3 610k 100k'
rc 1 'without the secret of the backing image' ours "$(qcow2 over t)" -c 'read 0 1'
says "backing file 'y': Parameter"
finish
