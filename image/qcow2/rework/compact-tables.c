/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact-tables.c: the tables of an image that is compacted, and moving them.
 *
 * An L2 table that is shared by snapshots is in the list once, and its copy takes
 * its place in all L1 tables at the same time: each L1 table and the snapshot
 * table are written anew beside the old ones, then one write to the header
 * switches to them. Then the old ones are freed.
 */
#include "image/qcow2/rework/compact-plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/contiguous.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/rework/rework.h"
#include "image/qcow2/core/rewrite.h"

/* All L1 tables are in memory meanwhile. */
#define MAX_L1_BYTES GiB

/* ---- loading ---- */

static int load_l1_table(struct compact *c, size_t i, uint64_t offset,
			 uint64_t nr)
{
	struct compact_l1 *l = &c->l1[i];
	int ret = 0;

	*l = (struct compact_l1){ calloc(max(nr, UINT64_C(1)), 8), nr, offset,
				  0 };
	if (!l->e)
		return compact_error(c, -ENOMEM, "the L1 tables");
	if (!i)
		memcpy(l->e, c->q->l1.v, nr * 8);
	else if (nr)
		ret = image_pread(c->q->file, offset, nr * 8, l->e);
	for (uint64_t k = 0; i && k < nr; k++)
		l->e[k] = load_be64(&l->e[k]);
	return compact_error(c, ret, "reading an L1 table");
}

static int load_all_l1_tables(struct compact *c)
{
	struct qcow2 *q = c->q;
	uint64_t bytes = q->h.l1_size * 8ull;
	int ret;

	ret = qcow2_snapshot_table_load(q, &c->snapshots, c->err);
	for (unsigned int i = 0; !ret && i < c->snapshots.nr; i++) {
		const struct qcow2_snapshot *sn = &c->snapshots.v[i].sn;

		ret = qcow2_judge_snapshot(q, sn, c->err);
		bytes += sn->l1_size * 8ull;
	}
	if (!ret && bytes > MAX_L1_BYTES)
		ret = compact_error(c, -EFBIG, "the L1 tables of all snapshots");
	if (ret)
		return ret;
	c->l1 = calloc(c->snapshots.nr + 1, sizeof(*c->l1));
	if (!c->l1)
		return compact_error(c, -ENOMEM, "the L1 tables");
	c->nr_l1 = c->snapshots.nr + 1;
	ret = load_l1_table(c, 0, q->h.l1_table_offset, q->h.l1_size);
	for (unsigned int i = 0; !ret && i < c->snapshots.nr; i++)
		ret = load_l1_table(c, i + 1, c->snapshots.v[i].sn.l1_offset,
				    c->snapshots.v[i].sn.l1_size);
	return ret;
}

static int compare_l2_offsets(const void *a, const void *b)
{
	const struct compact_l2 *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static struct compact_l2 *find_l2_table(const struct compact *c,
					uint64_t offset)
{
	struct compact_l2 key = { .offset = offset };

	return bsearch(&key, c->l2, c->nr_l2, sizeof(key), compare_l2_offsets);
}

/* Each L2 table once, however many entries lead there. */
static int list_l2_tables(struct compact *c)
{
	size_t nr = 0, kept = 0;

	for (size_t i = 0; i < c->nr_l1; i++)
		for (uint64_t k = 0; k < c->l1[i].nr; k++)
			nr += (c->l1[i].e[k] & QCOW2_L1_OFFSET) != 0;
	c->l2 = calloc(nr + 1, sizeof(*c->l2));
	if (!c->l2)
		return compact_error(c, -ENOMEM, "a list of L2 tables");
	for (size_t i = 0; i < c->nr_l1; i++)
		for (uint64_t k = 0; k < c->l1[i].nr; k++)
			if (c->l1[i].e[k] & QCOW2_L1_OFFSET)
				c->l2[c->nr_l2++].offset =
					c->l1[i].e[k] & QCOW2_L1_OFFSET;
	qsort(c->l2, c->nr_l2, sizeof(*c->l2), compare_l2_offsets);
	for (size_t i = 0; i < c->nr_l2; i++) {
		if (!i || c->l2[i].offset != c->l2[kept - 1].offset)
			c->l2[kept++] = c->l2[i];
		c->l2[kept - 1].refs++;
	}
	c->nr_l2 = kept;
	return 0;
}

static int validate_l2_offset(struct compact *c, uint64_t offset)
{
	struct qcow2 *q = c->q;
	enum qcow2_meta type = qcow2_meta_type(&q->meta,
					       offset >> q->cluster_bits);

	/* In an image opened read-only, those of snapshots are not registered. */
	if (is_aligned(offset, q->cluster_size) &&
	    offset >> q->cluster_bits < c->end &&
	    (type == QCOW2_META_L2 || type == QCOW2_META_INACTIVE_L2 ||
	     (c->result->dry_run && type == QCOW2_META_NONE)))
		return 0;
	return error_set(c->err, EINVAL, "corrupt image: an L1 entry leads to %#"
			 PRIx64 " (xdisk check tells more)", offset);
}

int compact_load_tables(struct compact *c)
{
	int ret = load_all_l1_tables(c);

	if (!ret)
		ret = list_l2_tables(c);
	for (size_t i = 0; !ret && i < c->nr_l2; i++)
		ret = validate_l2_offset(c, c->l2[i].offset);
	return ret;
}

void compact_free_tables(struct compact *c)
{
	for (size_t i = 0; i < c->nr_l1; i++)
		free(c->l1[i].e);
	free(c->l1);
	free(c->l2);
	qcow2_snapshot_table_free(&c->snapshots);
}

int compact_for_each_slice(struct compact *c,
			   int (*each)(void *arg, const struct compact_l2 *table,
				       struct qcow2_slice *slice),
			   void *arg)
{
	struct qcow2 *q = c->q;
	struct qcow2_slice *slice;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_l2; i++) {
		const struct compact_l2 *t = &c->l2[i];
		uint64_t table = t->new ? t->new : t->offset;

		for (uint64_t o = 0; !ret && o < q->cluster_size;
		     o += q->slice_size) {
			ret = qcow2_cache_get(&q->l2_cache, table + o, &slice);
			if (ret)
				return compact_error(c, ret,
						     "reading an L2 table");
			ret = each(arg, t, slice);
			qcow2_cache_put(slice);
			if (!ret)
				ret = compact_error(c, qcow2_relieve(q),
						    "writing");
		}
	}
	return ret;
}

