#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images damaged by lot: no verb may die of one, and what a repair calls clean
# must be clean. SEED and COUNT make it another or a longer one.
IN_MEMORY=yes
. "${srcdir:=.}/tests/functional/tap.sh"
requires qemu-img qemu-io python3
sanitized && export UNLIMITED=yes
timeout "${TIMEOUT:-300}" \
	python3 "$srcdir/tests/functional/malformed/mutate.py" \
	"$builddir/tool/xdisk" "${SEED:-1}" "${COUNT:-100}"
