#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The old encryption of qcow2: images of both makers, used by both.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/crypt-lib.sh"

both_makers()
{
	qemu_create -f qcow2 -o "encrypt.format=aes,encrypt.key-secret=s,$1" \
		x 9M && both_ways "$(qcow2 x)" && clean_aes x || return
	rm -f x
	xdisk_create -f qcow2 -o "encrypt.format=aes,encrypt.key-secret=s,$1" \
		x 9M && both_ways "$(qcow2 x)" && clean_aes x
}
clean_aes()
{
	xdisk check -f qcow2 "$1" &&
		qemu-img check "${secret[@]}" --image-opts "$(qcow2 "$1")"
}

for options in cluster_size=512 cluster_size=4k,compat=v2 cluster_size=64k \
	cluster_size=64k,extended_l2=on cluster_size=2M refcount_bits=1; do
	ok "$options" both_makers $options
done

ok 'encryption=on' xdisk_create -f qcow2 \
	-o encryption=on,encrypt.key-secret=s y 9M
is 'is that' aes "$(xdisk info --output=json -f qcow2 y |
	jq -r '."format-specific".data.encrypt.format')"
ok 'works' both_ways "$(qcow2 y)"
is 'info as qemu-img has it' "$(xdisk info -f qcow2 y | info_words)" \
	"$(qemu-img info -f qcow2 y | info_words)"

group 'Version 1 has the same'
qemu_create -f qcow -o encrypt.format=aes,encrypt.key-secret=s v1 3M
v1=driver=qcow,file.filename=v1,encrypt.key-secret=s
theirs $v1 -c 'write -P 1 1000 9000' -c 'write -P 2 2M 700k' > /dev/null
ok 'qcow, version 1' ours $v1,read-only=on -c 'read -P 0 0 1000' \
	-c 'read -P 1 1000 9000' -c 'read -P 0 10000 100000' \
	-c 'read -P 2 2M 700k' -c 'read -P 0 2813952 100k'
rc 1 'without a secret' xdisk io -r -f qcow -c 'read 0 1' v1
said 'says which option' "Parameter 'encrypt.key-secret' is required"
is 'info needs none' "$(xdisk info -f qcow v1 | info_words)" \
	"$(qemu-img info -f qcow v1 | info_words)"

group 'a passphrase of more than 16 bytes is cut, a shorter one filled with zeroes'
long=(--object secret,id=l,data=0123456789abcdefXYZ)
qemu-img create -q "${long[@]}" -f qcow2 \
	-o encrypt.format=aes,encrypt.key-secret=l z 1M
qemu-io "${long[@]}" --image-opts -c 'write -P 7 0 1M' "$(qcow2 z l)" > /dev/null
ok 'only 16 bytes of the passphrase count' xdisk io -c 'read -P 7 0 1M' \
	--object secret,id=m,data=0123456789abcdef --image-opts "$(qcow2 z m)"

# There is nothing to tell a wrong one by: it reads as noise.
rc 1 'another passphrase reads as noise' ours "$(qcow2 y t)" -c 'read -P 1 0 512'

rc 1 'no secret named' xdisk io -f qcow2 -c 'read 0 1' y
said 'says which option' "Parameter 'encrypt.key-secret' is required"
rc 1 'a secret that is not there' ours "$(qcow2 y none)" -c 'read 0 1'
says "No secret with id 'none'"
rc 1 'another format asked for' ours "$(qcow2 y),encrypt.format=luks" \
	-c 'read 0 1'
said 'says what it is' "'aes' encryption format but options specify 'luks'"
ok 'the right one asked for' ours "$(qcow2 y),encrypt.format=aes" -c 'read 0 1'

refused() { rc 1 "create: $1" xdisk_create -f qcow2 -o "$2" n 1M; said "$1: said" "$3"; }
refused 'no secret' encryption=on "'encrypt.key-secret' is required"
refused 'no format' encrypt.key-secret=s "'encrypt.format' is missing"
refused 'both' encryption=on,encrypt.format=aes,encrypt.key-secret=s exclusive
refused 'unknown format' encrypt.format=des,encrypt.key-secret=s "'des'"
refused 'options of luks' \
	encrypt.format=aes,encrypt.key-secret=s,encrypt.cipher-alg=aes-256 \
	"'encrypt.cipher-alg' is unexpected"
refused 'preallocated version 2' \
	encryption=on,encrypt.key-secret=s,preallocation=metadata,compat=v2 1.1
ok 'preallocated' xdisk_create -f qcow2 \
	-o encryption=on,encrypt.key-secret=s,preallocation=metadata p 2M
ok 'reads as zeroes' ours "$(qcow2 p)" -c 'read -P 0 0 2M' -c 'write -P 1 3k 5k' \
	-c 'read -P 0 0 3k' -c 'read -P 1 3k 5k' -c 'read -P 0 8k 1M'
ok 'for both' theirs "$(qcow2 p)" -c 'read -P 0 0 3k' -c 'read -P 1 3k 5k' \
	-c 'read -P 0 8k 1M'
ok 'is clean' clean_aes p
finish
