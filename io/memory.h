/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.h: the account of what a loop's images and their requests take of
 * memory, beside caches.
 *
 * Who needs a large buffer has it admitted first and waits where there is too
 * little; who may not wait is refused. Bytes are taken for a use, all of one
 * step at once. A request that holds some may take more only for a use that
 * stands further down in enum memory_use, and waits for nobody who waits for
 * memory of the same use or one further up: so each use, from the last one up,
 * comes to its end, and nobody waits for ever.
 *
 * A use leaves as much to each one below it as a single step there can want
 * (memory_limit()). Should a step want even more, or the account be smaller
 * than all that, it is let through as soon as nobody holds anything for that
 * use or one below: the account is passed by that step then.
 *
 * One thread; bytes. Loops have one each (loop_memory()), without a limit
 * unless somebody sets it.
 */
#ifndef XD_IO_MEMORY_H
#define XD_IO_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bits.h"
#include "common/list.h"

enum memory_use {
	MEMORY_TABLES,		/* for as long as an image is open */
	MEMORY_COW,		/* what a write copies beside its own bytes */
	MEMORY_UNPACK,		/* a compressed cluster, in and out */
	MEMORY_CIPHER,
	MEMORY_BOUNCE,		/* for a file that wants things aligned */
	MEMORY_USES,
};

struct memory {
	uint64_t max, used;			/* bytes */
	uint64_t held[MEMORY_USES];		/* of `used` */
	struct list waiters[MEMORY_USES];
	struct list spares;			/* memory.c's; large buffers */
	uint64_t spare_bytes;			/* beside `used` */
};

static inline void memory_init(struct memory *m)
{
	*m = (struct memory){ .max = UINT64_MAX };
	for (int use = 0; use < MEMORY_USES; use++)
		list_init(&m->waiters[use]);
	list_init(&m->spares);
}

/* Before anything is taken. */
static inline void memory_set_max(struct memory *m, uint64_t max)
{
	m->max = max;
}

/* How far all that is taken may go by taking for `use`. */
uint64_t memory_limit(const struct memory *m, enum memory_use use);

/* Gives back what is kept for reuse; at the end, too. */
void memory_trim(struct memory *m);

/* What could be taken for `use` now. */
static inline uint64_t memory_room(const struct memory *m, enum memory_use use)
{
	uint64_t limit = memory_limit(m, use);

	return limit - min(limit, m->used);
}

/* co. Waits until there is room; first come, first served within a use. */
void memory_take(struct memory *m, enum memory_use use, uint64_t bytes);
/* False: there is no room now, nothing was taken. */
bool memory_try(struct memory *m, enum memory_use use, uint64_t bytes);
/* What was taken, in whatever pieces. Those who have waited for it run before
 * this returns. */
void memory_give(struct memory *m, enum memory_use use, uint64_t bytes);

/* ---- buffers ---- */

/* Memory with its place in the account; zeroed: none. */
struct memory_buffer {
	struct memory *memory;
	enum memory_use use;
	uint64_t bytes;
	bool mapped;
	void *data;
};

/* co. `bytes` at a multiple of `align` (a power of two). -ENOMEM */
int memory_buffer_get(struct memory_buffer *b, struct memory *m,
		      enum memory_use use, uint64_t bytes, uint32_t align);
/* As memory_give(). Idempotent. */
void memory_buffer_put(struct memory_buffer *b);

/* cleanup_buffer struct memory_buffer b = { 0 }; */
#define cleanup_buffer __attribute__((cleanup(memory_buffer_put)))

#endif
