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

group 'nodes on nodes'
opt() { local what=$1 opts=$2; shift 2; ok "$what" xdisk io --image-opts "$@" "$opts"; }
xdisk create -q -f qcow2 inner 2M
opt 'a format on a format: writing' \
	driver=raw,file.driver=qcow2,file.file.driver=file,file.file.filename=inner \
	-c 'write -P 7 1M 64k'
opt 'a raw image on a described one reads what qcow2 has' \
	driver=raw,file.driver=qcow2,file.file.filename=inner \
	-c 'read -P 7 1M 64k' -c 'read -P 0 0 1M'
xdisk create -q -f raw store 8M
xdisk create -q -f qcow2 outer 16M
xdisk create -q -f qcow2 -o cluster_size=4k inner 1M
ok 'the target of convert by options' xdisk convert -n -f raw -O raw \
	--target-image-opts outer \
	driver=raw,file.driver=qcow2,file.file.filename=inner
twice=driver=qcow2,file.driver=qcow2,file.file.filename=inner
opt 'an inner image grows where the outer one needs it' "$twice" \
	-c 'write -P 9 0 3M' -c 'write -P 8 12M 1M'
ok 'and is sound' clean inner
ok 'and so is what is in it' xdisk check --image-opts "$twice"
opt 'which is what was written' "$twice" -c 'read -P 9 0 3M' \
	-c 'read -P 0 3M 9M' -c 'read -P 8 12M 1M'
ok 'qemu-io sees the same' qemu-io --image-opts -c 'read -P 9 0 3M' \
	-c 'read -P 8 12M 1M' "$twice"
said 'without a mismatch' '1 MiB'

xdisk create -q -f qcow2 -b base,x -F qcow2 upper 1M
ok 'all of a chain is the file of what stands on it' xdisk convert -O raw \
	--image-opts driver=raw,file.driver=qcow2,file.file.filename=upper low
ok 'its backing image too' xdisk io -f raw -c 'read -P 3 0 64k' low
ok 'through blkdebug as well' xdisk compare -f raw -F raw \
	low "json:{'driver':'blkdebug','image':{'driver':'qcow2',$(
	)'file.filename':'upper'}}"
opt 'a protocol alone is raw bytes' driver=file,filename=store \
	-c 'write -P 1 0 1M' -c 'write -P 2 1M 1M'
opt 'a part of a file' driver=raw,offset=1M,size=1M,file.filename=store \
	-c 'read -P 2 0 1M' -c 'write -P 4 512k 512k' -c length
said 'is as long as it was said' '^1 MiB'
rc 1 'beyond it there is nothing' xdisk io --image-opts -c 'read 1M 1' \
	driver=raw,offset=1M,size=1M,file.filename=store
opt 'the rest of a file' driver=raw,offset=1M,file.filename=store \
	-c 'read -P 4 512k 512k' -c 'read -P 0 1M 6M'
opt 'null-co of a size' driver=null-co,size=64k,read-zeroes=on \
	-c 'read -P 0 0 64k' -c length
said 'has that size' '^64 KiB'
opt 'a backing image that is a protocol' \
	"$top,backing.driver=null-co,backing.size=1M" -c 'read -P 0 0 1M'
ok 'a name besides the options' xdisk io -c \
	'open -o driver=qcow2,lazy-refcounts=on,overlap-check=all base,x' \
	-c 'read -P 3 0 64k'
ok 'what cannot matter is allowed' xdisk info --image-opts "$top,$(
	)node-name=a,file.locking=auto,detect-zeroes=off,$(
	)auto-read-only=on,pass-discard-other=off,backing.read-only=on"

# ---- json: ----
json() { local what=$1 name=$2; shift 2; ok "json: $what" xdisk io "$@" "$name"; }
json 'both quotes, both ways to nest' \
	"json:{'driver':'qcow2','file.filename':'base,x','file':{\"driver\":\"file\"}}" \
	-c 'read -P 3 0 64k'
json 'numbers, true' \
	'json:{"driver":"null-co","size":65536,"read-only":true}' -c length
said 'mean what they say' '^64 KiB'
json 'null takes the backing image away' \
	'json:{"driver":"qcow2","file":{"filename":"over"},"backing":null}' \
	-c 'read -P 0 0 64k'
ok 'options before the name win' xdisk io -c \
	'open -o driver=qcow2 json:{"driver":"raw","file.filename":"base,x"}' \
	-c 'read -P 3 0 64k'
ok 'json: of info' xdisk info 'json:{"driver":"qcow2","file.filename":"base,x"}'
said 'names the file' '^image: base,x$'
ok 'json: of convert' xdisk convert -O raw \
	"json:{'driver':'qcow2','file.filename':'base,x'}" raw.out
ok 'json: of compare' xdisk compare -F raw \
	"json:{'driver':'qcow2','file.filename':'base,x'}" raw.out
