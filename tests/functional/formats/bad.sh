#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Malformed images of the formats other than qcow2: each is refused, with a
# reason, in bounded time and memory.
. "${srcdir:=.}/tests/functional/formats/lib.sh"
. "$srcdir/tests/attack/advisories.sh"

noise raw 2000000 1
truncate -s 2000384 raw
truncate -s 300k raw2 && dd if=raw of=raw2 conv=notrunc status=none
for format in vdi vpc vmdk qed qcow vhdx parallels; do
	qemu-img create -q -f $format $([ $format = vhdx ] &&
		echo -o block_size=1M) good.$format 5M
	qemu-io -f $format -c 'write -P 1 0 64k' good.$format > /dev/null
done
for format in bochs cloop dmg; do
	python3 "$srcdir/tests/functional/formats/mkimage.py" \
		${format/bochs/bochs2} raw good.$format
done
python3 "$srcdir/tests/functional/formats/mkbadformats.py" . || exit 99

limited()
{
	(
		sanitized || ulimit -v 700000
		exec timeout -s KILL 20 ${WRAP:-} "$builddir/tool/xdisk" "$@"
	) < /dev/null 2>&1
}

refused()
{
	local file=$1 format=$2 said=$3 status

	limited io -r -f "$format" -c 'read 0 4k' "$file" > said
	status=$?
	limited check -f "$format" "$file" > check
	case $? in
	0 | 1 | 2 | 63) ;;
	*) echo "check:"; cat check; return 1 ;;
	esac
	cat said
	[ "$status" = 1 ] || { echo "status $status"; return 1; }
	[ "$said" = - ] || grep -q -e "$said" said
}

while read -r file format said; do
	about "$(advisory_of "${file%.bad}")"
	ok "$file: $said" refused "$file" "$format" "$said"
done < list

group 'found by the check, too'
for file in vdi-entry vmdk-table vmdk-entry qed-l2 parallels-entry; do
	rc 2 "check finds $file" limited check -f ${file%-*} $file.bad
done
finish
