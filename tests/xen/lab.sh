# SPDX-License-Identifier: LGPL-2.1-or-later
# What build-lab and run-lab share: where things are, and how to give up.
# Sourced by bash, never run.

LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$LAB_SRC/../debian/release.sh"

# The emulated host's release of Debian, and the folder of its parts.
XENLAB_CACHE=${XENLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xdiskd-xenlab}
use_host() {
	export XENLAB_HOST=$1
	lab=$XENLAB_CACHE/$1
}
use_host "${XENLAB_HOST:-$(machine_release)}"

say() {
	printf 'xen lab: %s\n' "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# need "debian package" command...: stop with a sentence that can be acted on.
need() {
	local package=$1 tool
	shift
	for tool; do
		command -v "$tool" >/dev/null ||
			die "$tool is missing (Debian: apt-get install $package)"
	done
}

# The folders of unpacked packages that hold libraries, as a search path.
library_path() {
	find "$1"/usr/lib/ -name 'lib*.so*' -printf '%h\n' | sort -u | paste -sd:
}

# in_root ROOT command...: run a program of unpacked packages with their own
# loader and libraries, whichever release this machine has.
in_root() {
	local root=$1
	shift
	"$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --inhibit-cache \
		--library-path "$(library_path "$root")" "$@"
}

# copy_libraries TREE ROOT: put beside the programs in TREE every shared library
# they load from the unpacked packages in ROOT; ROOT / is this machine.
copy_libraries() {
	local tree=$1 root=${2%/} lib
	find "$tree" -type f -perm -u+x ! -name '*.ko' -print |
		while read -r program; do
			if [ -n "$root" ]; then
				in_root "$root" --list "$program"
			else
				ldd "$program"
			fi 2>/dev/null || :
		done | sort -u >"$tree.ldd"
	if grep 'not found' "$tree.ldd" >&2; then
		die "no package here has the libraries above"
	fi
	mkdir -p "$tree/lib64" "$tree/usr/lib/x86_64-linux-gnu"
	sed -n 's,^\(.* => \)\?[[:space:]]*\(/[^ ]*\) (0x.*,\2,p' "$tree.ldd" |
		sort -u |
		while read -r lib; do
			case $lib in
			*/ld-linux*) cp -L "$lib" "$tree/lib64/" ;;
			"$root"/*) cp -L "$lib" "$tree/usr/lib/x86_64-linux-gnu/" ;;
			*) die "$lib was taken from this machine, not from $root" ;;
			esac
		done
	rm -f "$tree.ldd"
}
