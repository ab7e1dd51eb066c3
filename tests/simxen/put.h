/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * put.h: a guest that writes what it is given.
 */
#ifndef XD_SIMXEN_PUT_H
#define XD_SIMXEN_PUT_H

#include "tests/simxen/blkfront.h"

/* f: opened and connected. The disk begins with that file's bytes then, and
 * with zeroes up to the next page; they are flushed. */
void put_file(struct front *f, const char *path);

#endif
