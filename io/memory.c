/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memory.c: see memory.h. */
#include "io/memory.h"

#include <errno.h>
#include <stdlib.h>

#include "io/coroutine.h"

/* What a single step may want: clusters have 2 MiB at most, of which a write
 * copies less than two; a compressed one may claim twice its size. */
static const uint64_t largest[MEMORY_USES] = {
	[MEMORY_COW] = 4 * MiB,
	[MEMORY_UNPACK] = 6 * MiB,
	[MEMORY_CIPHER] = 1 * MiB,
	[MEMORY_BOUNCE] = 2 * MiB,
};

struct waiter {
	struct list link;		/* in memory.waiters */
	struct coroutine *co;
	uint64_t bytes;
};

uint64_t memory_limit(const struct memory *m, enum memory_use use)
{
	uint64_t left = m->max;

	for (int below = use + 1; below < MEMORY_USES; below++)
		left -= min(left, largest[below]);
	return left;
}

/* Nobody can give back what this one waits for. */
static bool alone(const struct memory *m, enum memory_use use)
{
	for (int u = use; u < MEMORY_USES; u++)
		if (m->held[u])
			return false;
	return use != MEMORY_TABLES;
}

static bool fits(const struct memory *m, enum memory_use use, uint64_t bytes)
{
	return bytes <= memory_room(m, use) || alone(m, use);
}

static void let_in(struct memory *m, enum memory_use use, uint64_t bytes)
{
	m->used += bytes;
	m->held[use] += bytes;
}

bool memory_try(struct memory *m, enum memory_use use, uint64_t bytes)
{
	if (!list_empty(&m->waiters[use]) || !fits(m, use, bytes))
		return false;
	let_in(m, use, bytes);
	return true;
}

void memory_take(struct memory *m, enum memory_use use, uint64_t bytes)
{
	struct waiter w = { .co = co_self(), .bytes = bytes };

	if (likely(memory_try(m, use, bytes)))
		return;
	list_add_tail(&m->waiters[use], &w.link);
	co_yield();			/* it was admitted by who woke us */
}

/* The one to go on: of the last use that has one who fits. */
static struct waiter *next_waiter(const struct memory *m, enum memory_use *use)
{
	for (int u = MEMORY_USES; u--;) {
		struct waiter *w;

		if (list_empty(&m->waiters[u]))
			continue;
		w = list_first(&m->waiters[u], struct waiter, link);
		*use = (enum memory_use)u;
		if (fits(m, *use, w->bytes))
			return w;
	}
	return NULL;
}

void memory_give(struct memory *m, enum memory_use use, uint64_t bytes)
{
	struct waiter *w;

	m->used -= bytes;
	m->held[use] -= bytes;
	while ((w = next_waiter(m, &use))) {
		list_del(&w->link);
		let_in(m, use, w->bytes);
		co_wake(w->co);
	}
}

/* ---- buffers ---- */

int memory_buffer_get(struct memory_buffer *b, struct memory *m,
		      enum memory_use use, uint64_t bytes, uint32_t align)
{
	memory_take(m, use, bytes);
	*b = (struct memory_buffer){ m, use, bytes, NULL };
	if (!posix_memalign(&b->data, align, bytes))
		return 0;
	b->data = NULL;
	memory_buffer_put(b);
	return -ENOMEM;
}

void memory_buffer_put(struct memory_buffer *b)
{
	struct memory *m = b->memory;

	if (!m)
		return;
	free(b->data);
	b->memory = NULL;
	memory_give(m, b->use, b->bytes);
}
