/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sequence.h: the ways in which real frontends come, go and come back.
 */
#ifndef XD_SIMXEN_SEQUENCE_H
#define XD_SIMXEN_SEQUENCE_H

#include "tests/simxen/blkfront.h"

void sequence_list(void);

/* f: opened, not connected. Each step must be answered within five seconds,
 * as Linux wants it, and every connection must carry verified data. */
void sequence_run(struct front *f, const char *name);

#endif