mkdir d && xdisk create -q -f qcow2 -u -F raw -b 'json:{"driver":"null-co"}' d/j 1M
rc 1 'json: in an image opens nothing' xdisk io -f qcow2 -c 'read 0 1' d/j
said 'and is told' 'only plain files'
xdisk create -q -f qcow2 -u -F raw -b 'file:json:{"driver":"null-co"}' j 1M
rc 1 'nor does it behind file:' xdisk io -f qcow2 -c 'read 0 1' j
rc 1 'nor for info' xdisk info -f qcow2 --backing-chain j
said 'which looks for a file' './json:'
bad_json() { rc 1 "refused: $1" xdisk info "$2" && said "$1: said" "$3"; }
bad_json 'no JSON' 'json:{' JSON
bad_json 'no object' 'json:[1]' object
bad_json 'twice the same' 'json:{"driver":"raw","driver":"raw"}' JSON
bad_json 'null elsewhere' 'json:{"driver":null,"file.filename":"plain"}' driver
ok 'an image on a described one is made' xdisk create -f qcow2 -F raw \
	-b 'json:{"driver":"null-co","size":65536}' k
said 'and it is told that it is not opened' "on an image's word"
rc 1 'nor is it' xdisk io -f qcow2 -c 'read 0 1' k
ok 'but by options' xdisk io --image-opts -c 'read -P 0 0 64k' -c length \
	driver=qcow2,file.filename=k,backing.driver=null-co,backing.size=64k
said 'in its size' '^64 KiB'
cp base,x base
desc='json:{"driver":"qcow2","file":{"driver":"file","filename":"'$T/base'"}}'
xdisk create -q -f qcow2 -b base -F qcow2 rb 1M
xdisk io -f qcow2 -c 'write -P 6 512k 64k' rb > /dev/null
cp rb rb.before
ok 'rebase onto a described image' xdisk rebase -f qcow2 -F qcow2 -b "$desc" rb
ok 'changes no byte of the disk' qemu-img compare -f qcow2 -F qcow2 rb.before rb
is 'and records it' "$(xdisk info -f qcow2 --output=json rb |
	grep -c '"backing-filename": "json:')" 1
ok 'convert onto a described image' xdisk convert -O qcow2 -f qcow2 -F qcow2 \
	-B "$desc" rb.before cb
ok 'is the same' qemu-img compare -f qcow2 -F qcow2 rb.before cb
rc 1 'a described backing image that is not there' xdisk rebase -f qcow2 \
	-b 'json:{"driver":"qcow2","file.filename":"nowhere"}' rb
rc 1 'nothing is created there' xdisk create -f raw 'json:{"a":"b"}' 1M
rc 1 'nor there' xdisk create -f raw blkdebug::neu 1M
rc 1 'nor by convert' xdisk convert -f raw -O raw plain 'json:{"a":"b"}'

refused() { rc 1 "refused: $1" xdisk info --image-opts "$2" && said "$1: said" "$3"; }

refused 'an unknown name' "$top,lazy=on" "option 'lazy' "
refused 'one below' "$top,backing.cache.direct=on" "option 'backing.cache.direct'"
refused 'an unknown protocol' driver=raw,file.driver=nbd,file.filename=plain nbd
refused 'no file' driver=raw file.filename
refused 'an unknown driver' driver=qcow9,file.filename=plain qcow9
refused 'no regular file' driver=file,filename=/dev/null 'regular file'
refused 'no device' driver=host_device,filename=plain 'block device'
refused 'more than there is' driver=raw,size=9T,file.filename=plain 'actual size'
refused 'an odd size' driver=raw,size=1000,file.filename=plain 'multiple of 512'
refused 'two names' driver=raw,file.filename=plain,file.file.filename=x 'file'
refused 'a secret for a raw image' \
	driver=raw,file.filename=plain,encrypt.key-secret=s encrypt.key-secret
refused 'neither on nor off' "$top,read-only=maybe" maybe

# as deep as a graph may be, and deeper
repeat() { printf "%.s$2" $(seq "$1"); }
nested() { echo "json:$(repeat "$1" "$2")$3$(repeat "$1" '}')"; }
bottom='{"driver":"file","filename":"deep"}'
truncate -s 1M deep
xdisk create -q -f qcow2 over-deep 1M
xdisk create -q -f qcow2 over-flat 1M
deep()
{
	xdisk io -c 'write -P 5 100 5000' -c 'read -P 5 100 5000' \
		-c 'write -z 0 64k' -c 'discard 0 1M' -c flush "$@"
}
ok '64 images, one the file of another' deep \
	"$(nested 64 '{"driver":"raw","file":' "$bottom")"
ok '63 blkdebugs' deep -f raw "$(repeat 63 blkdebug::)deep"
ok 'as a new backing image' xdisk rebase -q -u -f qcow2 -F raw \
	-b "$(repeat 63 blkdebug::)deep" over-deep
rc 1 '65 images' deep "$(nested 65 '{"driver":"raw","file":' "$bottom")"
said 'are said to be too many' 'go down 64 images at most'
rc 1 '3000 blkdebugs' deep -f raw "$(repeat 3000 blkdebug::)deep"
said 'are said to be too many' 'go down 64 images at most'
rc 1 '1000 brackets' xdisk info "$(nested 1000 '{"a":' 1)"
said 'are said to be too many' 'more than 80 brackets in one another'
rc 1 'for a backing image, too' \
	xdisk rebase -f qcow2 -F raw -b "$(nested 1000 '{"a":' 1)" \
	over-flat
said 'are said to be too many' 'more than 80 brackets in one another'
ok 'those in a string are none' xdisk info \
	"json:{\"driver\":\"raw\",\"file\":{\"filename\":\"deep\",
		\"node-name\":\"$(repeat 99 '{')\"}}"

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
