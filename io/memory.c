/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: see memory.h.
 *
 * Large buffers are mappings of their own, so that they leave no holes in the
 * heap. Some stay for the next one of their size (a fresh page has to be
 * cleared), within what is not taken of the account.
 */
#include "io/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "io/coroutine.h"

/* What a single step may want: clusters have 2 MiB at most, of which a write
 * copies less than two; a compressed one may claim twice its size. */
static const uint64_t largest[MEMORY_USES] = {
	[MEMORY_COW] = 4 * MiB,
	[MEMORY_UNPACK] = 6 * MiB,
	[MEMORY_CIPHER] = 1 * MiB,
	[MEMORY_BOUNCE] = 2 * MiB,
};

/* ---- spares ---- */

#define PAGE 4096u
#define MAP_FROM (512 * KiB)
#define MAP_UNIT (512 * KiB)
#define SPARE_MAX (16 * MiB)

/* At the beginning of a mapping that nobody uses. */
struct spare {
	struct list link;		/* in memory.spares, oldest first */
	uint64_t bytes;
};

static void take_spare(struct memory *m, struct spare *s)
{
	list_del(&s->link);
	m->spare_bytes -= s->bytes;
}

static void drop_spares(struct memory *m, uint64_t keep)
{
	while (m->spare_bytes > keep) {
		struct spare *s = list_first(&m->spares, struct spare, link);

		take_spare(m, s);
		munmap(s, s->bytes);
	}
}

/* Spares have what nobody takes. */
static void fit_spares(struct memory *m)
{
	if (unlikely(m->spare_bytes))
		drop_spares(m, m->max - min(m->max, m->used));
}

void memory_trim(struct memory *m)
{
	drop_spares(m, 0);
}

/* ---- taking and giving ---- */

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

static bool try(struct memory *m, enum memory_use use, uint64_t bytes)
{
	if (!list_empty(&m->waiters[use]) || !fits(m, use, bytes))
		return false;
	let_in(m, use, bytes);
	return true;
}

/* co */
static void wait(struct memory *m, enum memory_use use, uint64_t bytes)
{
	struct waiter w = { .co = co_self(), .bytes = bytes };

	list_add_tail(&m->waiters[use], &w.link);
	co_yield();			/* who woke us has let us in */
}

bool memory_try(struct memory *m, enum memory_use use, uint64_t bytes)
{
	bool in = try(m, use, bytes);

	fit_spares(m);
	return in;
}

void memory_take(struct memory *m, enum memory_use use, uint64_t bytes)
{
	if (!try(m, use, bytes))
		wait(m, use, bytes);
	fit_spares(m);
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

static void *find_spare(struct memory *m, uint64_t bytes)
{
	struct spare *s;

	list_for_each(s, &m->spares, link) {
		if (s->bytes == bytes) {
			take_spare(m, s);
			return s;
		}
	}
	return NULL;
}

static void *map_buffer(struct memory *m, uint64_t bytes)
{
	void *p = find_spare(m, bytes);

	fit_spares(m);
	if (p)
		return p;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void *allocate_buffer(struct memory *m, uint64_t bytes, uint32_t align)
{
	void *p;

	fit_spares(m);
	return posix_memalign(&p, align, bytes) ? NULL : p;
}

int memory_buffer_get(struct memory_buffer *b, struct memory *m,
		      enum memory_use use, uint64_t bytes, uint32_t align)
{
	b->memory = m;
	b->use = use;
	b->mapped = bytes >= MAP_FROM && align <= PAGE;
	b->bytes = b->mapped ? align_up(bytes, MAP_UNIT) : bytes;
	if (!try(m, use, b->bytes))
		wait(m, use, b->bytes);
	b->data = b->mapped ? map_buffer(m, b->bytes) :
			      allocate_buffer(m, bytes, align);
	if (likely(b->data))
		return 0;
	memory_buffer_put(b);
	return -ENOMEM;
}

/* To be used again, by who waits for one of its size before anybody else. */
static void spare(struct memory *m, void *data, uint64_t bytes)
{
	struct spare *s = data;

	s->bytes = bytes;
	list_add_tail(&m->spares, &s->link);
	m->spare_bytes += bytes;
	drop_spares(m, SPARE_MAX);
}

void memory_buffer_put(struct memory_buffer *b)
{
	struct memory *m = b->memory;

	if (!m)
		return;
	if (b->mapped && b->data)
		spare(m, b->data, b->bytes);
	else
		free(b->data);
	b->memory = NULL;
	b->data = NULL;
	memory_give(m, b->use, b->bytes);
}
