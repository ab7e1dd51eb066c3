#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=124 LAST=156
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
