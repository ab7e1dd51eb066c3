/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* co-group.c: see co-group.h. */
#include "io/co-group.h"

#include <errno.h>

#include "common/bits.h"

static __thread unsigned int nr_parts;	/* of all groups */

struct part {
	struct co_group *group;
	int (*fn)(void *arg);
	void *arg;
};

void co_group_init(struct co_group *g, unsigned int limit)
{
	g->running = 0;
	g->limit = limit;
	g->ret = 0;
	co_queue_init(&g->room);
}

static void note_result(struct co_group *g, int ret)
{
	if (ret && !g->ret)
		g->ret = ret;
}

static void run_group_part(void *arg)
{
	/* The starter's frame: read before the first waiting point. */
	struct part part = *(struct part *)arg;
	struct co_group *g = part.group;

	note_result(g, part.fn(part.arg));
	g->running--;
	nr_parts--;
	co_queue_wake_one(&g->room);
}

bool co_group_start(struct co_group *g, int (*fn)(void *arg), void *arg)
{
	struct part part = { g, fn, arg };

	while (g->running >= g->limit)
		co_queue_wait(&g->room);
	if (g->ret)
		return false;
	if (unlikely(nr_parts >= CO_GROUP_PARTS)) {
		note_result(g, fn(arg));
		return true;
	}
	g->running++;
	nr_parts++;
	if (co_start(run_group_part, &part)) {
		g->running--;
		nr_parts--;
		g->ret = -ENOMEM;
		return false;
	}
	return true;
}

int co_group_wait(struct co_group *g)
{
	while (g->running)
		co_queue_wait(&g->room);
	return g->ret;
}
