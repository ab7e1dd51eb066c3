# SPDX-License-Identifier: LGPL-2.1-or-later
# tap.sh: sourced by the functional tests, which report in TAP.
#
#	ok DESCRIPTION COMMAND...	the command must succeed
#	rc N DESCRIPTION COMMAND...	the command must exit with status N
#	said DESCRIPTION PATTERN	the last command must have printed that
#	says PATTERN			the same, described by the pattern
#	is DESCRIPTION GOT WANTED	two strings must be equal
#	group [TEXT]			what the checks from here on are about: it
#					stands before their descriptions
#	requires COMMAND...		skips the whole test where one is missing
#	finish				prints the plan; the last line of a test
#
# A test runs in $T, a directory of its own that goes when it ends. What a failed
# command printed follows as TAP diagnostics.
#
#	xdisk ARGUMENTS...		the tool; $WRAP may hold a command to run
#					it under (valgrind)
#	model ARGUMENTS...		the random model test
#	in_kib KIB COMMAND...		with so much address space at most; without
#					the limit under valgrind and sanitizers,
#					which take terabytes for themselves
#	holds IMAGE FORMAT RAW		both we and qemu-img read RAW's bytes
#					out of IMAGE
#	clean IMAGE			both find nothing wrong in a qcow2 image
#
# We say what the newest qemu-img says; against an older one:
#
#	qemu_since VERSION		is this machine's qemu-img as new as that?
#	map_words			filter: what map says in JSON, without what
#					this qemu-img does not say yet
#	info_words, info_json		filters: the same of info
#	list_words			filter: snapshots, in one layout
#	number_words			filter: what is said of a wrong number, as
#					far as this qemu-img has the same words

set -u
export LC_ALL=C TZ=UTC
: "${srcdir:=$PWD}" "${builddir:=$PWD}"
# A test of what is on the disk, not of the disk, says IN_MEMORY=yes beforehand.
if [ "${IN_MEMORY:-}" ] && [ -w /dev/shm ] &&
	[ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 1000000 ]; then
	TMPDIR=/dev/shm
fi
T=$(mktemp -d "${TMPDIR:-/tmp}/xdisk-test.XXXXXX") || exit 99
trap 'rm -rf "$T"' EXIT
cd "$T" || exit 99
tap_count=0
tap_failed=0
tap_group=

xdisk() { ${WRAP:-} "$builddir/tool/xdisk" "$@"; }

model() { ${WRAP:-} "$builddir/tests/functional/model" "$@"; }

sanitized()
{
	[ "${WRAP:-}" ] || grep -q __asan_init "$builddir/tool/xdisk"
}

in_kib()
{
	local kib=$1

	shift
	(sanitized || ulimit -v "$kib" && "$@")
}

holds()
{
	model -n 0 "$1" "$2" "$3" && qemu-img compare -f raw -F "$2" "$3" "$1"
}

clean()
{
	xdisk check -f qcow2 "$1" && qemu-img check -f qcow2 "$1"
}

qemu_since()
{
	: "${qemu_version:=$(qemu-img --version |
		sed -n 's/^qemu-img version \([0-9.]*\).*/\1/p')}"
	printf '%s\n' "$1" "$qemu_version" | sort -CV
}

map_words()
{
	if qemu_since 8.2; then
		cat
	else
		jq 'map(del(.compressed))'
	fi
}

info_words()
{
	if qemu_since 9.1; then
		cat
	else
		awk '/^Child node/ { child = 1; next } !/^    / { child = 0 }
			!child && !/detached header/' | list_words
	fi
}

info_json()
{
	if qemu_since 9.1; then
		jq -S .
	else
		jq -S 'walk(if type == "object" then
			del(.children, ."detached-header") else . end)'
	fi
}

list_words()
{
	if qemu_since 9.1; then
		cat
	else
		sed 's/VM_SIZE/VM SIZE/; s/VM_CLOCK/VM CLOCK/; s/  */ /g
			s/ 00\(..:..:..\....\)/ \1/; s/ --$//; s/ $//'
	fi
}

number_words()
{
	if qemu_since 10.0; then
		cat
	else
		sed 's/step_size/step size/; /: kilobytes, megabytes, /d
			s/\(: Invalid [a-z ]* specified\).*/\1/'
	fi
}

group() { tap_group=${1:+$1: }; }

tap_result()
{
	local status=$1 text=$tap_group$2

	tap_count=$((tap_count + 1))
	if [ "$status" -eq 0 ]; then
		echo "ok $tap_count - $text"
	else
		echo "not ok $tap_count - $text"
		tap_failed=1
	fi
	return "$status"
}

tap_log() { sed 's/^/#   /' "$T/.log"; }

rc()
{
	local want=$1 text=$2 got

	shift 2
	"$@" > "$T/.log" 2>&1 < /dev/null
	got=$?
	if [ "$got" -eq "$want" ]; then
		tap_result 0 "$text"
	else
		tap_result 1 "$text" || :
		echo "#   status $got, wanted $want: $*"
		tap_log
		return 1
	fi
}

ok() { rc 0 "$@"; }

said()
{
	if grep -q -e "$2" "$T/.log"; then
		tap_result 0 "$1"
	else
		tap_result 1 "$1" || :
		echo "#   wanted: $2"
		tap_log
		return 1
	fi
}

says() { said "says: $1" "$1"; }

is()
{
	if [ "$2" = "$3" ]; then
		tap_result 0 "$1"
	else
		tap_result 1 "$1" || :
		printf 'got: %s\nwanted: %s\n' "$2" "$3" | sed 's/^/#   /'
		return 1
	fi
}

requires()
{
	local command

	for command; do
		if ! command -v "$command" > /dev/null; then
			echo "1..0 # SKIP $command is not installed"
			exit 0
		fi
	done
}

finish()
{
	echo "1..$tap_count"
	exit "$tap_failed"
}
