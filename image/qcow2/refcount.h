/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount.h: what the files that deal with refcounts share.
 *
 * All of it is for those who hold alloc_lock, or have the image to themselves.
 */
#ifndef XD_IMAGE_QCOW2_REFCOUNT_H
#define XD_IMAGE_QCOW2_REFCOUNT_H

#include "image/qcow2/qcow2.h"

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

/* ---- refcount.c ---- */

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

/* ---- contiguous.c ---- */

/* co. Takes both locks in their order and makes the refcount table reach
 * `cluster`. */
int qcow2_make_room(struct qcow2 *q, uint64_t cluster);
/* co, alone, all committed but that clusters for it at `offset` were taken. */
int qcow2_move_reftable(struct qcow2 *q, uint64_t offset);

#endif
