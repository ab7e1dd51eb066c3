#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The rooms of ARCHITECTURE.md are those of the tree, and nobody reaches through
# a wall; and would it be seen if somebody did?
. "${srcdir:-.}/tests/functional/tap.sh"
walls=$srcdir/tests/walls/walls.py

# A tree with one wrong thing in it, all else being links to the real one.
spoilt() {
	rm -rf "$T/tree" && mkdir "$T/tree" || return
	for part in ARCHITECTURE.md common io image blkif nbd xlcfg backend tool; do
		cp -r "$srcdir/$part" "$T/tree/" || return
	done
	find "$T/tree" -name '*.o' -delete
}

# breach WORDS...: it fails, and one line says all of these.
breach() {
	python3 "$walls" "$T/tree" "${objects:-$builddir}" >"$T/said" &&
		{ echo "nothing was found"; return 1; }
	grep -e "$1" "$T/said" | grep -e "$2" | grep -e "$3" && return
	cat "$T/said"
	return 1
}

wrong_include() {
	spoilt &&
	sed -i '5i #include "image/image.h"' "$T/tree/common/size.c" &&
	breach '^common/size.c:5:' 'image/image.h' 'common may not use image$'
}

upward_include() {
	spoilt &&
	sed -i '9i #include "image/qcow2/core/qcow2.h"' "$T/tree/image/image.c" &&
	breach '^image/image.c:9:' 'qcow2.h' 'image may not use image/qcow2/core$'
}

relative_include() {
	spoilt && sed -i '5i #include "size.h"' "$T/tree/common/size.c" &&
	breach '^common/size.c:5:' '"size.h"' 'not a path from the top$'
}

# It declares the function by itself, so that no include tells.
wrong_call() {
	spoilt || return
	objects=$T/objects
	mkdir -p "$objects/common" "$objects/image"
	printf 'void image_close(void);\nvoid sneak(void);\n%s\n' \
		'void sneak(void) { image_close(); }' >"$T/tree/common/sneak.c"
	printf 'void image_close(void);\nvoid image_close(void) { }\n' \
		>"$T/image.c"
	${CC:-cc} -c -o "$objects/common/sneak.o" "$T/tree/common/sneak.c" &&
	${CC:-cc} -c -o "$objects/image/image.o" "$T/image.c" &&
	breach '^common/sneak.c:' 'image_close() of image/image.c' \
		'common may not use image$'
	wrong_call=$?
	objects=
	return $wrong_call
}

name_twice() {
	spoilt && printf '\nstatic int add_list(void)\n{\n\treturn 0;\n}\n' |
		tee -a "$T/tree/common/size.c" >>"$T/tree/io/loop.c" &&
	breach '^io/loop.c:' 'add_list()' 'common/size.c'
}

no_room() {
	spoilt && mkdir "$T/tree/tool/attic" &&
	cp "$srcdir/common/list.h" "$T/tree/tool/attic/" &&
	breach '^tool/attic/list.h:' 'is in no room' .
}

too_many_files() {
	spoilt || return
	for n in $(seq 40); do
		cp "$srcdir/common/list.h" "$T/tree/common/list$n.h" || return
	done
	breach '^common:' 'files, more than' .
}

uphill_table() {
	spoilt && sed -i 's/^    common:.*/    common: image/' \
		"$T/tree/ARCHITECTURE.md" &&
	breach '^ARCHITECTURE.md:' 'common may use image' 'not one of the rooms above'
}

ok "no include and no call goes through a wall" \
	python3 "$walls" "$srcdir" "$builddir"
ok "an include of a room that is not allowed is seen" wrong_include
ok "an include of a room above is seen" upward_include
ok "an include that is no path from the top is seen" relative_include
ok "a call without an include is seen" wrong_call
ok "two static functions of one name are seen" name_twice
ok "a file in no room is seen" no_room
ok "a folder with too many files is seen" too_many_files
ok "a table that is not in order is seen" uphill_table
finish
