#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=100 LAST=123
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
