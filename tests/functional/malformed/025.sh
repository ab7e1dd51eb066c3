#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=25 LAST=49
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
