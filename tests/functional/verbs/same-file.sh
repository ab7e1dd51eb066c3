#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a verb is to make or to write must not be a file that it reads from, by
# whatever name and however far below. Refused before anything is touched.
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img python3

# Names, sizes, link targets and contents of all there is.
state()
{
	find . -mindepth 1 ! -name '.*' -printf '%p %y %s %l\n' | sort
	find . -type f ! -name '.*' | sort | xargs sha256sum
}

# refused WHAT PATTERN COMMAND...: with that reason, and all is as it was
refused()
{
	local what=$1 pattern=$2 before after

	shift 2
	before=$(state)
	rc 1 "$what is refused" "$@"
	said '... by names' "$pattern"
	after=$(state)
	is '... all files are as they were' "$after" "$before"
}

# overwritten TARGET FILE
overwritten()
{
	echo "'$1' would be overwritten, but it is the file '\(.*/\)\?$2'"
}

secret=secret,id=s,data=geheim
json='json:{"driver":"qcow2","file":{"driver":"blkdebug",
	"image":{"driver":"file","filename":"o"}}}'
{
	head -c 3M /dev/urandom > bottom.raw
	truncate -s 4M bottom.raw
	xdisk create -q -f qcow2 -b bottom.raw -F raw o
	xdisk io -f qcow2 -c 'write -P 5 0 1M' o
	xdisk create -q -f qcow2 -b o -F qcow2 m.qcow2
	xdisk create -q -f qcow2 -b m.qcow2 -F qcow2 t.qcow2
	xdisk create -q --object $secret -f qcow2 -b o -F qcow2 \
		-o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=1 \
		e.qcow2
	xdisk create -q --object $secret -f luks -o key-secret=s,iter-time=1 \
		l.luks 4M
	xdisk convert -q -f qcow2 -O qcow2 -o data_file=d.raw o d.qcow2
	qemu-img convert -q -f qcow2 -O vmdk -o subformat=monolithicFlat o v.vmdk
	qemu-img convert -q -f raw -O vpc -o subformat=dynamic,force_size \
		bottom.raw parent.vpc
	cp bottom.raw child.raw
	printf x | dd of=child.raw conv=notrunc status=none
	python3 "$srcdir/tests/functional/mkvhdchild.py" parent.vpc bottom.raw \
		child.raw child.vpc
	ln -s o soft
	ln o hard
	mkdir sub
	ln -s ../soft sub/softer
} > /dev/null
ok 'the parts are there' test -s v-flat.vmdk -a -s d.raw -a -s child.vpc

group 'the routes from an image down to a file: image, format, file, by name'
routes()
{
	cat <<- 'END'
	o qcow2 o o
	o qcow2 soft o
	o qcow2 hard o
	o qcow2 sub/softer o
	o qcow2 file:o o
	soft qcow2 hard soft
	m.qcow2 qcow2 o o
	t.qcow2 qcow2 hard o
	t.qcow2 qcow2 m.qcow2 m.qcow2
	t.qcow2 qcow2 bottom.raw bottom.raw
	d.qcow2 qcow2 d.raw d.raw
	d.qcow2 qcow2 d.qcow2 d.qcow2
	v.vmdk vmdk v-flat.vmdk v-flat.vmdk
	v.vmdk vmdk v.vmdk v.vmdk
	child.vpc vpc parent.vpc parent.vpc
	END
}

while read -r image format target file; do
	said=$(overwritten "${target#file:}" "$file")
	refused "create $target over $image" "$said" \
		xdisk create -f qcow2 -b "$PWD/$image" -F "$format" "$target"
	refused "convert $image to $target" "$said" \
		xdisk convert -f "$format" -O qcow2 "$image" "$target"
	refused "convert -U $image to $target" "$said" \
		xdisk convert -U -f "$format" "$image" "$target"
	refused "convert -n -U $image to $target" "$said" \
		xdisk convert -n -U -f "$format" "$image" "$target"
	refused "dd $image to $target" "$said" \
		xdisk dd -f "$format" -O raw "if=$image" "of=$target"
	refused "dd -U $image to $target" "$said" \
		xdisk dd -U -f "$format" -O qcow2 "if=$image" "of=$target"
done < <(routes)
for format in raw qcow2 vdi vmdk vpc luks; do
	refused "convert -O $format" "$(overwritten soft o)" \
		xdisk convert -U --object $secret -f qcow2 -O $format \
		$([ $format != luks ] || echo -o key-secret=s) t.qcow2 soft
done

