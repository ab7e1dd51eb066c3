# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh: sourced by the tests of the formats other than qcow2.
#
#	noise FILE SIZE SEED	makes FILE, SIZE bytes of data and holes
#	like_qemu IMAGE FORMAT	info, map and check say what qemu-img says
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io jq python3

noise()
{
	python3 - "$@" <<- 'END'
	import random, sys
	name, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
	random.seed(seed)
	with open(name, 'wb') as f:
	    for _ in range(12):
	        f.seek(random.randrange(size) & ~511)
	        f.write(random.randbytes(random.randrange(1, 300000)))
	    f.seek(max(0, size - 700))
	    f.write(b'the end' * 100)
	    f.truncate(size)
	END
}

same_info()
{
	diff <(qemu-img info -f "$2" --output=json "$1" | info_json) \
		<(xdisk info -f "$2" --output=json "$1" | info_json) &&
		diff <(qemu-img info -f "$2" "$1" | info_words) \
			<(xdisk info -f "$2" "$1" | info_words)
}

# qemu-img does not look for holes in vhdx.
same_map()
{
	[ "$2" != vhdx ] || return 0
	diff <(qemu-img map -f "$2" --output=json "$1" | jq -c '.[]') \
		<(xdisk map -f "$2" --output=json "$1" | map_words | jq -c '.[]')
}

# It checks no images of some formats: ours finds nothing wrong with them.
same_check()
{
	local ours theirs

	case $2 in
	qcow | vpc) echo "No errors were found on the image."; true ;;
	*) qemu-img check -f "$2" "$1" ;;
	esac > check.theirs 2>&1
	theirs=$?
	xdisk check -f "$2" "$1" > check.ours 2>&1
	ours=$?
	[ $ours = $theirs ] || echo "check: status $ours, theirs $theirs"
	diff <(grep -v '^qemu-img' check.theirs) <(grep -v '^xdisk' check.ours) &&
		[ $ours = $theirs ]
}

like_qemu() { same_info "$@" && same_map "$@" && same_check "$@"; }
