/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opening.h: the process that opens files for all workers, xdisk-opener.
 *
 * It is started when it is first needed, and again when it has ended: what it has
 * opened stays open.
 */
#ifndef XD_SUPERVISOR_OPENING_H
#define XD_SUPERVISOR_OPENING_H

#include <stdbool.h>

#include "backend/arguments.h"
#include "backend/supervisor/child.h"
#include "backend/start.h"

struct opening {
	char *program;
	struct child child;
	struct child dying;	/* the one before it, not yet reaped */
};

/* program: malloc()ed, taken over. */
void opening_init(struct opening *o, char *program);
void opening_close(struct opening *o);

/* *fd is where a worker asks for the files of that image; the caller's to close.
 * Does not wait. start: how the process is started if it has to be; its name is
 * not used. -errno and a sentence. */
int opening_begin(struct opening *o, const struct start *start,
		  const struct disk_arguments *image, int *fd,
		  struct error *err);

/* Looks whether it has ended. */
void opening_reap(struct opening *o);

#endif
