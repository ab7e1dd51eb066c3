/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * references.c: see references.h.
 *
 *	L1 entry -> L2 table (a reference)
 *		L2 entry -> data cluster (a reference)
 *		L2 entry -> compressed data (one to each cluster it touches)
 *
 * A table that two L1 entries lead to is walked twice: each path counts.
 *
 * Entries are judged here anew, for the tables of snapshots are not looked at
 * when an image is opened.
 */
#include "image/qcow2/rework/references.h"

#include <errno.h>
#include <inttypes.h>

#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/map.h"

/* What may be freed before a commit takes it to the file. */
#define FREED_AT_ONCE 262144

struct walk {
	struct qcow2 *q;
	bool raise;
	uint64_t done, limit;		/* references */
	struct error *err;
};

static int corrupt(const struct walk *w, const char *what, uint64_t value)
{
	return error_set(w->err, EINVAL, "corrupt image: %s %#" PRIx64
			 " (xdisk check tells more)", what, value);
}

/* co. Between two tables or parts of them. */
static int relieve(struct qcow2 *q)
{
	if (q->l2_cache.nr_dirty * 2 < q->l2_cache.max &&
	    q->ref_cache.nr_dirty * 2 < q->ref_cache.max &&
	    q->freed.nr < FREED_AT_ONCE)
		return 0;
	return qcow2_commit_all(q);
}

/* ---- refcounts ---- */

static int raise_in_slice(struct walk *w, struct qcow2_slice *slice,
			  uint64_t i, uint64_t cluster)
{
	uint32_t order = w->q->h.refcount_order;
	uint64_t count = qcow2_refcount_get(slice->data, order, i);

	if (!count)
		return corrupt(w, "refcount 0 of the cluster in use at",
			       cluster << w->q->cluster_bits);
	if (count == qcow2_refcount_max(order))
		return error_set(w->err, EFBIG, "a cluster has %" PRIu64
				 " references already, and refcounts of %u bits "
				 "cannot count more", count, 1u << order);
	qcow2_refcount_set(slice->data, order, i, count + 1);
	qcow2_cache_dirty(&w->q->ref_cache, slice);
	w->done++;
	return 0;
}

/* co */
static int raise_run(struct walk *w, uint64_t cluster, uint64_t count)
{
	uint64_t end = cluster + count, index;
	struct qcow2 *q = w->q;
	struct qcow2_slice *slice;
	int ret = 0;

	while (!ret && cluster < end) {
		if (!qcow2_has_refblock(q, cluster))
			return corrupt(w, "no refcount of the cluster in use "
				       "at", cluster << q->cluster_bits);
		ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster),
					   cluster, &slice, &index);
		if (ret)
			return error_set_errno(w->err, -ret, "reading refcounts");
		for (; !ret && cluster < end && index < qcow2_refs_per_slice(q);
		     index++, cluster++)
			ret = raise_in_slice(w, slice, index, cluster);
		qcow2_cache_put(slice);
	}
	return ret;
}

static int change_run(struct walk *w, uint64_t cluster, uint64_t count)
{
	if (w->raise)
		return raise_run(w, cluster, count);
	count = min(count, w->limit - w->done);
	if (count)
		qcow2_free_clusters(w->q, cluster << w->q->cluster_bits, count,
				    true);
	w->done += count;
	return 0;
}

/* ---- entries ---- */

/* The clusters that an entry refers to; none: *count is 0. */
static int clusters_of(const struct walk *w, struct qcow2_entry e,
		       uint64_t *cluster, uint64_t *count)
{
	const struct qcow2 *q = w->q;
	uint64_t host = e.word & QCOW2_L2_OFFSET, bytes = q->cluster_size;

	*count = 0;
	if (e.word & QCOW2_COMPRESSED) {
		struct qcow2_compressed c =
			qcow2_compressed_decode(q->cluster_bits, e.word);

		host = align_down(c.offset, q->cluster_size);
		bytes = align_up(c.offset + c.len, q->cluster_size) - host;
		/* The last sector may be one that the file does not have. */
		if (c.offset < q->data_end)
			bytes = min(bytes, q->data_end - host);
	} else if (!host) {
		return 0;
	}
	if (!host || !is_aligned(host, q->cluster_size) ||
	    !range_within(host, bytes, q->data_end))
		return corrupt(w, "L2 entry", e.word);
	*cluster = host >> q->cluster_bits;
	*count = bytes >> q->cluster_bits;
	for (uint64_t i = 0; i < *count; i++)
		if (qcow2_meta_type(&q->meta, *cluster + i) != QCOW2_META_NONE)
			return corrupt(w, "an L2 entry points at a table:",
				       e.word);
	return 0;
}

/* co. Neighbours are dealt with together. */
static int change_slice(struct walk *w, const struct qcow2_slice *slice)
{
	uint64_t n = w->q->slice_size >> qcow2_entry_bits(&w->q->h);
	uint64_t first = 0, run = 0, cluster, count;
	int ret = 0;

	for (uint64_t i = 0; !ret && i < n; i++) {
		ret = clusters_of(w, qcow2_entry_load(&w->q->h, slice->data, i),
				  &cluster, &count);
		if (ret || !count)
			continue;
		if (run && cluster == first + run) {
			run += count;
			continue;
		}
		ret = change_run(w, first, run);
		first = cluster;
		run = count;
	}
	return ret ? ret : change_run(w, first, run);
}

