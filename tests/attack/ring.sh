#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Frontends that break the rules of the ring, one case at a time.
. "${srcdir:-.}/tests/attack/lib.sh"
hostile_start

# Not even the worker could write to it: it has opened the file for reading.
opened_for_reading() {
	guest verify --domid 5 --vdev xvdb --ops 10 --stay >/dev/null || return
	for pid in $(workers_of "$daemon_pid"); do
		for fd in /proc/"$pid"/fd/*; do
			[ "$(readlink "$fd")" = "$image.ro" ] || continue
			grep '^flags:.*0$' "${fd%fd/*}fdinfo/${fd##*/}"
			return
		done
	done
	echo "nobody has it open"
	return 1
}

play XSA-142
check "the file is open for reading only" opened_for_reading
check "no write came as far as the image" nothing_odd
play CVE-2013-2140
check "no discard came as far as the image" nothing_odd
play XSA-155
check "what was judged was carried out" nothing_odd
play XSA-216

group "of no advisory"
for name in $(guest hostile --list); do
	[ "$(advisory_of "$name")" ] || check "$name" played "$name"
done
hostile_done
