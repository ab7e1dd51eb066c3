#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The protocol that compares two images as they are used.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"

xdisk create -q -f raw r 4M
xdisk create -q -f qcow2 q 4M
ok 'writes and reads of both' xdisk io -f raw -c 'write -P 1 0 64k' \
	-c 'read -P 1 0 64k' -c 'write -z 4k 4k' -c 'read -P 0 4k 4k' \
	-c 'discard 0 64k' -c flush blkverify:r:q
ok 'the raw one has it' xdisk io -f raw -c 'read -P 1 0 4k' r
ok 'the other too' xdisk io -f qcow2 -c 'read -P 1 0 4k' -c 'read -P 0 4k 4k' q
ok 'they are the same' xdisk compare -f raw -F qcow2 r q
cp r from
ok 'convert into both' xdisk convert -n -f raw -O raw from blkverify:r:q
ok 'info' xdisk info -f raw blkverify:r:q

xdisk io -f qcow2 -c 'write -P 2 70000 512' q > /dev/null
rc 1 'a difference' xdisk io -f raw -c 'read 64k 64k' -c 'write 0 1' \
	blkverify:r:q
says 'blkverify: read offset=65536 bytes=65536 contents mismatch at offset 70000'
rc 1 'by options' xdisk io --image-opts -c 'read 64k 64k' \
	driver=raw,file.driver=blkverify,file.raw.filename=r,file.test.driver=qcow2,file.test.file.filename=q
says 'offset 70000'
rc 1 'by a name beside them' xdisk io -c \
	'open -o driver=raw,file.driver=blkverify,file.raw.filename=r q' \
	-c 'read 64k 64k'
says 'offset 70000'
rc 1 'one of them missing' xdisk info --image-opts \
	driver=raw,file.driver=blkverify,file.raw.filename=r
said 'both are wanted' 'raw and test'
rc 1 'no second name' xdisk info blkverify:r
rc 1 'an error of one alone' xdisk io -f raw -c 'write 0 512' \
	"json:{'driver':'blkverify','raw.filename':'r','test':{'driver':'blkdebug',
	'image.filename':'q','inject-error.0.event':'none'}}"
said 'is a difference' 'return value mismatch 0 != -5'
finish
