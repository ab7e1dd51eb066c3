#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=157 LAST=199
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
