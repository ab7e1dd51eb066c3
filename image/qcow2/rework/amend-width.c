/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * amend-width.c: refcounts of another width.
 *
 *	| everything there is ... | refcount table | refcount blocks |
 *	                          base
 *
 * A second refcount structure, which counts itself and, for now, the old one
 * too, goes behind everything and is durable before one write of the header's
 * first sector switches to it. Then the old one is freed like any cluster.
 * Until the switch nobody knows of what lies behind the base.
 *
 * Two walks over the old blocks: what do they hold, and then the same in the
 * new width. One old and one new block are in memory at a time.
 */
#include "image/qcow2/rework/amend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/core/rewrite.h"

struct width {
	struct qcow2 *q;
	const struct image_progress *progress;
	uint32_t order, block_bits;	/* of the new one */
	uint64_t base;			/* cluster */
	uint64_t table_clusters, nr_blocks;
	uint64_t nr_index;		/* table entries in use */
	uint8_t *wanted;		/* by new block, below base */
	struct qcow2_table table;
	uint8_t *old_block, *new_block;
	uint64_t loaded;		/* index of old_block, UINT64_MAX: none */
};

static void show_width_progress(const struct width *w, uint64_t done,
				uint64_t walk)
{
	if (w->progress)
		w->progress->set(w->progress->arg, walk * w->base + done,
				 2 * w->base);
}

/* co. The old refcount of a cluster below base. */
static int old_refcount(struct width *w, uint64_t cluster, uint64_t *value)
{
	struct qcow2 *q = w->q;
	uint64_t i = cluster >> q->refblock_bits;
	uint64_t in = cluster & ((UINT64_C(1) << q->refblock_bits) - 1);
	int ret;

	*value = 0;
	if (i >= q->reftable.nr || !q->reftable.v[i])
		return 0;
	if (i != w->loaded) {
		w->loaded = UINT64_MAX;
		ret = image_pread(q->file, q->reftable.v[i], q->cluster_size,
				  w->old_block);
		if (ret)
			return ret;
		w->loaded = i;
	}
	*value = qcow2_refcount_get(w->old_block, q->h.refcount_order, in);
	return 0;
}

/* co. Which new blocks are needed, and does everything fit? */
static int survey_refcounts(struct width *w, struct error *err)
{
	uint64_t limit = qcow2_refcount_max(w->order), value;
	int ret;

	for (uint64_t c = 0; c < w->base; c++) {
		ret = old_refcount(w, c, &value);
		if (ret)
			return error_set_errno(err, -ret, "reading refcounts");
		if (value > limit)
			return error_set(err, ERANGE, "Cannot decrease refcount "
					 "entry width to %u bits: Cluster at "
					 "offset %#" PRIx64 " has a refcount of "
					 "%" PRIu64, 1u << w->order,
					 c << w->q->cluster_bits, value);
		if (value)
			w->wanted[c >> w->block_bits] = 1;
		if (!(c & 0xffff))
			show_width_progress(w, c, 0);
	}
	return 0;
}

static bool is_wanted(const struct width *w, uint64_t block)
{
	return block >= w->base >> w->block_bits || w->wanted[block];
}

/* The structure counts itself: lay it out until it covers what it takes. */
static int plan_structure(struct width *w, struct error *err)
{
	uint64_t first = w->base >> w->block_bits, below = 0, end;

	for (uint64_t i = 0; i < first; i++)
		below += w->wanted[i];
	do {
		end = w->base + w->table_clusters + w->nr_blocks;
		w->nr_index = (max(end, w->base + 1) - 1 >> w->block_bits) + 1;
		w->nr_blocks = below + w->nr_index - first;
		w->table_clusters = div_round_up(w->nr_index * 8,
						 w->q->cluster_size);
	} while (end != w->base + w->table_clusters + w->nr_blocks);
	if (w->table_clusters << w->q->cluster_bits > QCOW2_MAX_REFTABLE_BYTES)
		return error_set(err, EFBIG, "The refcount table would have %"
				 PRIu64 " bytes with refcounts of %u bits, at "
				 "most %u", w->table_clusters
						    << w->q->cluster_bits,
				 1u << w->order, QCOW2_MAX_REFTABLE_BYTES);
	return 0;
}

/* co */
static int fill_block(struct width *w, uint64_t block)
{
	uint64_t end = w->base + w->table_clusters + w->nr_blocks, value;
	uint64_t n = UINT64_C(1) << w->block_bits, first = block * n;
	int ret;

	memset(w->new_block, 0, w->q->cluster_size);
	for (uint64_t i = 0; i < n && first + i < end; i++) {
		value = 1;
		ret = first + i < w->base ?
			      old_refcount(w, first + i, &value) : 0;
		if (ret)
			return ret;
		qcow2_refcount_set(w->new_block, w->order, i, value);
	}
	return 0;
}

