# SPDX-License-Identifier: LGPL-2.1-or-later
# lib.sh: sourced with FIRST and LAST set: what info, check, io and check -r all
# make of the malformed images FIRST to LAST of mkbad.py, in bounded time
# and memory.
#
# We must be at least as strict as qemu-img, and where we have written to or
# repaired an image it must not like it less than before.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3

python3 "$srcdir/tests/functional/mkbad.py" . "$FIRST" "$LAST" > /dev/null ||
	exit 99

# Runs a verb of ours: 0 or a status that it is documented to have, no signal.
limited()
{
	local status

	(
		sanitized || ulimit -v 700000
		exec timeout -s KILL "${TIMEOUT:-20}" ${WRAP:-} \
			"$builddir/tool/xdisk" "$@"
	) > .out 2>&1 < /dev/null
	status=$?
	case $status in
	0 | 1 | 2 | 3 | 63) ;;
	*) bad="$bad; $1 ended with $status" ;;
	esac
	return $status
}

their_check()
{
	case $1 in
	47-*) return 1 ;;		# it does not come back from that one
	esac
	timeout 10 qemu-img check -f qcow2 w.qcow2 > /dev/null 2>&1
}

# How bad a status of check is: it could not look, corrupt, leaks, nothing.
badness()
{
	case $1 in
	0) echo 0 ;;
	3) echo 1 ;;
	2) echo 2 ;;
	*) echo 3 ;;
	esac
}

# Images that only qemu-img cannot look at: what it misses is outside of them.
elsewhere()
{
	case $1 in
	47-* | 48-* | 88-* | 91-* | *-data-file-*) return 0 ;;
	esac
	return 1
}

# Can the repaired image be written to?
usable()
{
	limited io -f qcow2 -c 'write -P 7 0 64k' -c 'read -P 7 0 64k' w.qcow2
}

# Are these the statuses of check and check -r all that are on record?
verdicts()
{
	local want

	want=$(sed -n "s/^$1 //p" "$srcdir/tests/functional/malformed/verdicts")
	[ -z "$want" ] || [ "$want" = "$2 $3" ] ||
		bad="$bad; check and check -r all say $2 $3, wanted $want"
}

try()
{
	local name=$1 info check theirs_before theirs after repaired

	bad=
	cp "$name" w.qcow2
	their_check "$name"
	theirs_before=$?
	limited info -f qcow2 "$name"
	info=$?
	limited check -f qcow2 "$name"
	check=$?
	[ $info -eq 0 ] || [ $check -ne 0 ] ||
		bad="$bad; info refuses it, check finds nothing"
	elsewhere "$name" ||
		[ "$(badness $check)" -ge "$(badness $theirs_before)" ] ||
		[ $check -eq 2 ] ||
		bad="$bad; check says $check, qemu-img says $theirs_before"

	limited io -r -f qcow2 -c 'read 0 64k' "$name"
	limited io -f qcow2 -c 'write -P 5 0 64k' -c 'write -P 6 2M 64k' w.qcow2
	their_check "$name"
	theirs=$?
	[ "$(badness $theirs)" -le "$(badness $theirs_before)" ] ||
		bad="$bad; after a write qemu-img says $theirs, not $theirs_before"
	limited check -f qcow2 w.qcow2
	after=$?
	[ "$(badness $after)" -le "$(badness $check)" ] ||
		bad="$bad; after a write check says $after, not $check"

	cp "$name" w.qcow2
	limited check -r all -f qcow2 w.qcow2
	after=$?
	repaired=$after
	[ $after -ne 3 ] || bad="$bad; repaired, but leaks are left"
	their_check "$name"
	theirs=$?
	[ $after -ne 0 ] || [ $theirs -eq 0 ] || elsewhere "$name" ||
		bad="$bad; repaired, but qemu-img says $theirs"
	[ $after -ne 0 ] || elsewhere "$name" || usable ||
		bad="$bad; repaired, but cannot be used"
	verdicts "${name%.qcow2}" "$check" "$repaired"
	[ -z "$bad" ] || { echo "${bad#; }"; return 1; }
}

for image in [0-9]*.qcow2; do
	ok "$image" try "$image"
done
finish