group 'create'
create="xdisk create -f qcow2"
refused 'an encrypted one in between' "$(overwritten o o)" \
	$create -b e.qcow2 -F qcow2 o
refused 'LUKS' "$(overwritten l.luks l.luks)" $create -b l.luks -F luks l.luks
refused '-u' "$(overwritten hard o)" $create -u -b m.qcow2 -F qcow2 hard 4M
refused 'from another folder' "$(overwritten sub/softer o)" \
	$create -b ../m.qcow2 -F qcow2 sub/softer 4M
refused 'as an option' "$(overwritten hard o)" \
	$create -o backing_file=o,backing_fmt=qcow2 hard
refused 'json:' "$(overwritten soft o)" $create -b "$json" -F qcow2 soft
refused 'json: and -u' "$(overwritten soft o)" \
	$create -u -b "$json" -F qcow2 soft 4M
refused 'blkdebug:' "$(overwritten soft o)" \
	$create -b blkdebug::o -F qcow2 soft
refused 'blkverify:' "$(overwritten soft o)" \
	$create -b blkverify:bottom.raw:o -F raw soft
refused 'a data file that is the base' "$(overwritten hard o)" \
	$create -b m.qcow2 -F qcow2 -o data_file=hard new
refused 'a data file that is the data file of the base' \
	"$(overwritten d.raw d.raw)" \
	$create -b d.qcow2 -F qcow2 -o data_file=d.raw new
refused 'a data file that is the image' "the data file 'new' is the image" \
	$create -o data_file=new new 4M
ln -s new dangling
refused 'by a link that leads nowhere yet' \
	"the data file 'dangling' is the image" \
	$create -o data_file=dangling new 4M
rm dangling
xdisk create -q -u -f qcow2 -b gone -F qcow2 lost.qcow2 4M
refused 'over what is there, on a chain that cannot be opened' \
	"'o' is there already, and whether the backing file stands on it" \
	$create -b lost.qcow2 -F qcow2 o
ok 'a new file on such a chain' $create -q -b lost.qcow2 -F qcow2 new
ok 'the overlay itself may be made anew' $create -q -b o -F qcow2 m.qcow2
ok 'what has nothing to do with it too' $create -q -b t.qcow2 -F qcow2 new
rm new

group 'convert'
refused 'the second source' "$(overwritten soft o)" \
	xdisk convert -U -f qcow2 d.qcow2 t.qcow2 soft
refused '-B on the target' "$(overwritten soft o)" xdisk convert -f qcow2 \
	-O qcow2 -B m.qcow2 -F qcow2 d.qcow2 soft
refused '-B json: on the target' "$(overwritten soft o)" xdisk convert \
	-f qcow2 -O qcow2 -B "$json" -F qcow2 d.qcow2 soft
refused 'a data file that is below the source' "$(overwritten hard o)" \
	xdisk convert -U -f qcow2 -O qcow2 -o data_file=hard t.qcow2 new
refused 'json: as source' "$(overwritten soft o)" \
	xdisk convert -U "$json" soft
refused '--target-image-opts' "$(overwritten soft o)" xdisk convert -n -U \
	-f qcow2 --target-image-opts t.qcow2 driver=raw,file.filename=soft
refused 'json: as target' "$(overwritten soft o)" xdisk convert -n -U \
	-f qcow2 t.qcow2 'json:{"driver":"raw","file.filename":"soft"}'
refused '-n, where the data file of the target is the source' \
	"'d.qcow2' cannot be written to: the file 'd.raw' belongs to" \
	xdisk convert -n -U -f raw -O qcow2 d.raw d.qcow2
refused '-n, where it is below the source' \
	"'d.qcow2' cannot be written to: the file 'd.raw' belongs to" \
	xdisk convert -n -U --image-opts -O qcow2 driver=raw,file.filename=d.raw \
	d.qcow2
refused 'stdout' "stdout is a file of the source 't.qcow2'" \
	bash -c '"$@" 1<> soft' - "$builddir/tool/xdisk" convert -f qcow2 t.qcow2 -
ok 'a base that both have is only read' bash -e -c '
	x=$1
	$x create -q -f qcow2 -b o -F qcow2 new
	$x convert -n -U -f qcow2 -O qcow2 t.qcow2 new
	$x compare -f qcow2 -F qcow2 t.qcow2 new' - "$builddir/tool/xdisk"
rm new

group 'names that a header is to have'
refused 'rebase onto itself' 'the chain is a circle' \
	xdisk rebase -f qcow2 -b m.qcow2 -F qcow2 m.qcow2
refused 'rebase into a circle' 'the chain is a circle' \
	xdisk rebase -f qcow2 -b t.qcow2 -F qcow2 m.qcow2