/* co. Blocks, then the table, behind the base; durable. */
static int write_structure(struct width *w)
{
	struct qcow2 *q = w->q;
	uint64_t at = (w->base + w->table_clusters) << q->cluster_bits;
	uint64_t bytes = w->table_clusters << q->cluster_bits;
	int ret = qcow2_table_init(&w->table, bytes / 8);

	for (uint64_t i = 0; !ret && i < w->nr_index; i++) {
		if (!is_wanted(w, i))
			continue;
		ret = fill_block(w, i);
		if (!ret)
			ret = image_pwrite(q->file, at, q->cluster_size,
					   w->new_block);
		w->table.v[i] = at;
		at += q->cluster_size;
		show_width_progress(w, min(i << w->block_bits, w->base), 1);
	}
	if (!ret)
		ret = qcow2_table_write(&w->table, q->file,
					w->base << q->cluster_bits, bytes);
	return ret ? ret : qcow2_barrier(q);
}

/* The table and the blocks of a structure out of the map of metadata. */
static void forget_structure(struct qcow2 *q, uint64_t table, uint64_t clusters,
			     const uint64_t *blocks, uint64_t nr)
{
	qcow2_meta_del_range(&q->meta, table >> q->cluster_bits, clusters);
	for (uint64_t i = 0; i < nr; i++)
		if (blocks[i])
			qcow2_meta_del(&q->meta, blocks[i] >> q->cluster_bits);
}

/* And into it; not at all on failure. */
static int note_structure(struct qcow2 *q, uint64_t table, uint64_t clusters,
			  const uint64_t *blocks, uint64_t nr)
{
	int ret = qcow2_meta_add_range(&q->meta, table >> q->cluster_bits,
				       clusters, QCOW2_META_REFTABLE);

	for (uint64_t i = 0; !ret && i < nr; i++)
		if (blocks[i])
			ret = qcow2_meta_add(&q->meta,
					     blocks[i] >> q->cluster_bits,
					     QCOW2_META_REFBLOCK);
	if (ret)
		forget_structure(q, table, clusters, blocks, nr);
	return ret;
}

static void free_structure(struct qcow2 *q, uint64_t table, uint64_t clusters,
			   const uint64_t *blocks, uint64_t nr)
{
	forget_structure(q, table, clusters, blocks, nr);
	qcow2_free_clusters(q, table, clusters, false);
	for (uint64_t i = 0; i < nr; i++)
		if (blocks[i])
			qcow2_free_clusters(q, blocks[i], 1, false);
}

/* co. The header's one write, and memory behind it. */
static int switch_over(struct width *w, struct error *err)
{
	struct qcow2 *q = w->q;
	uint64_t old = q->h.refcount_table_offset;
	uint64_t old_clusters = q->h.refcount_table_clusters;
	struct qcow2_table old_table = q->reftable;
	int ret;

	q->reftable = w->table;
	w->table = old_table;		/* freed with the rest */
	q->h.refcount_order = w->order;
	q->h.refcount_table_offset = w->base << q->cluster_bits;
	q->h.refcount_table_clusters = (uint32_t)w->table_clusters;
	q->refblock_bits = w->block_bits;
	ret = qcow2_rewrite_header(q, err);
	/* Old blocks in memory are of no use, in the old width. */
	for (uint64_t i = 0; i < old_table.nr; i++)
		if (old_table.v[i])
			qcow2_cache_drop(&q->ref_cache, old_table.v[i],
					 q->cluster_size);
	if (ret)
		return qcow2_lose(q, ret, "changing the refcount width");
	free_structure(q, old, old_clusters, old_table.v, old_table.nr);
	return 0;
}

static int change_width(struct width *w, struct error *err)
{
	struct qcow2 *q = w->q;
	uint64_t end;
	int ret;

	ret = survey_refcounts(w, err);
	if (!ret)
		ret = plan_structure(w, err);
	if (ret)
		return ret;
	end = (w->base + w->table_clusters + w->nr_blocks) << q->cluster_bits;
	q->fresh_from = max(q->fresh_from, end);
	ret = write_structure(w);
	if (ret)
		return error_set_errno(err, -ret, "writing new refcounts");
	q->data_end = end;
	q->file_length = max(q->file_length, end);
	ret = note_structure(q, w->base << q->cluster_bits, w->table_clusters,
			     w->table.v, w->nr_index);
	if (!ret)
		ret = switch_over(w, err);
	if (!ret)
		ret = qcow2_commit_all(q);
	return ret;
}

int qcow2_change_refcount_order(struct qcow2 *q, uint32_t order,
				const struct image_progress *progress,
				struct error *err)
{
	struct width w = {
		.q = q,
		.progress = progress,
		.order = order,
		.block_bits = q->cluster_bits + 3 - order,
		.base = q->data_end >> q->cluster_bits,
		.loaded = UINT64_MAX,
	};
	int ret = qcow2_commit_all(q);

	if (ret)
		return ret;
	w.wanted = calloc(1, (w.base >> w.block_bits) + 1);
	if (!w.wanted || posix_memalign((void **)&w.old_block, 4096,
					max(q->cluster_size, UINT64_C(4096))) ||
	    posix_memalign((void **)&w.new_block, 4096,
			   max(q->cluster_size, UINT64_C(4096))))
		ret = -ENOMEM;
	if (!ret)
		ret = change_width(&w, err);
	free(w.wanted);
	free(w.old_block);
	free(w.new_block);
	qcow2_table_free(&w.table);
	return ret;
}
