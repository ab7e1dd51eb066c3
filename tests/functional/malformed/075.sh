#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=75 LAST=99
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