refused 'rebase -u onto itself' \
	"'o' cannot stand on 'hard', which is a file of its own" \
	xdisk rebase -u -f qcow2 -b hard -F qcow2 o
refused 'rebase -u into a circle' \
	"'m.qcow2' cannot stand on 't.qcow2', which is read from the file 'm" \
	xdisk rebase -u -f qcow2 -b t.qcow2 -F qcow2 m.qcow2
refused 'rebase -u onto the data file' \
	"'d.qcow2' cannot stand on 'd.raw', which is a file of its own" \
	xdisk rebase -u -f qcow2 -b d.raw -F raw d.qcow2
ok 'rebase -u to what is not there' \
	xdisk rebase -u -f qcow2 -b nowhere -F qcow2 t.qcow2
ok 'and back' xdisk rebase -u -f qcow2 -b m.qcow2 -F qcow2 t.qcow2
for name in t.qcow2 m.qcow2 soft; do
	refused "amend backing_file=$name" "'o' cannot stand on '$name'" \
		xdisk amend -f qcow2 -o backing_file=$name,backing_fmt=qcow2 o
done
ln -s d.qcow2 link
refused 'amend data_file=, the image' \
	"the data file 'link' is the image 'd.qcow2'" \
	xdisk amend -f qcow2 -o data_file=link d.qcow2
rm link
ok 'amend backing_file=' xdisk amend -f qcow2 \
	-o backing_file=m.qcow2,backing_fmt=qcow2 d.qcow2
for name in m.qcow2 hard bottom.raw; do
	refused "amend data_file=$name, of the chain" \
		"'d.qcow2' cannot stand on 'm.qcow2'" \
		xdisk amend -f qcow2 -o data_file=$name d.qcow2
done
ln d.raw d.hard
ok 'amend data_file= to another name of it' \
	xdisk amend -f qcow2 -o data_file=d.hard d.qcow2

group 'verbs that write to what is there'
refused 'rebase onto what the data file is, too' \
	"cannot get the read lock on 'd.raw'" \
	xdisk rebase -f qcow2 -b d.raw -F raw d.qcow2
refused 'serve on a socket of that name' "cannot make the socket 'soft'" \
	xdisk serve -k soft -f qcow2 o
before=$(state)
ok 'measure' xdisk measure -f qcow2 -O qcow2 t.qcow2
is 'changes nothing' "$(state)" "$before"

group 'two nodes of one block device'
dev=
if [ -w /dev/loop-control ] && command -v losetup > /dev/null; then
	cp o disk
	qemu-img rebase -u -f qcow2 -b '' disk
	truncate -s 16M disk
	dev=$(losetup --show -f disk 2> /dev/null)
fi
if [ -z "$dev" ] || ! mknod node b $((0x$(stat -c %t "$dev"))) \
	$((0x$(stat -c %T "$dev"))) || ! head -c 1 node > one; then
	[ -z "$dev" ] || losetup -d "$dev"
	echo "# no block devices here, or no nodes of them"
	finish
fi
trap 'losetup -d "$dev"; rm -rf "$T"' EXIT
rm one
xdisk create -q -f qcow2 -b "$dev" -F qcow2 over.qcow2
for image in "$dev" over.qcow2; do
	refused "create over $image by another node" \
		"$(overwritten node "$dev")" \
		$create -b "$image" -F qcow2 node
	refused "convert $image to another node" "$(overwritten node "$dev")" \
		xdisk convert -f qcow2 -O raw "$image" node
	refused "convert -n $image to another node" \
		"$(overwritten node "$dev")" \
		xdisk convert -n -f qcow2 -O raw "$image" node
	refused "dd $image to another node" "$(overwritten node "$dev")" \
		xdisk dd -f qcow2 -O raw "if=$image" of=node
done
refused 'rebase -u into a circle of nodes' "'$dev' cannot stand on" \
	xdisk rebase -u -f qcow2 -b "$PWD/over.qcow2" -F qcow2 "$dev"
refused 'a data file by another node' "$(overwritten node "$dev")" \
	$create -b over.qcow2 -F qcow2 -o data_file=node new
xdisk create -q -u -f qcow2 -b nowhere -F raw -o data_file="$dev" twice 4M
ln -s "$PWD/node" nowhere
refused 'commit into what is the data file by another node' \
	"another image of the chain stands on the file" \
	xdisk commit -f qcow2 twice
refused 'writing to it' "another image of the chain stands on the file" \
	xdisk io -f qcow2 -c 'write 0 64k' twice
finish
