# SPDX-License-Identifier: LGPL-2.1-or-later
# What build-lab and run-lab share: where things are, and how to give up.
# Sourced by bash, never run.

LAB_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
XENLAB_CACHE=${XENLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xdiskd-xenlab}

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

# copy_libraries TREE [SEARCH-PATH]: put beside the programs in TREE every shared
# library they load, from SEARCH-PATH first and from this machine.
copy_libraries() {
	local tree=$1 lib
	find "$tree" -type f -perm -u+x ! -name '*.ko' -print |
		while read -r program; do
			LD_LIBRARY_PATH=${2-} ldd "$program" 2>/dev/null || :
		done | sort -u >"$tree.ldd"
	if grep 'not found' "$tree.ldd" >&2; then
		die "this machine lacks the libraries above"
	fi
	mkdir -p "$tree/lib64" "$tree/usr/lib/x86_64-linux-gnu"
	sed -n 's,^\(.* => \)\?[[:space:]]*\(/[^ ]*\) (0x.*,\2,p' "$tree.ldd" |
		sort -u |
		while read -r lib; do
			case $lib in
			*/ld-linux*) cp -L "$lib" "$tree/lib64/" ;;
			*) cp -L "$lib" "$tree/usr/lib/x86_64-linux-gnu/" ;;
			esac
		done
	rm -f "$tree.ldd"
}
