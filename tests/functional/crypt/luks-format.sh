#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images of the format luks: of both makers, used by both; malformed headers.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/crypt-lib.sh"

how=key-secret=s,iter-time=20
# It is no zero-initialized disk: fill it first.
made_by()
{
	rm -f x
	$1 -f luks -o "$how,$2" x 9M && ours "$(luks x)" -c 'write -z 0 9M' &&
		both_ways "$(luks x)"
}

ok "qemu-img's" made_by qemu_create hash-alg=sha256
ok "qemu-img's, cbc, essiv" made_by qemu_create cipher-mode=cbc,ivgen-alg=essiv
for options in '' cipher-alg=aes-128 cipher-mode=cbc,ivgen-alg=essiv \
	cipher-mode=ecb ivgen-alg=plain,hash-alg=sha1 hash-alg=sha512 \
	preallocation=full; do
	ok "ours: $options" made_by xdisk_create "$options"
done

xdisk_create -f luks -o "$how" y 4M
is 'info as qemu-img has it' "$(xdisk info -f luks y | info_words)" \
	"$(qemu-img info -f luks y | info_words)"
is 'in JSON too' "$(xdisk info --output=json -f luks y | info_json)" \
	"$(qemu-img info --output=json -f luks y | info_json)"
ok 'is recognised' xdisk info y
says 'guessed luks'
is 'the same options are listed as set' \
	"$(xdisk create -f luks "${secret[@]}" -o "$how,cipher-mode=cbc" z 1M)" \
	"$(qemu-img create -f luks "${secret[@]}" -o "$how,cipher-mode=cbc" z 1M 2> /dev/null)"
is 'is measured' "$(xdisk measure "${secret[@]}" -O luks -o "$how" --size 5M)" \
	"$(patient qemu-img measure "${secret[@]}" -O luks -o "$how" --size 5M)"
is 'in qcow2, too' "$(xdisk measure "${secret[@]}" -O qcow2 -o \
	encrypt.format=luks,encrypt.key-secret=s --size 1G)" \
	"$(patient qemu-img measure "${secret[@]}" -O qcow2 -o \
	encrypt.format=luks,encrypt.key-secret=s --size 1G)"
rc 1 'another passphrase' ours "$(luks y wrong)" -c 'read 0 1'
said 'is said to be wrong' 'Invalid password, cannot unlock any keyslot'
rc 1 'no secret named' xdisk io -f luks -c 'read 0 1' y
said 'says which option' "Parameter 'key-secret' is required"
rc 1 'created without one' xdisk create -q -f luks z 1M
rc 1 'nothing to check' xdisk check -f luks y
ok 'made larger' ours "$(luks y)" -c 'truncate 6M' \
	-c 'read -P 0 4M 2M' -c 'write -P 5 5M 1M'
ok 'for both' theirs "$(luks y)" -c 'read -P 5 5M 1M'
rc 1 'no further than that' ours "$(luks y)" -c 'read 6M 512'

# An encrypted disk, and the size of the file is not a whole number of sectors.
printf x >> y
ok 'a file that ends within a sector' ours "$(luks y)" -c 'read -P 5 5M 1M'

# poke OFFSET BYTES: changes a good header
poke() { cp y bad && printf "$2" | dd of=bad bs=1 seek="$1" conv=notrunc status=none; }
judged()
{
	poke "$2" "$3"
	rc 1 "malformed: $1" xdisk info -f luks bad
	said "$1: said" "$4"
}
judged 'magic' 0 'X' 'not in LUKS format'
judged 'version 2' 7 '\002' 'version 2'
judged 'cipher' 8 'twofish\0' "'twofish'"
judged 'cipher without an end' 8 '%032d' 'not ended'
judged 'mode' 40 'ctr-plain64\0' "'ctr'"
judged 'mode without vector' 40 'xts\0' "'xts'"
judged 'vector' 40 'xts-benbi\0' "'benbi'"
judged 'essiv without hash' 40 'cbc-essiv\0' 'essiv is missing'
judged 'hash' 72 'md4\0' "'md4'"
judged 'payload' 104 '\0\0\0\001' 'keyslot 0'
judged 'payload beyond the end' 104 '\0\001\0\0' 'payload starts'
judged 'key length' 108 '\0\0\0\041' '33 bytes'
judged 'huge key' 108 '\377\377\377\377' '4294967295 bytes'
judged 'no iterations of the digest' 164 '\0\0\0\0' '0 iterations'
judged 'hours of them' 164 '\377\377\377\377' '4294967295 iterations'
judged 'state of a slot' 256 '\001\002\003\004' 'keyslot 1 state'
judged 'hours of a slot' 212 '\377\377\377\377' 'keyslot 0 has 4294967295'
judged 'stripes' 252 '\0\0\0\001' 'stripes 1'
judged 'a slot over the header' 248 '\0\0\0\001' 'keyslot 0 lies'
judged 'a slot far away' 248 '\377\377\377\377' 'keyslot 0 lies'
judged 'slots over each other' 296 '\0\0\0\010' 'overlap'
head -c 500 y > bad
rc 1 'a header that is cut' xdisk info -f luks bad
head -c 100000 y > bad
rc 1 'slots that are cut' xdisk info -f luks bad
head -c 592 /dev/urandom > bad
rc 1 'noise' xdisk info -f luks bad
finish
