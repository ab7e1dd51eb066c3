/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile.h: what no honest frontend does, one case at a time.
 */
#ifndef XD_SIMXEN_HOSTILE_H
#define XD_SIMXEN_HOSTILE_H

#include "tests/simxen/blkfront.h"

void hostile_list(void);

/* f: opened, not connected. Checks the answer and that the disk still works
 * where it should, and leaves the device closed. */
void hostile_run(struct front *f, const char *name);

#endif
