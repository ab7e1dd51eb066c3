#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Passphrases that are added and erased, by us and by qemu-img.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/crypt-lib.sh"

opens() { ours "$1" -c 'read -P 6 0 64k' && theirs "$1" -c 'read -P 6 0 64k'; }
slots()
{
	qemu-img info --output=json "$1" | jq -c '[."format-specific".data |
		(.encrypt // .).slots[].active] | map(if . then 1 else 0 end)'
}
amend() { xdisk amend "${secret[@]}" "${@:2}" --image-opts "$1"; }

check_keys()
{
	local named=$1 p=$2

	ours "$($named x)" -c 'write -P 6 0 64k' > /dev/null
	ok "$named: add a passphrase" amend "$($named x)" \
		-o ${p}state=active,${p}new-secret=t,${p}iter-time=20
	ok 'it opens the image' opens "$($named x t)"
	ok 'so does the first' opens "$($named x)"
	ok 'into a given slot, by the second' amend "$($named x t)" \
		-o ${p}state=active,${p}new-secret=wrong,${p}keyslot=5,${p}iter-time=20
	is 'the slots' "$(slots x)" '[1,1,0,0,0,1,0,0]'
	rc 1 'not into one in use' amend "$($named x)" \
		-o ${p}state=active,${p}new-secret=t,${p}keyslot=5
	says 'active keyslot 5'
	ok 'but with --force' amend "$($named x)" --force \
		-o ${p}state=active,${p}new-secret=wrong,${p}keyslot=5,${p}iter-time=20
	ok 'it opens the image' opens "$($named x wrong)"
	ok 'erase by slot' amend "$($named x)" \
		-o ${p}state=inactive,${p}keyslot=5
	rc 1 'it is gone' ours "$($named x wrong)" -c 'read 0 1'
	rc 1 'once is enough' amend "$($named x)" \
		-o ${p}state=inactive,${p}keyslot=5
	rc 1 'erase by a passphrase that has none' amend "$($named x)" \
		-o ${p}state=inactive,${p}old-secret=wrong
	ok 'erase by passphrase' amend "$($named x t)" \
		-o ${p}state=inactive,${p}old-secret=s
	rc 1 'that is gone' theirs "$($named x)" -c 'read 0 1'
	ok 'the other is not' opens "$($named x t)"
	rc 1 'never the last' amend "$($named x t)" \
		-o ${p}state=inactive,${p}old-secret=t
	says 'irreversibly'
	rc 1 'not by slot either' amend "$($named x t)" \
		-o ${p}state=inactive,${p}keyslot=1
	is 'the slots' "$(slots x)" '[0,1,0,0,0,0,0,0]'
	ok 'qemu-img adds one' patient qemu-img amend "${secret[@]}" -o \
		${p}state=active,${p}new-secret=s,${p}iter-time=100 \
		--image-opts "$($named x t)"
	ok 'we take it' opens "$($named x)"
	ok 'the last with --force' amend "$($named x)" --force \
		-o ${p}state=inactive,${p}old-secret=s
	ok 'even so' amend "$($named x t)" --force \
		-o ${p}state=inactive,${p}old-secret=t
	rc 1 'then it is lost' ours "$($named x t)" -c 'read 0 1'
}

xdisk_create -f luks -o key-secret=s,iter-time=20 x 1M
check_keys luks ''
rm x
xdisk_create -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=20 x 1M
check_keys qcow2 encrypt.

xdisk_create -f luks -o key-secret=s,iter-time=20 x 1M
refused() { rc 1 "refused: $1" amend "$(luks x)" -o "$1"; said "$1: said" "$2"; }
refused new-secret=t "'state' is missing"
refused state=maybe "'maybe'"
refused state=active "'new-secret' is required"
refused state=active,new-secret=none "'none'"
refused state=active,new-secret=t,old-secret=s "'old-secret' must not"
refused state=active,new-secret=t,keyslot=8 'between 0 and 7'
refused state=inactive 'explicit keyslot index or the password'
refused state=inactive,old-secret=s,iter-time=10 "'iter-time' must not"
refused state=inactive,old-secret=s,new-secret=t "'new-secret' must not"
refused cipher-alg=aes-128 "'cipher-alg'"
for n in 1 2 3 4 5 6 7; do
	amend "$(luks x)" -o state=active,new-secret=t,iter-time=1 > /dev/null
done
rc 1 'a ninth' amend "$(luks x)" -o state=active,new-secret=t
said 'finds no room' 'all keyslots are in use'
finish
