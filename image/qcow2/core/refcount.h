/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount.h: which host clusters are in use; allocation.
 */
#ifndef XD_IMAGE_QCOW2_REFCOUNT_H
#define XD_IMAGE_QCOW2_REFCOUNT_H

#include "image/qcow2/core/qcow2.h"

static inline uint64_t qcow2_refs_per_slice(const struct qcow2 *q)
{
	return (uint64_t)q->slice_size * 8 >> q->h.refcount_order;
}

/* Does the refcount table have an entry for the block of `cluster`? */
static inline bool qcow2_reftable_reaches(const struct qcow2 *q,
					  uint64_t cluster)
{
	return cluster >> q->refblock_bits < q->reftable.nr;
}

/* The block with the refcount of `cluster`, bytes; it exists. */
static inline uint64_t qcow2_refblock_of(const struct qcow2 *q,
					 uint64_t cluster)
{
	return q->reftable.v[cluster >> q->refblock_bits];
}

static inline bool qcow2_has_refblock(const struct qcow2 *q, uint64_t cluster)
{
	return qcow2_reftable_reaches(q, cluster) &&
	       qcow2_refblock_of(q, cluster);
}

/* Does the file read as zeroes there, whatever was freed? */
static inline bool qcow2_is_fresh(const struct qcow2 *q, uint64_t offset)
{
	return q->file->zero_beyond_end && offset >= q->fresh_from;
}

/* co. 1 to max contiguous host clusters with refcount 1 (not yet on disk).
 * *fresh: the file reads as zeroes there. -ENOSPC, -EFBIG, -EIO */
int qcow2_alloc_clusters(struct qcow2 *q, uint64_t max, uint64_t *offset,
			 uint64_t *count, bool *fresh);
/* co. Of clusters whose refcount blocks exist; in memory. Holds alloc_lock or
 * is alone. */
int qcow2_set_refcounts(struct qcow2 *q, uint64_t cluster, uint64_t count,
			uint64_t value);
/* Freed once the next commit is on disk. Never waits. Out of memory they leak
 * until the next check, which is said. */
void qcow2_free_clusters(struct qcow2 *q, uint64_t offset, uint64_t count,
			 bool discard);
/* The same for clusters that were metadata, which they are no more. */
void qcow2_free_meta(struct qcow2 *q, uint64_t offset, uint64_t count,
		     bool discard);
/* The same for what was on the list before. */
void qcow2_free_run(struct qcow2 *q, struct qcow2_freed f);
/* co, alloc_lock held. One more reference to a cluster that has some. -ERANGE:
 * it has as many as it can have. */
int qcow2_share_cluster(struct qcow2 *q, uint64_t cluster);
/* co. Lowers refcounts of `list` entries that no request may still use; the
 * others stay in it. For commits: those who call hold commit_lock. */
int qcow2_release_freed(struct qcow2 *q, struct qcow2_freed_list *list);

/* ---- with alloc_lock, or alone in the image ---- */

/* co. The slice of `block` with the refcount of `cluster`, pinned; its index
 * there. */
int qcow2_refcount_slice(struct qcow2 *q, uint64_t block, uint64_t cluster,
			 struct qcow2_slice **slice, uint64_t *index);
/* co. 0 where there is no block. -EIO */
int qcow2_get_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *count);
/* co. Makes the file reach `end`. -ENOSPC: a device has the length it has. */
int qcow2_reach(struct qcow2 *q, uint64_t end);
/* co. A new block has nothing but zeroes in the file before it is used; where
 * metadata lies nothing is written, whatever the refcounts say. */
int qcow2_prepare_refblock(struct qcow2 *q, uint64_t cluster);
int qcow2_install_refblock(struct qcow2 *q, uint64_t index, uint64_t cluster);
/* Clusters with refcount 0 must not be tables of ours. */
int qcow2_judge_new(struct qcow2 *q, uint64_t cluster, uint64_t count);
/* Takes clusters that have been given away out of what is known to be free. */
void qcow2_carve_free_runs(struct qcow2 *q, uint64_t cluster, uint64_t count);

#endif
