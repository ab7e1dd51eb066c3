/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact-plan.h: what the parts of compacting share; for compact*.c only.
 *
 *	compact.c		the order of all of it
 *	compact-plan.c		what lies where, and where the file could end
 *	compact-tables.c	loads the tables, moves them and the refcount table
 *	compact-data.c		moves data and compressed clusters
 *
 * All of it runs alone in the image, in a coroutine. A failure has its sentence
 * in `err`.
 */
#ifndef XD_IMAGE_QCOW2_COMPACT_PLAN_H
#define XD_IMAGE_QCOW2_COMPACT_PLAN_H

#include "image/qcow2/core/qcow2.h"
#include "image/qcow2/snapshot-table.h"

/* An L1 table: the active one is the first. */
struct compact_l1 {
	uint64_t *e;			/* host order */
	uint64_t nr, offset, new;	/* entries, bytes, bytes */
};

struct compact_l2 {
	uint64_t offset, new;		/* bytes; new 0: stays */
	uint64_t refs;			/* L1 entries that lead there */
};

struct compact {
	struct qcow2 *q;
	struct image_compact *result;
	struct error *err;

	/* tables: by compact_load_tables() */
	struct qcow2_snapshot_table snapshots;
	struct compact_l1 *l1;
	size_t nr_l1;
	struct compact_l2 *l2;		/* by offset, each once */
	size_t nr_l2;

	/* the plan: by compact_plan(), in clusters */
	uint64_t end;			/* behind the last one in use */
	uint64_t target;		/* what lies from here on moves */
	uint64_t total;			/* to move */

	uint64_t done;			/* clusters, of `total` */
	bool full;			/* no room for compressed clusters */
};

/* ---- compact.c ---- */

/* Returns ret; unless it is 0, the sentence tells what was being done. */
int compact_error(struct compact *c, int ret, const char *doing);
int compact_commit(struct compact *c);
/* `n` more clusters have been moved. */
void compact_progress(struct compact *c, uint64_t n);
int compact_copy_clusters(struct compact *c, uint64_t from, uint64_t to,
			  uint64_t count);

/* Is the cluster at `offset` among those that move? */
static inline bool compact_beyond_target(const struct compact *c,
					 uint64_t offset)
{
	return offset >> c->q->cluster_bits >= c->target;
}

/* The host offset of an entry that has a cluster of its own, 0: it has not. */
static inline uint64_t compact_host_of(struct qcow2_entry e)
{
	return e.word & QCOW2_COMPRESSED ? 0 : e.word & QCOW2_L2_OFFSET;
}

/* ---- compact-plan.c ---- */

/* Loads the tables, validates all that they lead to and sets the plan. */
int compact_plan(struct compact *c);

/* ---- compact-tables.c ---- */

/* All L1 tables, and a list of the L2 tables; offsets are aligned. `end` is
 * known. */
int compact_load_tables(struct compact *c);
void compact_free_tables(struct compact *c);

/* Calls each() for each part of each L2 table, pinned in the cache. */
int compact_for_each_slice(struct compact *c,
			   int (*each)(void *arg, const struct compact_l2 *table,
				       struct qcow2_slice *slice),
			   void *arg);

/* Both leave all in place where there is no room before the target. */
int compact_move_reftable(struct compact *c);
int compact_move_tables(struct compact *c);

/* ---- compact-data.c ---- */

int compact_move_data(struct compact *c);

#endif
