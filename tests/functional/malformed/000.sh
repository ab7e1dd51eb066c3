#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
FIRST=0 LAST=24
. "${srcdir:=.}/tests/functional/malformed/lib.sh"
