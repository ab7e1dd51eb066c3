/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * amend-zero.c: zero clusters become what version 2 knows.
 *
 * An L2 table is changed where it is, once, however many L1 tables share it:
 * what a guest reads stays the same in each of them. New clusters are durable,
 * with a reference for each L1 entry that leads to the table, before the table
 * is written; what its entries held before is freed afterwards. A table half of
 * which has reached the disk is as good as either. The disk's tables come
 * first: what a snapshot lets go of may be left to the disk alone, whose entry
 * would have to say so by a flag.
 *
 * Without a backing image nothing has to be there to read as zeroes. With one
 * each zero cluster takes space from now on, as in QEMU.
 */
#include "image/qcow2/rework/amend.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/map.h"
#include "image/qcow2/snapshot.h"

struct table {
	uint64_t offset;		/* bytes */
	uint64_t refs;			/* L1 entries that lead here */
	bool active;			/* one of them is the disk's */
};

struct expand {
	struct qcow2 *q;
	struct table *tables;
	size_t nr, max;
	uint8_t *l2, *before;		/* a cluster each */
};

/* ---- all L2 tables ---- */

static int add_l2_table(struct expand *x, uint64_t entry, bool active,
			struct error *err)
{
	uint64_t offset = entry & QCOW2_L1_OFFSET;

	if (!offset)
		return 0;
	if ((entry & QCOW2_L1_RESERVED) || offset >= x->q->data_end ||
	    !is_aligned(offset, x->q->cluster_size))
		return error_set(err, EINVAL, "corrupt image: L1 entry %#" PRIx64
				 " of a snapshot is no cluster's offset",
				 entry);
	if (array_reserve(x->tables, x->nr, x->max))
		return -ENOMEM;
	x->tables[x->nr++] = (struct table){ offset, 1, active };
	return 0;
}

static int add_snapshot_tables(void *arg, const struct qcow2_snapshot *sn,
			       struct error *err)
{
	struct expand *x = arg;
	size_t bytes = (size_t)sn->l1_size * 8;	/* judged when opened */
	cleanup_free uint8_t *l1 = malloc(max(bytes, (size_t)8));
	int ret;

	if (!l1)
		return -ENOMEM;
	ret = bytes ? image_pread(x->q->file, sn->l1_offset, bytes, l1) : 0;
	if (ret)
		return error_set_errno(err, -ret, "reading an L1 table");
	for (size_t i = 0; i < bytes && !ret; i += 8)
		ret = add_l2_table(x, load_be64(l1 + i), false, err);
	return ret;
}

static int by_table_offset(const void *a, const void *b)
{
	const struct table *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int list_tables(struct expand *x, struct error *err)
{
	struct qcow2 *q = x->q;
	size_t n = 0;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < q->l1.nr; i++)
		ret = add_l2_table(x, q->l1.v[i], true, err);
	if (!ret)
		ret = qcow2_for_each_snapshot(
			q->file, &q->h, add_snapshot_tables, x, NULL, err);
	if (ret || !x->nr)
		return ret;
	qsort(x->tables, x->nr, sizeof(*x->tables), by_table_offset);
	for (size_t i = 1; i < x->nr; i++) {
		if (x->tables[i].offset != x->tables[n].offset) {
			x->tables[++n] = x->tables[i];
			continue;
		}
		x->tables[n].refs++;
		x->tables[n].active |= x->tables[i].active;
	}
	x->nr = n + 1;
	return 0;
}

/* ---- one of them ---- */

/* co. A cluster of zeroes, counted for all who lead to the table. */
static int new_cluster(struct qcow2 *q, const struct table *t, uint64_t *host)
{
	uint64_t count;
	bool fresh;
	int ret = qcow2_alloc_clusters(q, 1, host, &count, &fresh);

	if (!ret && t->refs > 1) {
		co_mutex_lock(&q->alloc_lock);
		ret = qcow2_set_refcounts(q, *host >> q->cluster_bits, 1,
					  t->refs);
		co_mutex_unlock(&q->alloc_lock);
	}
	if (!ret && !fresh)
		ret = image_pwrite_zeroes(q->file, *host, q->cluster_size, 0);
	return ret;
}

