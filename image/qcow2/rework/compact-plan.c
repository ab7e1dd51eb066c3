/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact-plan.c: what each cluster is, and from where on they move.
 *
 * U clusters are in use. Behind cluster U, what can be moved is marked by
 * walking all tables; the last cluster in use without a mark sets the target,
 * since nothing before it has to move. The target goes up for gaps that packing
 * compressed clusters may leave, and for refcount blocks that will still count
 * something.
 */
#include "image/qcow2/rework/compact-plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "image/qcow2/core/refcount.h"

/* Whether a cluster behind `ideal` moves, and how. */
enum { STAYS, MOVES, PACKED };

struct cluster_map {
	struct compact *c;
	uint64_t ideal;			/* clusters in use: U */
	uint8_t *kinds;			/* of clusters from `ideal` on */
	bool mixed;			/* one is data and compressed at once */
};

/* ---- clusters in use ---- */

/* co. Calls each() for the clusters of the file, in order; used: in use. */
static int for_each_cluster(struct cluster_map *m,
			    void (*each)(struct cluster_map *m,
					 uint64_t cluster, bool used))
{
	struct qcow2 *q = m->c->q;
	uint64_t n = qcow2_refs_per_slice(q), index;
	uint64_t end = q->data_end >> q->cluster_bits;
	struct qcow2_slice *slice;
	int ret;

	for (uint64_t first = 0; first < end; first += n) {
		if (!qcow2_has_refblock(q, first)) {
			for (uint64_t k = first; k < min(first + n, end); k++)
				each(m, k, false);
			continue;
		}
		ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, first), first,
					   &slice, &index);
		if (ret)
			return compact_error(m->c, ret, "reading refcounts");
		for (uint64_t k = 0; k < n && first + k < end; k++)
			each(m, first + k,
			     qcow2_refcount_get(slice->data,
						q->h.refcount_order, k));
		qcow2_cache_put(slice);
	}
	return 0;
}

static void count_used(struct cluster_map *m, uint64_t cluster, bool used)
{
	m->ideal += used;
	if (used)
		m->c->end = cluster + 1;
}

/* ---- what can be moved ---- */

static void mark_clusters(struct cluster_map *m, uint64_t offset,
			  uint64_t bytes, uint8_t kind)
{
	const struct qcow2 *q = m->c->q;
	uint64_t first = offset >> q->cluster_bits;
	uint64_t end = div_round_up(offset + bytes, q->cluster_size);

	for (uint64_t k = max(first, m->ideal); k < min(end, m->c->end); k++) {
		uint8_t *was = &m->kinds[k - m->ideal];

		m->mixed |= *was != STAYS && *was != kind;
		*was = kind;
	}
}

static void mark_tables(struct cluster_map *m)
{
	const struct compact *c = m->c;
	const struct qcow2_header *h = &c->q->h;

	for (size_t i = 0; i < c->nr_l1; i++)
		mark_clusters(m, c->l1[i].offset, c->l1[i].nr * 8, MOVES);
	for (size_t i = 0; i < c->nr_l2; i++)
		mark_clusters(m, c->l2[i].offset, c->q->cluster_size, MOVES);
	mark_clusters(m, h->snapshots_offset, c->snapshots.bytes, MOVES);
	mark_clusters(m, h->refcount_table_offset,
		      c->q->reftable.nr * 8ull, MOVES);
}

/* The tables of snapshots have not been validated before. */
static int validate_data_offset(struct compact *c, uint64_t host)
{
	struct qcow2 *q = c->q;

	if (is_aligned(host, q->cluster_size) &&
	    host >> q->cluster_bits < c->end &&
	    qcow2_meta_type(&q->meta, host >> q->cluster_bits) ==
		    QCOW2_META_NONE)
		return 0;
	return error_set(c->err, EINVAL, "corrupt image: an L2 entry leads to %#"
			 PRIx64 " (xdisk check tells more)", host);
}

