/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contiguous.c: several host clusters in a row, for tables.
 *
 * They go into the first gap that is large enough, which takes a walk through
 * all refcounts: tables are rarely made. Where there is none they go behind
 * everything, the refcount blocks they need before them. "Behind everything" is
 * the last cluster in use, not the end of the file: a device is as long as it
 * is.
 *
 * The refcount table itself grows here, too.
 */
#include "image/qcow2/core/contiguous.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/core/rewrite.h"

/* ---- gaps ---- */

struct space {
	bool found;
	uint64_t first;			/* cluster; of the gap */
	uint64_t end;			/* cluster; behind the last one in use,
					 * if no gap was found */
};

/* co. Goes on with one slice of a refcount block; `run` clusters before it were
 * free. */
static int look_in_slice(struct qcow2 *q, uint64_t cluster, uint64_t count,
			 uint64_t *run, struct space *s)
{
	uint64_t n = qcow2_refs_per_slice(q), index;
	uint64_t limit = q->file_length >> q->cluster_bits;
	struct qcow2_slice *slice;
	int ret;

	ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster), cluster,
				   &slice, &index);
	if (ret)
		return ret;
	for (uint64_t i = 0; i < n && !s->found; i++, cluster++) {
		if (qcow2_refcount_get(slice->data, q->h.refcount_order, i)) {
			*run = 0;
			s->end = cluster + 1;
		} else if (cluster < limit && ++*run == count) {
			s->found = true;
			s->first = cluster + 1 - count;
		}
	}
	qcow2_cache_put(slice);
	return 0;
}

/* co. The first `count` free clusters in a row of those that have refcount
 * blocks. */
static int look_for_space(struct qcow2 *q, uint64_t count, struct space *s)
{
	uint64_t per_slice = qcow2_refs_per_slice(q), run = 0;
	int ret = 0;

	*s = (struct space){ 0 };
	for (uint64_t i = 0; i < q->reftable.nr; i++) {
		uint64_t c = i << q->refblock_bits;
		uint64_t end = (i + 1) << q->refblock_bits;

		if (!q->reftable.v[i])
			run = 0;
		for (; q->reftable.v[i] && c < end; c += per_slice) {
			ret = look_in_slice(q, c, count, &run, s);
			if (ret || s->found)
				return ret;
		}
	}
	return 0;
}

/* co */
static int take_gap(struct qcow2 *q, uint64_t first, uint64_t count,
		    uint64_t *offset)
{
	int ret = qcow2_judge_new(q, first, count);

	if (!ret)
		ret = qcow2_reach(q, (first + count) << q->cluster_bits);
	if (!ret)
		ret = qcow2_set_refcounts(q, first, count, 1);
	if (!ret)
		qcow2_carve_free_runs(q, first, count);
	*offset = first << q->cluster_bits;
	return ret;
}

/* ---- behind everything ---- */

/* Refcount blocks that [first, first + count) lacks. */
static uint64_t missing_refblocks(const struct qcow2 *q, uint64_t first,
				  uint64_t count)
{
	uint64_t i = first >> q->refblock_bits;
	uint64_t last = (first + count - 1) >> q->refblock_bits;
	uint64_t missing = 0;

	for (; i <= last; i++)
		missing += i >= q->reftable.nr || !q->reftable.v[i];
	return missing;
}

/* The blocks that `count` clusters from `first` on need, before them. */
static uint64_t blocks_at_end(const struct qcow2 *q, uint64_t first,
			      uint64_t count)
{
	uint64_t blocks = 0, more;

	while ((more = missing_refblocks(q, first, blocks + count)) != blocks)
		blocks = more;
	return blocks;
}

/* co, alloc_lock held, refcount table large enough. */
static int take_at_end(struct qcow2 *q, uint64_t first, uint64_t count,
		       uint64_t *offset)
{
	uint64_t blocks = blocks_at_end(q, first, count), next = first;
	uint64_t last = first + blocks + count - 1;
	int ret = qcow2_judge_new(q, first, blocks + count);

	/* What the cursor has passed may have been used and freed. */
	q->fresh_from = max(q->fresh_from, q->data_end);
	/* A device that is too small is found out before blocks are made. */
	if (!ret)
		ret = qcow2_reach(q, (last + 1) << q->cluster_bits);
	for (uint64_t i = first >> q->refblock_bits;
	     !ret && i <= last >> q->refblock_bits; i++) {
		if (q->reftable.v[i])
			continue;
		ret = qcow2_prepare_refblock(q, next);
		if (!ret)
			ret = qcow2_install_refblock(q, i, next++);
	}
	if (!ret)
		ret = qcow2_set_refcounts(q, first, blocks + count, 1);
	if (!ret)
		qcow2_carve_free_runs(q, first, blocks + count);
	*offset = (first + blocks) << q->cluster_bits;
	return ret;
}