static void clear_copied(struct qcow2 *q, struct qcow2_slice *slice)
{
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h);

	for (uint64_t i = 0; i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);

		if (!(e.word & QCOW2_COPIED))
			continue;
		e.word &= ~QCOW2_COPIED;
		qcow2_entry_store(&q->h, slice->data, i, e);
		qcow2_cache_dirty(&q->l2_cache, slice);
	}
}

/* ---- tables ---- */

/* co. A table that is about to be changed is an active one. */
static int validate_tree_table(struct walk *w, uint64_t offset)
{
	struct qcow2 *q = w->q;
	uint64_t c = offset >> q->cluster_bits;
	enum qcow2_meta type = qcow2_meta_type(&q->meta, c);

	if (!is_aligned(offset, q->cluster_size) || offset >= q->data_end ||
	    (type != QCOW2_META_L2 && type != QCOW2_META_INACTIVE_L2))
		return corrupt(w, "an L1 entry points at no L2 table:", offset);
	if (!w->raise || type == QCOW2_META_L2)
		return 0;
	qcow2_meta_del(&q->meta, c);
	return qcow2_meta_add(&q->meta, c, QCOW2_META_L2);
}

/* co. All that the table points at. */
static int walk_table(struct walk *w, uint64_t offset)
{
	struct qcow2 *q = w->q;
	struct qcow2_slice *slice;
	int ret = 0;

	for (uint64_t o = 0; !ret && o < q->cluster_size; o += q->slice_size) {
		ret = qcow2_cache_get(&q->l2_cache, offset + o, &slice);
		if (ret)
			return error_set_errno(w->err, -ret, "reading an L2 "
					       "table");
		ret = change_slice(w, slice);
		if (!ret && w->raise)
			clear_copied(q, slice);
		qcow2_cache_put(slice);
		if (!ret) {
			ret = relieve(q);
			error_set_errno(ret ? w->err : NULL, -ret, "writing");
		}
	}
	return ret;
}

/* co. The table itself, after what it points at: once it is lowered it may be
 * gone. */
static int change_table(struct walk *w, uint64_t offset)
{
	int ret;

	if (w->raise)
		return raise_run(w, offset >> w->q->cluster_bits, 1);
	if (w->done == w->limit)
		return 0;
	ret = qcow2_free_l2(w->q, offset, true);
	if (ret)
		return error_set_errno(w->err, -ret, "reading refcounts");
	w->done++;
	return 0;
}

static int walk_tree(struct walk *w, struct qcow2_tree t)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < t.nr; i++) {
		uint64_t offset = t.l1[i] & QCOW2_L1_OFFSET;

		if (!offset)
			continue;
		if (!w->raise && w->done == w->limit)
			break;
		ret = validate_tree_table(w, offset);
		if (!ret)
			ret = walk_table(w, offset);
		if (!ret)
			ret = change_table(w, offset);
	}
	return ret;
}

int qcow2_raise_tree(struct qcow2 *q, struct qcow2_tree t, uint64_t *done,
		     struct error *err)
{
	struct walk w = { .q = q, .raise = true, .err = err };
	int ret = walk_tree(&w, t);

	*done = w.done;
	return ret;
}

int qcow2_lower_tree(struct qcow2 *q, struct qcow2_tree t, uint64_t limit,
		     struct error *err)
{
	struct walk w = { .q = q, .limit = limit, .err = err };

	return walk_tree(&w, t);
}

/* ---- COPIED ---- */

/* co. Of what a table points at. */
static int mark_copied_slice(struct qcow2 *q, struct qcow2_slice *slice)
{
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h), refcount;
	int ret;

	for (uint64_t i = 0; i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		uint64_t old = e.word;

		if ((old & QCOW2_COMPRESSED) || !(old & QCOW2_L2_OFFSET))
			continue;
		ret = qcow2_get_refcount(q, (old & QCOW2_L2_OFFSET) >>
					      q->cluster_bits, &refcount);
		if (ret)
			return ret;
		e.word &= ~QCOW2_COPIED;
		e.word |= refcount == 1 ? QCOW2_COPIED : 0;
		if (e.word == old)
			continue;
		qcow2_entry_store(&q->h, slice->data, i, e);
		qcow2_cache_dirty(&q->l2_cache, slice);
	}
	return 0;
}

static int mark_table(struct qcow2 *q, uint64_t offset)
{
	struct qcow2_slice *slice;
	int ret = 0;

	for (uint64_t o = 0; !ret && o < q->cluster_size; o += q->slice_size) {
		ret = qcow2_cache_get(&q->l2_cache, offset + o, &slice);
		if (ret)
			return ret;
		ret = mark_copied_slice(q, slice);
		qcow2_cache_put(slice);
		if (!ret)
			ret = relieve(q);
	}
	return ret;
}

/* A table whose refcount is not 1 need not be shared: after a power cut it may be
 * too high, and the refcounts of what it points at be right. */
int qcow2_mark_copied(struct qcow2 *q, struct error *err)
{
	uint64_t refcount = 0;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < q->l1.nr; i++) {
		uint64_t old = q->l1.v[i], new;
		uint64_t offset = old & QCOW2_L1_OFFSET;

		if (!offset)
			continue;
		ret = qcow2_get_refcount(q, offset >> q->cluster_bits, &refcount);
		if (ret)
			break;
		new = offset | (refcount == 1 ? QCOW2_COPIED : 0);
		if (new != old)
			qcow2_table_set(&q->l1, i, new);
		ret = mark_table(q, offset);
	}
	return ret ? error_set_errno(err, -ret, "marking what is not shared") : 0;
}
