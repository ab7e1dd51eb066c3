#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Help, wrong usage, and completion, which is made from the same table.
. "${srcdir:=.}/tests/functional/tap.sh"

verbs='amend bench bitmap check commit compare convert create dd info io map measure rebase resize snapshot verify'
ok 'help' xdisk help
for verb in $verbs; do
	said "lists $verb" "^  $verb "
done
ok '--help' xdisk --help
ok '--version' xdisk --version
said 'says its name' '^xdisk [0-9]'
for verb in $verbs; do
	group "$verb"
	ok "help $verb" xdisk help "$verb"
	said 'help tells how to use it' "^Usage: xdisk $verb "
	ok "$verb --help" xdisk "$verb" --help
	said '--help tells how to use it' "^Usage: xdisk $verb "
	rc 1 'an unknown option' xdisk "$verb" --frobnicate x
	says 'frobnicate'
	said 'it says where to look' "xdisk help $verb"
	rc 1 'an unknown letter' xdisk "$verb" -Z x
	says "'-Z'"
	rc 1 'too many images' xdisk "$verb" a 1 b
done
group
rc 1 'no verb' xdisk
rc 1 'unknown verb' xdisk frobnicate
said 'is named' frobnicate
rc 1 'help on an unknown verb' xdisk help frobnicate
rc 1 'an option without its argument' xdisk info x -f
says "'-f' needs an argument"
rc 1 'unknown shell' xdisk completion tcsh
rc 1 'stdout that is full' bash -c "$builddir/tool/xdisk help > /dev/full"

# completes WORD...: what bash offers for the last of the words
completes()
{
	bash -c '
		eval "$('"$builddir"'/tool/xdisk completion bash)"
		COMP_WORDS=("$@")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_xdisk 2> /dev/null
		printf "%s\n" "${COMPREPLY[@]}"' - "$@" | sort | paste -sd ' '
}
is 'completes verbs' 'compact compare completion' "$(completes xdisk comp)"
is 'completes options' '--output' "$(completes xdisk info --ou)"
is 'completes values' 'human json' "$(completes xdisk info --output '')"
is 'completes formats' 'raw' "$(completes xdisk create -f r)"
is 'completes help' 'info io' "$(completes xdisk help i)"
touch image.qcow2
is 'completes files' image.qcow2 "$(completes xdisk check im)"
finish