static int mark_compressed(struct cluster_map *m, uint64_t word)
{
	uint32_t bits = m->c->q->cluster_bits;
	struct qcow2_compressed p = qcow2_compressed_decode(bits, word);
	uint64_t first = p.offset >> bits;
	uint64_t last = (p.offset + p.len - 1) >> bits;
	int ret = first ? 0 : validate_data_offset(m->c, 1);

	for (uint64_t k = first; !ret && k <= last; k++)
		ret = validate_data_offset(m->c, k << bits);
	if (!ret)
		mark_clusters(m, p.offset, p.len, PACKED);
	return ret;
}

static int mark_data(void *arg, const struct compact_l2 *table,
		     struct qcow2_slice *slice)
{
	struct cluster_map *m = arg;
	struct qcow2 *q = m->c->q;
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h);
	int ret = 0;

	(void)table;
	for (uint64_t i = 0; !ret && i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		uint64_t host = compact_host_of(e);

		if (e.word & QCOW2_COMPRESSED)
			ret = mark_compressed(m, e.word);
		else if (host)
			ret = validate_data_offset(m->c, host);
		if (host && !ret)
			mark_clusters(m, host, q->cluster_size, MOVES);
	}
	return ret;
}

static int mark_movable(struct cluster_map *m)
{
	struct compact *c = m->c;
	int ret;

	m->kinds = calloc(1, c->end - min(m->ideal, c->end) + 1);
	if (!m->kinds)
		return compact_error(c, -ENOMEM, "a map of the clusters");
	mark_tables(m);
	ret = compact_for_each_slice(c, mark_data, m);
	if (!ret && m->mixed)
		ret = error_set(c->err, EINVAL, "corrupt image: compressed and "
				"other clusters overlap (xdisk check tells more)");
	return ret;
}

/* ---- the target ---- */

/* What cannot move keeps all before it in place. A refcount block does not: it
 * goes when all that it counts has gone. */
static void raise_target(struct cluster_map *m, uint64_t cluster, bool used)
{
	struct compact *c = m->c;

	if (!used || cluster < m->ideal ||
	    m->kinds[cluster - m->ideal] != STAYS ||
	    qcow2_meta_type(&c->q->meta, cluster) == QCOW2_META_REFBLOCK)
		return;
	c->result->staying += c->q->cluster_size;
	c->target = cluster + 1;
}

/* Room for what packing anew may leave empty. */
static void allow_for_gaps(struct cluster_map *m)
{
	struct compact *c = m->c;
	uint64_t packed = 0;

	for (uint64_t k = c->target; k < c->end; k++)
		packed += m->kinds[k - m->ideal] == PACKED;
	if (packed)
		c->target = min(c->target + packed / 8 + 1, c->end);
}

/* Blocks that will count something stay. */
static void keep_refblocks(struct compact *c)
{
	const struct qcow2 *q = c->q;

	for (uint64_t i = 0; i < q->reftable.nr; i++) {
		uint64_t cluster = q->reftable.v[i] >> q->cluster_bits;

		if (i << q->refblock_bits >= c->target || cluster < c->target)
			continue;
		c->result->staying += q->cluster_size;
		c->target = cluster + 1;
	}
}

static void count_moves(struct cluster_map *m, uint64_t cluster, bool used)
{
	m->c->total += used && cluster >= m->c->target &&
		       m->kinds[cluster - m->ideal] != STAYS;
}

static int choose_target(struct cluster_map *m)
{
	int ret;

	m->c->target = m->ideal;
	ret = for_each_cluster(m, raise_target);
	if (ret)
		return ret;
	allow_for_gaps(m);
	keep_refblocks(m->c);
	return for_each_cluster(m, count_moves);
}

int compact_plan(struct compact *c)
{
	struct cluster_map m = { .c = c };
	int ret;

	ret = for_each_cluster(&m, count_used);
	if (!ret)
		ret = compact_load_tables(c);
	if (!ret)
		ret = mark_movable(&m);
	if (!ret)
		ret = choose_target(&m);
	free(m.kinds);
	return ret;
}
