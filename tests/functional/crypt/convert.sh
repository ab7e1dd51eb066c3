#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Encrypted images through the other verbs: convert, compare, snapshots, chains.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/crypt-lib.sh"

# Data, zeroes and holes.
truncate -s 5M raw
head -c 700000 /dev/urandom | dd of=raw bs=1000 seek=300 conv=notrunc status=none
printf x | dd of=raw bs=1 seek=4999999 conv=notrunc status=none
q=encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=20

same() { qemu-img compare "${secret[@]}" --image-opts driver=raw,file.filename=raw "$1"; }
convert() { xdisk convert "${secret[@]}" "$@"; }

ok 'to qcow2' convert -f raw -O qcow2 -o $q raw l.qcow2
ok 'is the same' same "$(qcow2 l.qcow2)"
ok 'zeroes take no space' [ $(stat -c %b l.qcow2) -lt 6000 ]
ok 'to preallocated qcow2' convert -f raw -O qcow2 \
	-o $q,preallocation=metadata raw p.qcow2
ok 'is the same' same "$(qcow2 p.qcow2)"
ok 'to the old encryption' convert -f raw -O qcow2 \
	-o encryption,encrypt.key-secret=t raw a.qcow2
ok 'is the same' same "$(qcow2 a.qcow2 t)"
ok 'to luks' convert -f raw -O luks -o key-secret=s,iter-time=20 raw x.luks
ok 'is the same' same "$(luks x.luks)"
ok 'with -n' convert -n -f raw --target-image-opts raw "$(luks x.luks)"
ok 'is the same' same "$(luks x.luks)"
for from in "$(qcow2 l.qcow2)" "$(qcow2 a.qcow2 t)" "$(luks x.luks)"; do
	rm -f back
	ok "from ${from%%,*}" convert --image-opts -O raw "$from" back
	ok 'is the same' cmp raw back
done
ok 'from one encryption to another' convert --image-opts -O qcow2 \
	-o $q "$(qcow2 a.qcow2 t)" b.qcow2
ok 'compared' xdisk compare "${secret[@]}" --image-opts "$(qcow2 a.qcow2 t)" \
	"$(qcow2 b.qcow2)"

rc 1 'encryption without a secret' xdisk convert -f raw -O qcow2 -o encryption \
	raw no.qcow2
said 'as qemu-img says it' \
	"error while converting qcow2: Parameter 'encrypt.key-secret' is required"
rc 1 'compressed and encrypted' convert -c -f raw -O qcow2 -o $q raw no.qcow2
says 'Compression and encryption not supported'
rc 1 'of no use without the secret' xdisk convert -f qcow2 -O raw l.qcow2 no

group 'places are known, but are of no use to others'
is 'map as qemu-img has it' \
	"$(xdisk map --output=json "${secret[@]}" --image-opts "$(qcow2 l.qcow2)" |
		jq -c 'map({start, length, depth, zero, data, offset})')" \
	"$(qemu-img map --output=json "${secret[@]}" --image-opts \
		"$(qcow2 l.qcow2)" |
		jq -c 'map({start, length, depth, zero, data, offset})')"
rc 1 'map for people' xdisk map "${secret[@]}" --image-opts "$(qcow2 l.qcow2)"
said 'says why not' 'encrypted'

group 'snapshots share clusters with the disk'
for f in l.qcow2:s a.qcow2:t; do
	o=$(qcow2 ${f%:*} ${f#*:})
	qemu-img snapshot "${secret[@]}" -c one --image-opts "$o"
	ok "$f: written with a snapshot" ours "$o" -c 'write -P 9 290k 40k' \
		-c 'write -P 8 4M 1k'
	ok 'by qemu-io, too' theirs "$o" -c 'read -P 9 290k 40k' \
		-c 'read -P 8 4M 1k' -c 'write -P 7 500k 10k'
	qemu-img snapshot "${secret[@]}" -a one --image-opts "$o"
	ok 'the snapshot is as it was' same "$o"
	ok 'clean' xdisk check -f qcow2 ${f%:*}
done
finish
