#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What systemd says of the daemon's unit: which rights it leaves to a program that
# others have taken over.
unit=$(cd "${builddir:-.}" && pwd)/dist/xdiskd.service
. "${srcdir:=.}/tests/functional/tap.sh"
systemd-analyze security --offline=yes "$unit" >/dev/null 2>&1 || {
	echo "1..0 # SKIP no systemd-analyze that looks at files"
	exit 0
}

judged() {
	systemd-analyze security --no-pager --offline=yes --threshold=20 "$unit"
}

# In order of appearance: names that this systemd does not know are warned of.
understood() {
	! systemd-analyze security --no-pager --offline=yes "$unit" 2>&1 |
		grep -iE 'unknown|ignoring|failed to parse'
}

ok 'the unit: its exposure is 2.0 at most' judged
ok 'the unit: all of it is understood' understood
finish
