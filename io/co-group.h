/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * co-group.h: parts of one piece of work, side by side.
 *
 * A coroutine starts parts, at most `limit` at a time, and waits for all of
 * them. The first error wins; parts after it are not started.
 */
#ifndef XD_IO_CO_GROUP_H
#define XD_IO_CO_GROUP_H

#include "io/coroutine.h"

struct co_group {
	unsigned int running, limit;
	int ret;			/* 0 or the first -errno */
	struct co_queue room;		/* the one who starts, waiting */
};

void co_group_init(struct co_group *g, unsigned int limit);
/* co. Runs fn(arg) as a part; waits first while `limit` are running. arg is
 * the part's to free; it is not run (and false returned) after an error. */
bool co_group_start(struct co_group *g, int (*fn)(void *arg), void *arg);
/* co. Waits for all parts; returns g->ret. */
int co_group_wait(struct co_group *g);

#endif
