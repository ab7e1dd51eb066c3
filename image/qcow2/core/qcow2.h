/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2.h: an open qcow2 image.
 *
 * This room knows how an image lies in its file: the header and the entries of
 * tables, tables and caches in memory, space, and commits, in which they get back
 * to the file. It knows nothing of requests; image/qcow2 does.
 *
 * Within it space and commits need each other: a refcount table that has to grow
 * commits, and a commit lets go of what was freed.
 *
 * Each module has a header of its own; here is what they share, in sections that
 * say which of them may write it. What works alone on an image (rework/) may
 * write all of it.
 *
 * All of it runs in the loop's one thread; "co" as in coroutine.h.
 */
#ifndef XD_IMAGE_QCOW2_H
#define XD_IMAGE_QCOW2_H

#include "common/bits.h"
#include "common/list.h"
#include "image/driver.h"
#include "image/qcow2/core/cache.h"
#include "image/qcow2/core/entry.h"
#include "image/qcow2/core/header.h"
#include "image/qcow2/core/meta.h"
#include "image/qcow2/core/state.h"
#include "image/qcow2/core/table.h"
#include "io/coroutine.h"

struct crypto;

/* Ends of host clusters that compressed clusters may still go to. */
#define QCOW2_TAILS 16

/* Somebody between looking an offset up and having used it. */
struct qcow2_request {
	struct list link;		/* in qcow2.requests, oldest first */
	uint64_t seq;
};

/* Guest clusters whose mapping is being changed; others wait. */
struct qcow2_alloc {
	struct list link;		/* in qcow2.allocs */
	uint64_t first, last;		/* guest cluster indexes, inclusive */
	struct co_queue waiters;
};

/* Host clusters that nothing in memory points at any more. */
struct qcow2_freed {
	uint64_t cluster, count;
	uint64_t seq;			/* requests older than this may use it */
	bool discard;			/* give the space back to the host */
};

struct qcow2_freed_list {
	struct qcow2_freed *v;
	size_t nr, max;
};

struct qcow2_run {
	uint64_t cluster, count;
};

/* The unused end of a host cluster with compressed clusters (bytes.c). */
struct qcow2_tail {
	uint64_t offset, len;		/* bytes, up to the cluster's end */
};

/* How far the first change of an image has come (begin.h). */
enum qcow2_begun {
	QCOW2_UNTOUCHED,
	QCOW2_BEGUN_FILE,		/* autoclear bits are off */
	QCOW2_BEGUN_DATA,		/* and enabled bitmaps get all writes */
};

struct qcow2 {
	/* open.c: what the image is; data.c sets `data` */
	struct image *img, *file;
	struct image *data;		/* where the guest's data is: `file` or
					 * an external data file */
	struct qcow2_header h;
	uint32_t cluster_bits, l2_bits, refblock_bits, slice_size;
	uint32_t sub_bits;		/* of a subcluster; else cluster_bits */
	uint64_t cluster_size, sub_size;
	uint64_t inactive_l1_bytes;	/* of all snapshots, as opened */
	int compression_level;		/* 0: the default */
	struct crypto *crypto;		/* crypt.c: of the guest's data, NULL:
					 * as is */

	/* tables: by the functions of table.h, cache.h and meta.h */
	struct qcow2_table l1;		/* map.c, l1.c; h.l1_size entries */
	struct qcow2_table reftable;	/* refcount.c, contiguous.c */
	struct qcow2_cache l2_cache, ref_cache;
	struct qcow2_meta_map meta;

	/* refcount.c, contiguous.c: space in the file */
	uint64_t data_end;		/* bytes, cluster aligned: no valid
					 * reference points beyond */
	uint64_t fresh_from;		/* bytes: never written, reads zeroes */
	uint64_t file_length;		/* bytes, as last set by us */
	uint64_t cursor;		/* next host cluster to look at */
	struct qcow2_run *free_runs;	/* below the cursor */
	size_t nr_free_runs, max_free_runs;
	struct qcow2_freed_list freed;	/* commit.c takes it */
	bool reftable_full;		/* it has been said */
	struct co_mutex alloc_lock;	/* after commit_lock */

	/* bytes.c */
	struct qcow2_tail tails[QCOW2_TAILS];
	unsigned int nr_tails;
	struct co_mutex bytes_lock;	/* before commit_lock */

	/* commit.c; what changes the image counts `modified` up */
	struct co_mutex commit_lock;
	uint64_t modified;		/* finished changes and writes */
	uint64_t committed;		/* `modified` of the last good commit */
	size_t freed_held;		/* of `freed`, what that had to leave */

	/* state.c */
	enum qcow2_state state;
	int write_error;		/* -errno; 0: writable */
	bool told;			/* of what cannot be read */

	/* begin.c */
	enum qcow2_begun begun;
	struct co_mutex begin_lock;

	/* request.h: requests in flight */
	struct list requests, allocs;
	uint64_t next_seq;

	/* map.c */
	struct co_mutex l2_lock;	/* creating L2 tables */

	/* bitmap*.c */
	struct qcow2_bitmaps *bitmaps;	/* NULL: none, or not looked at */

	/* status.c: much of what is in use has no space on the host */
	bool holes_known, has_holes;

	/* compress.c: the last decompressed cluster; map.c forgets it */
	uint64_t inflated_entry;	/* its L2 entry, 0: none */
	uint8_t *inflated;
};

static inline struct qcow2 *qcow2_of(struct image *img)
{
	return img->state;
}

#endif
