/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache.h: slices of L2 tables and refcount blocks in memory.
 *
 * What is dirty stays until a commit has written it.
 *
 * The L2 caches of a chain have together what one may have: half of it in equal
 * shares, the other half for those who come first.
 */
#ifndef XD_IMAGE_QCOW2_CACHE_H
#define XD_IMAGE_QCOW2_CACHE_H

#include "common/bits.h"
#include "common/list.h"
#include "image/driver.h"
#include "io/coroutine.h"

/* Tables are cached in slices of a cluster or this, whichever is less. */
#define QCOW2_SLICE_MAX 4096u

#define QCOW2_L2_CACHE_DEFAULT (32 * MiB)
#define QCOW2_REFCOUNT_CACHE_DEFAULT (8 * MiB)

struct qcow2_slice {
	struct qcow2_slice *hash_next;
	struct list lru;		/* in cache.lru, oldest first */
	struct list dirty_link;		/* in cache.dirty */
	uint64_t offset;		/* in the file, bytes */
	uint8_t *data;			/* slice_size bytes, 4096-aligned */
	unsigned int pins;		/* not evicted while > 0 */
	bool dirty;			/* differs from the file */
	bool writing;			/* a commit's copy is on its way */
	bool dropped;			/* in cache.orphans, found no more */
	bool loading;
	int error;			/* of the load, for those who wait */
	struct co_queue waiters;	/* for the load */
};

struct qcow2_cache {
	struct image *file;
	const struct image *img;	/* of L2 tables: shares with its chain */
	uint32_t slice_size;		/* bytes */
	uint64_t max_bytes;		/* of it, or of all of its chain */
	unsigned int nr, max;		/* slices; max is passed when all are dirty */
	unsigned int nr_dirty;
	unsigned int hash_bits;
	struct qcow2_slice **hash;
	struct list lru, dirty, spare;
	struct list orphans;		/* dropped while somebody had them */
	void **chunks;			/* memory of the slices */
	unsigned int nr_chunks;
	enum image_event loads;		/* what reading one is to tests */
	bool told;			/* that a table is not in the file */
};

int qcow2_cache_init(struct qcow2_cache *c, struct image *file,
		     uint32_t slice_size, uint64_t max_bytes);
void qcow2_cache_deinit(struct qcow2_cache *c);
/* The slice if it is in memory: valid until the next waiting point. */
struct qcow2_slice *qcow2_cache_peek(struct qcow2_cache *c, uint64_t offset);
/* co. The slice, read if need be, pinned: qcow2_cache_put() it. -EIO, too, where
 * the file ends before it does. */
int qcow2_cache_get(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_slice **out);
/* The slice zeroed, not read, pinned. Never waits. -ENOMEM */
int qcow2_cache_new(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_slice **out);
void qcow2_cache_put(struct qcow2_slice *s);
void qcow2_cache_dirty(struct qcow2_cache *c, struct qcow2_slice *s);
/* Forgets [offset, offset + len) and its changes: the table is gone. Who still
 * holds a slice of it, or writes a copy, may let go of it as of any other. */
void qcow2_cache_drop(struct qcow2_cache *c, uint64_t offset, uint64_t len);

#endif