/* co. The whole table in one write, its refcounts on disk before; then the header
 * leads to it. A failure leaves memory ahead of the file. */
static int switch_to_reftable(struct qcow2 *q, uint64_t offset,
			      uint64_t clusters)
{
	uint64_t old = q->h.refcount_table_offset;
	uint32_t old_clusters = q->h.refcount_table_clusters;
	int ret = qcow2_meta_add_range(&q->meta, offset >> q->cluster_bits,
				       clusters, QCOW2_META_REFTABLE);

	if (!ret)
		ret = qcow2_write_refcounts(q);
	if (!ret)
		ret = qcow2_table_write(&q->reftable, q->file, offset,
					q->reftable.nr * UINT64_C(8));
	if (!ret)
		ret = qcow2_barrier(q);
	if (ret)
		return ret;
	qcow2_table_set_clean(&q->reftable);
	q->h.refcount_table_offset = offset;
	q->h.refcount_table_clusters = (uint32_t)clusters;
	ret = qcow2_write_header(q);
	if (!ret)
		qcow2_free_meta(q, old, old_clusters, false);
	return ret;
}

/* Clusters of a refcount table that reaches `cluster` and, from `first` on,
 * itself. Twice the old one if it may be; 0: none can. */
static uint64_t larger_reftable(const struct qcow2 *q, uint64_t first,
				uint64_t cluster)
{
	uint64_t limit = QCOW2_MAX_REFTABLE_BYTES >> q->cluster_bits;
	uint64_t n = min((uint64_t)q->h.refcount_table_clusters * 2, limit);
	uint64_t need = 0, end;

	for (;;) {
		end = first + blocks_at_end(q, first, n) + n;
		need = (max(end, cluster) >> q->refblock_bits) + 1;
		need = div_round_up(need * 8, q->cluster_size);
		if (need <= n)
			return n;
		if (need > limit)
			return 0;
		n = need;
	}
}

/* co, commit_lock and alloc_lock held. */
static int grow_reftable(struct qcow2 *q, uint64_t cluster)
{
	uint64_t clusters, offset;
	struct space s;
	int ret;

	ret = look_for_space(q, UINT64_MAX, &s);
	if (ret)
		return ret;
	clusters = larger_reftable(q, s.end, cluster);
	if (!clusters) {
		if (!q->reftable_full)
			log_error("%s: the image file cannot grow: its "
				  "refcount table has reached %u bytes",
				  q->img->path, QCOW2_MAX_REFTABLE_BYTES);
		q->reftable_full = true;
		return -EFBIG;
	}
	ret = qcow2_table_grow(&q->reftable,
				(clusters << q->cluster_bits) / 8);
	if (!ret)
		ret = take_at_end(q, s.end, clusters, &offset);
	if (!ret)
		ret = switch_to_reftable(q, offset, clusters);
	return ret ? qcow2_lose(q, ret, "growing the refcount table") : 0;
}

int qcow2_move_reftable(struct qcow2 *q, uint64_t offset)
{
	int ret = switch_to_reftable(q, offset, q->h.refcount_table_clusters);

	return ret ? qcow2_lose(q, ret, "moving the refcount table") : 0;
}

int qcow2_make_room(struct qcow2 *q, uint64_t cluster)
{
	int ret = 0;

	co_mutex_lock(&q->commit_lock);
	co_mutex_lock(&q->alloc_lock);
	if (!qcow2_reftable_reaches(q, cluster))
		ret = grow_reftable(q, cluster);
	co_mutex_unlock(&q->alloc_lock);
	co_mutex_unlock(&q->commit_lock);
	return ret;
}

/* co, alloc_lock held. -EAGAIN: the refcount table must reach *need first. */
static int take_contiguous(struct qcow2 *q, uint64_t count, uint64_t *offset,
			   uint64_t *need)
{
	struct space s;
	int ret = look_for_space(q, count, &s);

	if (ret)
		return ret;
	if (s.found)
		return take_gap(q, s.first, count, offset);
	*need = s.end + blocks_at_end(q, s.end, count) + count;
	if (!q->file->zero_beyond_end && *need > q->file_length >> q->cluster_bits)
		return -ENOSPC;
	if (!qcow2_reftable_reaches(q, *need))
		return -EAGAIN;
	return take_at_end(q, s.end, count, offset);
}

int qcow2_alloc_contiguous(struct qcow2 *q, uint64_t count, uint64_t *offset)
{
	uint64_t need, got;
	bool fresh;
	int ret;

	if (count == 1)
		return qcow2_alloc_clusters(q, 1, offset, &got, &fresh);
	for (;;) {
		co_mutex_lock(&q->alloc_lock);
		ret = take_contiguous(q, count, offset, &need);
		co_mutex_unlock(&q->alloc_lock);
		if (ret != -EAGAIN)
			return ret;
		ret = qcow2_make_room(q, need);
		if (ret)
			return ret;
	}
}