/* ---- copies ---- */

/* co. -ENOSPC: no room before the target, which is no error. */
static int alloc_before_target(struct compact *c, uint64_t count,
			       uint64_t *offset)
{
	int ret = qcow2_alloc_contiguous(c->q, count, offset);

	if (ret || !compact_beyond_target(c, *offset + ((count - 1) <<
							 c->q->cluster_bits)))
		return ret;
	qcow2_free_clusters(c->q, *offset, count, false);
	return -ENOSPC;
}

static int register_table(struct compact *c, uint64_t offset, uint64_t bytes,
			  enum qcow2_meta type)
{
	int ret = 0;

	for (uint64_t o = 0; !ret && o < bytes; o += c->q->cluster_size)
		ret = qcow2_meta_add(&c->q->meta,
				     (offset + o) >> c->q->cluster_bits, type);
	return ret;
}

static int copy_l2_table(struct compact *c, struct compact_l2 *t)
{
	uint64_t size = c->q->cluster_size;
	int ret = alloc_before_target(c, 1, &t->new);

	if (ret) {
		t->new = 0;
		return ret;
	}
	ret = register_table(c, t->new, size, QCOW2_META_L2);
	qcow2_cache_drop(&c->q->l2_cache, t->new, size);
	return ret ? ret : compact_copy_clusters(c, t->offset, t->new, 1);
}

static int copy_l1_table(struct compact *c, struct compact_l1 *l,
			 enum qcow2_meta type)
{
	struct qcow2 *q = c->q;
	uint64_t bytes = align_up(l->nr * 8, q->cluster_size);
	cleanup_free uint8_t *buf = NULL;
	int ret;

	if (!bytes)
		return 0;
	ret = alloc_before_target(c, bytes >> q->cluster_bits, &l->new);
	if (ret) {
		l->new = 0;
		return ret;
	}
	ret = register_table(c, l->new, bytes, type);
	buf = calloc(1, bytes);
	if (ret || !buf)
		return ret ? ret : -ENOMEM;
	for (uint64_t i = 0; i < l->nr; i++) {
		struct compact_l2 *t =
			find_l2_table(c, l->e[i] & QCOW2_L1_OFFSET);

		if (t && t->new)
			l->e[i] = t->new | (l->e[i] & QCOW2_COPIED);
		store_be64(buf + i * 8, l->e[i]);
	}
	return image_pwrite(q->file, l->new, bytes, buf);
}

/* co. As many references as the originals have, for all that was copied. */
static int share_l2_tables(struct compact *c)
{
	struct qcow2 *q = c->q;
	uint64_t count = 0;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_l2; i++) {
		if (!c->l2[i].new)
			continue;
		ret = qcow2_get_refcount(q, c->l2[i].offset >> q->cluster_bits,
					 &count);
		if (!ret)
			ret = qcow2_set_refcounts(q, c->l2[i].new >>
						  q->cluster_bits, 1, count);
	}
	return ret;
}

