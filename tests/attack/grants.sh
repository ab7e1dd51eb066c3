#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Pages that a frontend grants badly, or wants back.
. "${srcdir:-.}/tests/attack/lib.sh"
hostile_start

play XSA-71 XSA-229 XSA-361 XSA-362 XSA-365 XSA-371 XSA-396
hostile_done
