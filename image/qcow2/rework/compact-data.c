/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact-data.c: moves the guest's data before the target.
 *
 * Each table is walked once for data clusters and once more for compressed ones,
 * which are packed into what is left. The first entry that leads to a cluster
 * moves it, with its neighbours; the next ones, of other tables, only follow.
 */
#include "image/qcow2/rework/compact-plan.h"

#include <errno.h>
#include <stdlib.h>

#include "image/qcow2/map.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/rework/repack.h"

#define COPY_AT_ONCE MiB

struct data_move {
	struct compact *c;
	uint64_t *moved_to;		/* from `target` on: cluster, 0: not */
	struct qcow2_repack repack;
};

/* How many entries from `i` on lead to neighbours that have not been moved. */
static uint64_t movable_run(const struct data_move *m, const void *table,
			    uint64_t i, uint64_t n)
{
	const struct qcow2 *q = m->c->q;
	uint64_t host = compact_host_of(qcow2_entry_load(&q->h, table, i));
	uint64_t most = max(COPY_AT_ONCE >> q->cluster_bits, UINT64_C(1));
	uint64_t count = 0;

	for (; i < n && count < most; i++, count++, host += q->cluster_size)
		if (compact_host_of(qcow2_entry_load(&q->h, table, i)) != host ||
		    m->moved_to[(host >> q->cluster_bits) - m->c->target])
			break;
	return count;
}

/* co. Up to `count` clusters before the target. *done of them; 0: there is no
 * room. */
static int alloc_run(struct compact *c, uint64_t count, uint64_t *to,
		     uint64_t *done)
{
	struct qcow2 *q = c->q;
	bool fresh;
	int ret = qcow2_alloc_clusters(q, count, to, done, &fresh);

	if (ret == -ENOSPC)
		*done = 0;
	if (ret)
		return ret == -ENOSPC ? 0 : compact_error(c, ret, "allocating");
	if (compact_beyond_target(c, *to + ((*done - 1) << q->cluster_bits))) {
		qcow2_free_clusters(q, *to, *done, false);
		*done = 0;
	}
	return 0;
}

/* co. Copies of up to `count` clusters, with their references, as far as there is
 * room. */
static int move_run(struct data_move *m, uint64_t from, uint64_t count)
{
	struct compact *c = m->c;
	struct qcow2 *q = c->q;
	uint64_t to, done, refs = 0, cluster = from >> q->cluster_bits;
	int ret = alloc_run(c, count, &to, &done);

	if (ret || !done)
		return ret;
	ret = compact_copy_clusters(c, from, to, done);
	for (uint64_t k = 0; !ret && k < done; k++) {
		uint64_t new = (to >> q->cluster_bits) + k;

		ret = qcow2_get_refcount(q, cluster + k, &refs);
		if (!ret && !refs)
			ret = -EINVAL;	/* in use and not counted */
		if (!ret && refs != 1)
			ret = qcow2_set_refcounts(q, new, 1, refs);
		m->moved_to[cluster + k - c->target] = new;
	}
	c->result->moved += done << q->cluster_bits;
	compact_progress(c, done);
	return compact_error(c, ret, "copying data");
}

/* Only the tables of the disk are written by commits: one of a snapshot that is
 * changed becomes one of them. */
static int make_l2_active(struct compact *c, uint64_t offset)
{
	struct qcow2 *q = c->q;
	uint64_t cluster = offset >> q->cluster_bits;

	if (qcow2_meta_type(&q->meta, cluster) != QCOW2_META_INACTIVE_L2)
		return 0;
	qcow2_meta_del(&q->meta, cluster);
	return qcow2_meta_add(&q->meta, cluster, QCOW2_META_L2);
}

static int replace_entry(struct compact *c, struct qcow2_slice *slice,
			 uint64_t i, struct qcow2_entry e)
{
	qcow2_entry_store(&c->q->h, slice->data, i, e);
	qcow2_cache_dirty(&c->q->l2_cache, slice);
	return compact_error(c, make_l2_active(c, slice->offset), "L2 tables");
}

static int move_data_clusters(void *arg, const struct compact_l2 *table,
			      struct qcow2_slice *slice)
{
	struct data_move *m = arg;
	struct compact *c = m->c;
	struct qcow2 *q = c->q;
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h), *to;
	int ret = 0;

	(void)table;
	for (uint64_t i = 0; !ret && i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		uint64_t host = compact_host_of(e);

		if (!host || !compact_beyond_target(c, host))
			continue;
		to = &m->moved_to[(host >> q->cluster_bits) - c->target];
		if (!*to)
			ret = move_run(m, host,
				       movable_run(m, slice->data, i, n));
		if (ret || !*to)
			continue;
		e.word = (e.word & ~QCOW2_L2_OFFSET) | *to << q->cluster_bits;
		ret = replace_entry(c, slice, i, e);
	}
	return ret;
}

/* co. Those that reach behind the target. */
static int repack_clusters(void *arg, const struct compact_l2 *table,
			   struct qcow2_slice *slice)
{
	struct data_move *m = arg;
	struct compact *c = m->c;
	struct qcow2 *q = c->q;
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h), new, before;
	int ret = 0;

	for (uint64_t i = 0; !ret && i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		struct qcow2_compressed p =
			qcow2_compressed_decode(q->cluster_bits, e.word);

		if (!(e.word & QCOW2_COMPRESSED) ||
		    !compact_beyond_target(c, p.offset + p.len - 1))
			continue;
		before = m->repack.moved >> q->cluster_bits;
		ret = compact_error(c, qcow2_repack(&m->repack, e.word,
						    table->refs, &new),
				    "copying compressed clusters");
		compact_progress(c, (m->repack.moved >> q->cluster_bits) -
				    before);
		if (ret || !new)
			continue;
		ret = replace_entry(c, slice, i,
				    (struct qcow2_entry){ new, e.bitmap });
		for (uint64_t k = 0; k < table->refs; k++)
			qcow2_free_entry(q, e, false);
	}
	return ret;
}

/* co. When nothing on disk leads to the originals. */
static int free_moved_clusters(struct data_move *m)
{
	struct compact *c = m->c;
	int ret = 0;

	for (uint64_t k = c->target; !ret && k < c->end; k++)
		if (m->moved_to[k - c->target])
			ret = qcow2_set_refcounts(c->q, k, 1, 0);
	ret = compact_error(c, ret, "freeing clusters");
	return ret ? ret : compact_commit(c);
}

static int move_all_data(struct data_move *m)
{
	struct compact *c = m->c;
	struct qcow2 *q = c->q;
	int ret = compact_for_each_slice(c, move_data_clusters, m);

	if (!ret)
		ret = compact_error(c, qcow2_repack_init(&m->repack, q,
				    c->target << q->cluster_bits),
				    "packing anew");
	if (!ret)
		ret = compact_for_each_slice(c, repack_clusters, m);
	c->result->moved += m->repack.moved;
	c->full = m->repack.full;
	if (!ret)
		ret = compact_commit(c);
	return ret ? ret : free_moved_clusters(m);
}

int compact_move_data(struct compact *c)
{
	struct data_move m = { .c = c };
	int ret;

	m.moved_to = calloc(c->end - min(c->target, c->end) + 1, 8);
	if (!m.moved_to)
		return compact_error(c, -ENOMEM, "a map of the clusters");
	ret = move_all_data(&m);
	qcow2_repack_deinit(&m.repack);
	free(m.moved_to);
	return ret;
}
