/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * co-group.h: parts of one piece of work, side by side.
 *
 * A coroutine starts parts, at most `limit` at a time, and waits for all of
 * them. The first error wins; parts after it are not started. A thread runs no
 * more than CO_GROUP_PARTS of all groups beside those who start them: what is
 * above runs in its starter, so that parts of many requests cannot take more
 * memory for stacks than that.
 */
#ifndef XD_IO_CO_GROUP_H
#define XD_IO_CO_GROUP_H

#include "io/coroutine.h"

#define CO_GROUP_PARTS 256u

struct co_group {
	unsigned int running, limit;
	int ret;			/* 0 or the first -errno */
	struct co_queue room;		/* the one who starts, waiting */
};

void co_group_init(struct co_group *g, unsigned int limit);
/* co. Runs fn(arg) as a part, or in this coroutine where there are too many;
 * waits first while `limit` are running. arg is the part's to free; it is not run (and false returned) after an error. */
bool co_group_start(struct co_group *g, int (*fn)(void *arg), void *arg);
/* co. Waits for all parts; returns g->ret. */
int co_group_wait(struct co_group *g);

#endif