/* co. Everything beside what is in use; not committed. */
static int copy_tables(struct compact *c, uint64_t *table, uint64_t *bytes)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_l2; i++)
		if (compact_beyond_target(c, c->l2[i].offset))
			ret = copy_l2_table(c, &c->l2[i]);
	for (size_t i = 0; !ret && i < c->nr_l1; i++)
		ret = copy_l1_table(c, &c->l1[i], i ? QCOW2_META_INACTIVE_L1 :
						      QCOW2_META_L1);
	for (unsigned int i = 0; !ret && i < c->snapshots.nr; i++)
		c->snapshots.v[i].sn.l1_offset = c->l1[i + 1].new;
	if (!ret)
		ret = qcow2_snapshot_table_write(c->q, &c->snapshots, table,
						 bytes, NULL);
	return ret ? ret : share_l2_tables(c);
}

/* What was made in vain. */
static void forget_copies(struct compact *c)
{
	for (size_t i = 0; i < c->nr_l2; i++) {
		if (c->l2[i].new)
			qcow2_forget_clusters(c->q, c->l2[i].new,
					      c->q->cluster_size);
		c->l2[i].new = 0;
	}
	for (size_t i = 0; i < c->nr_l1; i++)
		if (c->l1[i].new)
			qcow2_forget_clusters(c->q, c->l1[i].new,
					      c->l1[i].nr * 8);
}

/* ---- moving ---- */

/* co. One write, and the copies are what is in use. */
static int switch_to_copies(struct compact *c, uint64_t table)
{
	struct qcow2 *q = c->q;
	int ret;

	memcpy(q->l1.v, c->l1[0].e, c->l1[0].nr * 8);
	if (c->l1[0].new)
		q->h.l1_table_offset = c->l1[0].new;
	q->h.snapshots_offset = table;
	ret = qcow2_write_header(q);
	return ret ? compact_error(c, qcow2_lose(q, ret, "compacting"),
				   "updating the header") : 0;
}

/* co. The originals; nothing leads there any more. */
static int free_originals(struct compact *c, uint64_t table)
{
	struct qcow2 *q = c->q;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_l2; i++) {
		uint64_t offset = c->l2[i].offset;

		if (!c->l2[i].new)
			continue;
		qcow2_cache_drop(&q->l2_cache, offset, q->cluster_size);
		qcow2_meta_del(&q->meta, offset >> q->cluster_bits);
		ret = qcow2_set_refcounts(q, offset >> q->cluster_bits, 1, 0);
		compact_progress(c, 1);
	}
	for (size_t i = 0; i < c->nr_l1; i++)
		if (c->l1[i].new)
			qcow2_forget_clusters(q, c->l1[i].offset,
					      c->l1[i].nr * 8);
	qcow2_forget_clusters(q, table, c->snapshots.bytes);
	ret = compact_error(c, ret, "freeing tables");
	return ret ? ret : compact_commit(c);
}

static bool any_table_moves(const struct compact *c)
{
	bool any = c->snapshots.bytes &&
		   compact_beyond_target(c, c->q->h.snapshots_offset +
						    c->snapshots.bytes - 1);

	for (size_t i = 0; i < c->nr_l1; i++)
		any |= c->l1[i].nr &&
		       compact_beyond_target(c, c->l1[i].offset +
							c->l1[i].nr * 8 - 1);
	return any || (c->nr_l2 &&
		       compact_beyond_target(c, c->l2[c->nr_l2 - 1].offset));
}

int compact_move_tables(struct compact *c)
{
	uint64_t old = c->q->h.snapshots_offset, table = 0, bytes = 0;
	int ret;

	if (!any_table_moves(c))
		return 0;
	ret = copy_tables(c, &table, &bytes);
	if (ret) {
		forget_copies(c);
		qcow2_forget_clusters(c->q, table, bytes);
		return ret == -ENOSPC ? compact_commit(c) :
					compact_error(c, ret, "copying tables");
	}
	ret = compact_commit(c);
	if (!ret)
		ret = switch_to_copies(c, table);
	return ret ? ret : free_originals(c, old);
}

int compact_move_reftable(struct compact *c)
{
	struct qcow2 *q = c->q;
	uint64_t bytes = q->reftable.nr * 8ull, offset;
	int ret;

	if (!compact_beyond_target(c, q->h.refcount_table_offset + bytes - 1))
		return 0;
	ret = alloc_before_target(c, q->h.refcount_table_clusters, &offset);
	if (ret == -ENOSPC)
		return compact_commit(c);
	if (!ret)
		ret = qcow2_move_reftable(q, offset);
	compact_progress(c, q->h.refcount_table_clusters);
	ret = compact_error(c, ret, "moving the refcount table");
	return ret ? ret : compact_commit(c);
}
