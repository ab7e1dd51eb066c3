/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * discard.h: discards of the whole disk, and what reads beside them wait.
 */
#ifndef XD_SIMXEN_DISCARD_H
#define XD_SIMXEN_DISCARD_H

#include "tests/simxen/blkfront.h"

/* f: opened and connected. Puts `nr` of them into the rings, or as many as fit.
 * With `leave` that is all; else reads the disk's first page again and again
 * until they are answered, and prints the longest that a read took, as JSON. */
void discard_run(struct front *f, uint64_t nr, bool leave);

#endif
