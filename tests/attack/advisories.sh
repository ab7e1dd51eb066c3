# SPDX-License-Identifier: LGPL-2.1-or-later
# advisories.sh: what tests/attack/advisories says.
#
#	advisory_title ADVISORY		it, and what it is about
#	about [ADVISORY]		the group of checks from here on
#	advisory_cases ADVISORY		who plays it
#	advisory_of CASE		which one it plays; nothing: none

advisories=$srcdir/tests/attack/advisories

advisory_title() {
	sed -n "s/^\($1\) \(.*\)/\1 (\2)/p" "$advisories"
}

about() {
	group "$(advisory_title "$1")"
}

advisory_cases() {
	awk -v this="$1" '/^\t/ { if (on) print; next } { on = $1 == this }' \
		"$advisories"
}

advisory_of() {
	awk -v this="$1" '!/^\t/ { advisory = $1; next }
		{ for (i = 1; i <= NF; i++) if ($i == this) print advisory }' \
		"$advisories"
}
