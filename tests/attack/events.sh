#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Event channels: those of a frontend that fires without end, and our own.
. "${srcdir:-.}/tests/attack/lib.sh"
hostile_start

# Another guest does not notice.
another_is_served() {
	guest verify --domid 6 --vdev xvda --seconds 2
}

play XSA-331

about XSA-332
cp "$image" "$image.other"
check "another guest" guest create --domid 6 --disk "$image.other,qcow2,xvda,rw"
guest hostile --domid 5 --vdev xvda --case kick-storm >"$SIMXEN_DIR/storm" 2>&1 &
check "it is served during the storm" another_is_served
check "the one who storms is, too" wait $!
check "the other guest is destroyed" guest destroy --domid 6 --quick

play XSA-391
hostile_done
