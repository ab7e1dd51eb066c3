#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=50 LAST=74
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
