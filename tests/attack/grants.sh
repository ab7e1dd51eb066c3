#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Pages that a frontend grants badly, or wants back.
. "${srcdir:-.}/tests/attack/lib.sh"
hostile_start

play XSA-71 XSA-361 XSA-362 XSA-365 XSA-371 XSA-396

# Every byte of the pages is looked at, those around the pieces included.
about XSA-229
check "each lands where it belongs" guest verify --domid 5 --vdev xvda \
	--ops 1000 --qd 4 --indirect 256
check "and where pages are not mapped" guest verify --domid 5 --vdev xvda \
	--ops 1000 --qd 4 --indirect 256 --no-persistent
hostile_done