/* co. *changed: entries that are others now. */
static int replace_entries(struct expand *x, const struct table *t,
			   uint64_t *changed)
{
	struct qcow2 *q = x->q;
	uint64_t host;
	int ret;

	*changed = 0;
	for (uint64_t o = 0; o < q->cluster_size; o += 8) {
		struct qcow2_entry e = { load_be64(x->l2 + o), 0 };
		enum qcow2_kind kind = qcow2_entry_kind(&q->h, e, 0);

		if (kind != QCOW2_ZERO_PLAIN && kind != QCOW2_ZERO_ALLOC)
			continue;
		host = 0;
		if (q->h.backing_file) {
			ret = new_cluster(q, t, &host);
			if (ret)
				return ret;
		}
		if (host && t->refs == 1)
			host |= QCOW2_COPIED;
		store_be64(x->l2 + o, host);
		++*changed;
	}
	return 0;
}

/* co. What is on disk leads to nothing that is not: then the rest goes. */
static int write_expanded_table(struct expand *x, const struct table *t)
{
	struct qcow2 *q = x->q;
	enum qcow2_meta type = qcow2_meta_type(&q->meta,
					       t->offset >> q->cluster_bits);
	int ret;

	if (type != QCOW2_META_L2 && type != QCOW2_META_INACTIVE_L2)
		return qcow2_corrupt(q, "the L2 table at %#" PRIx64 " is %s",
				     t->offset, qcow2_meta_name(type));
	q->modified++;
	ret = qcow2_commit_all(q);
	if (!ret)
		ret = image_pwrite(q->file, t->offset, q->cluster_size, x->l2);
	if (!ret)
		ret = qcow2_barrier(q);
	qcow2_cache_drop(&q->l2_cache, t->offset, q->cluster_size);
	return ret;
}

static void free_replaced(struct expand *x, const struct table *t)
{
	for (uint64_t o = 0; o < x->q->cluster_size; o += 8) {
		struct qcow2_entry e = { load_be64(x->before + o), 0 };

		if (qcow2_entry_kind(&x->q->h, e, 0) != QCOW2_ZERO_ALLOC)
			continue;
		for (uint64_t i = 0; i < t->refs; i++)
			qcow2_free_entry(x->q, e, false);
	}
}

static int expand_table(struct expand *x, const struct table *t)
{
	struct qcow2 *q = x->q;
	uint64_t changed;
	int ret = image_pread(q->file, t->offset, q->cluster_size, x->l2);

	if (ret)
		return ret;
	memcpy(x->before, x->l2, q->cluster_size);
	ret = replace_entries(x, t, &changed);
	if (ret || !changed)
		return ret;
	ret = write_expanded_table(x, t);
	if (!ret)
		free_replaced(x, t);
	return ret;
}

/* co. The disk's tables, or those that only snapshots have. */
static int expand_tables(struct expand *x, bool active, size_t *done,
			 const struct image_progress *progress)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < x->nr; i++) {
		if (x->tables[i].active != active)
			continue;
		ret = expand_table(x, &x->tables[i]);
		++*done;
		if (progress)
			progress->set(progress->arg, *done, x->nr);
	}
	return ret;
}

int qcow2_expand_zero_clusters(struct qcow2 *q,
			       const struct image_progress *progress,
			       struct error *err)
{
	struct expand x = { .q = q };
	size_t done = 0;
	int ret = qcow2_commit_all(q);

	if (!ret)
		ret = list_tables(&x, err);
	x.l2 = malloc(q->cluster_size);
	x.before = malloc(q->cluster_size);
	if (!ret && (!x.l2 || !x.before))
		ret = -ENOMEM;
	if (!ret)
		ret = expand_tables(&x, true, &done, progress);
	if (!ret)
		ret = expand_tables(&x, false, &done, progress);
	if (!ret)
		ret = qcow2_commit_all(q);
	free(x.tables);
	free(x.l2);
	free(x.before);
	return ret;
}
