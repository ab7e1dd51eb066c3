#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images named by options, and passphrases named by --object.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"

xdisk create -q -f qcow2 base,x 1M
xdisk io -f qcow2 -c 'write -P 3 0 64k' base,x > /dev/null
xdisk create -q -f qcow2 -u -b gone -F qcow2 over 1M
xdisk create -q -f raw plain 1M

top=driver=qcow2,file.driver=file,file.filename=over
ok 'a backing image of another name, a comma in it' xdisk io --image-opts \
	-c 'read -P 3 0 64k' "$top,backing.file.filename=base,,x"
rc 1 'without it there is none' xdisk io --image-opts -c 'read 0 1' "$top"
rc 1 'a backing image as another format' xdisk io --image-opts \
	-c 'read -P 3 0 64k' \
	"$top,backing.file.filename=base,,x,backing.driver=raw"
ok 'info of an image by options' xdisk info --image-opts "$top"
said 'names the file' '^image: over$'
ok 'check of one' xdisk check --image-opts "$top"
ok 'map of one' xdisk map --image-opts driver=raw,file.filename=plain
rc 1 'read-only is' xdisk io --image-opts -c 'write 0 1' \
	driver=raw,file.filename=plain,read-only=on
ok 'cache modes, discard' xdisk io --image-opts -c 'discard 0 64k' \
	driver=raw,file.filename=plain,cache.direct=on,discard=unmap

refused() { rc 1 "refused: $1" xdisk info --image-opts "$2" && said "$1: said" "$3"; }

refused 'an unknown name' "$top,lazy=on" "option 'lazy' "
refused 'one below' "$top,backing.cache.direct=on" "option 'backing.cache.direct'"
refused 'an unknown protocol' driver=raw,file.driver=nbd,file.filename=plain nbd
refused 'no file' driver=raw file.filename
refused 'a secret for a raw image' \
	driver=raw,file.filename=plain,encrypt.key-secret=s encrypt.key-secret
refused 'neither on nor off' "$top,read-only=maybe" maybe

printf secret > s.txt
ok 'secrets' xdisk info -f raw --object secret,id=a,data=x \
	--object secret,id=b,file=s.txt \
	--object secret,id=c,data=c2VjcmV0,format=base64 plain
bad()
{
	rc 1 "bad secret: $1" xdisk info -f raw --object "$2" plain &&
		said "$1: said" "$3"
}
bad 'no id' secret,data=x "'id'"
bad 'neither data nor file' secret,id=a "'file' or 'data'"
bad 'both' secret,id=a,data=x,file=s.txt exclusive
bad 'no such file' secret,id=a,file=none "'none'"
bad 'no base64' secret,id=a,data=x..,format=base64 base64
bad 'unknown property' secret,id=a,data=x,keyid=y keyid
bad 'unknown object' tls-creds-x509,id=a tls-creds-x509
rc 1 'the same id twice' xdisk info -f raw --object secret,id=a,data=x \
	--object secret,id=a,data=y plain
finish
