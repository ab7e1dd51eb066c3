#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The man page knows the options that the verbs know, and no others: those of a
# verb stand in its section or in the one on options of several verbs.
. "${srcdir:=.}/tests/functional/tap.sh"

page=$srcdir/man/xdisk.1.pod

# section NAME: the text below that heading
section()
{
	awk -v name="$1" '/^=head/ { on = substr($0, 8) == name; next } on' "$page"
}

# named: the options that stand in bold in a text, one a line
named()
{
	grep -o 'B<--\?[A-Za-z][A-Za-z0-9-]*' | sed 's/^B<//' | sort -u
}

# known VERB: a line for each of its options, with all its names
known()
{
	xdisk help "$1" | sed -n '/^Options:/,/^$/s/^  \(-.\), \(--[a-z-]*\).*/\1 \2/p;
		/^Options:/,/^$/s/^  \(-[^-]\) [^ ].*/\1/p;
		/^Options:/,/^$/s/^      \(--[a-z-]*\).*/\1/p'
}

# missing VERB: options of the verb that no section names
missing()
{
	known "$1" | while read -r names; do
		for name in $names; do
			grep -qx -e "$name" common own && continue 2
		done
		echo "$names"
	done
}

verbs=$(xdisk help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' |
	grep -vx 'help\|completion')
ok 'help lists verbs' test -n "$verbs"
section 'OPTIONS OF SEVERAL VERBS' | named > common
for verb in $verbs; do
	section "$verb" | named > own
	known "$verb" | tr ' ' '\n' | sort > names
	ok "$verb: help lists options" test -s names
	cat names >> all
	is "$verb: the page names each option" '' "$(missing "$verb")"
	is "$verb: its section names no other" '' "$(comm -23 own names)"
done
echo -h >> all
is 'options of several verbs are some verb'"'"'s' '' \
	"$(sort -u all | comm -23 common -)"
finish
