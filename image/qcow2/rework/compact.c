/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact.c: gives back the space that an image does not need.
 *
 * With U clusters in use the file could end after U clusters. What lies behind
 * that is moved into free clusters before it, as far as it can be:
 *
 *	L1 tables, L2 tables and the snapshot table: copied, with new L1 tables
 *	and a new snapshot table that lead to the copies; one write to the header
 *	switches to all of them
 *	data: copied, then each L2 entry that leads to it is changed, in the
 *	tables of snapshots, too, where they are
 *	compressed clusters: packed anew (repack.c), which may need more
 *	clusters than before; what does not fit is tried again afterwards
 *
 * A copy gets as many references as the original has before anything leads to
 * it, and the original keeps its own until a commit has got rid of all that lead
 * there; so a crash leaves lost clusters at worst. Both hold the same bytes, so
 * that it does not matter either who sees which.
 *
 * The refcount table goes first, in the same way as it grows. Bitmaps and lost
 * clusters stay where they are; nothing is moved that lies before the last of
 * them. A refcount block stays as long as it counts something.
 */
#include "image/qcow2/rework/compact.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/qcow2/refcount.h"
#include "image/qcow2/rework/repack.h"
#include "image/qcow2/rework/resize.h"
#include "image/qcow2/snapshot.h"

#define COPY_AT_ONCE MiB
/* All L1 tables are in memory meanwhile. */
#define MAX_L1_BYTES GiB
/* Packing compressed clusters anew leaves gaps; more and more of them fit. */
#define ROUNDS_MAX 4

/* An L1 table: the active one is the first. */
struct l1 {
	uint64_t *e;			/* host order */
	uint64_t nr, offset, new;	/* entries, bytes, bytes */
};

struct l2 {
	uint64_t offset, new;		/* bytes; new 0: stays */
	uint64_t refs;			/* L1 entries that lead there */
};

/* What a cluster behind `ideal` is. */
enum { STAYS, MOVES, PACKED };

struct compact {
	struct qcow2 *q;
	struct image_compact *result;
	struct error *err;
	struct qcow2_snapshot_table snapshots;
	struct l1 *l1;
	size_t nr_l1;
	struct l2 *l2;			/* by offset, each once */
	const struct l2 *table;		/* the one of for_each_slice() */
	size_t nr_l2;
	uint64_t ideal, end;		/* clusters: U, behind the last used */
	uint64_t target;		/* clusters: what lies behind it moves */
	uint8_t *what;			/* of clusters from `ideal` on */
	bool mixed;			/* one is data and compressed at once */
	uint64_t *moved_to;		/* from `target` on: cluster, 0: not */
	struct qcow2_repack repack;
	uint64_t done, total;		/* clusters to move */
};

static int fail(struct compact *c, int ret, const char *what)
{
	return ret ? error_set_errno(c->err, -ret, "%s", what) : 0;
}

static int commit(struct compact *c)
{
	return fail(c, qcow2_commit_all(c->q), "writing metadata");
}

static void step(struct compact *c, uint64_t n)
{
	const struct image_progress *p = c->result->progress;

	c->done += n;
	if (p && p->set)
		p->set(p->arg, min(c->done, c->total), c->total);
}

/* ---- clusters in use ---- */

/* co. Calls each() for the clusters of the file, in order; used: in use. */
static int for_each_cluster(struct compact *c,
			    void (*each)(struct compact *c, uint64_t cluster,
					 bool used))
{
	struct qcow2 *q = c->q;
	uint64_t n = qcow2_refs_per_slice(q), index;
	uint64_t end = q->data_end >> q->cluster_bits;
	struct qcow2_slice *slice;
	int ret;

	for (uint64_t first = 0; first < end; first += n) {
		if (!qcow2_has_refblock(q, first)) {
			for (uint64_t k = first; k < min(first + n, end); k++)
				each(c, k, false);
			continue;
		}
		ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, first), first,
					   &slice, &index);
		if (ret)
			return fail(c, ret, "reading refcounts");
		for (uint64_t k = 0; k < n && first + k < end; k++)
			each(c, first + k,
			     qcow2_refcount_get(slice->data,
						q->h.refcount_order, k));
		qcow2_cache_put(slice);
	}
	return 0;
}

static void count_used(struct compact *c, uint64_t cluster, bool used)
{
	c->ideal += used;
	if (used)
		c->end = cluster + 1;
}

/* A refcount block goes when what it counts has gone: see below. */
static void find_target(struct compact *c, uint64_t cluster, bool used)
{
	if (!used || cluster < c->ideal ||
	    c->what[cluster - c->ideal] != STAYS ||
	    qcow2_meta_type(&c->q->meta, cluster) == QCOW2_META_REFBLOCK)
		return;
	c->result->staying += c->q->cluster_size;
	c->target = cluster + 1;
}

/* Room for what packing anew may leave empty. */
static void allow_for_gaps(struct compact *c)
{
	uint64_t packed = 0;

	for (uint64_t k = c->target; k < c->end; k++)
		packed += c->what[k - c->ideal] == PACKED;
	if (packed)
		c->target = min(c->target + packed / 8 + 1, c->end);
}

/* Blocks that will count something stay. */
static void keep_refblocks(struct compact *c)
{
	const struct qcow2 *q = c->q;

	for (uint64_t i = 0; i < q->reftable_entries; i++) {
		uint64_t cluster = q->reftable[i] >> q->cluster_bits;

		if (i << q->refblock_bits >= c->target || cluster < c->target)
			continue;
		c->result->staying += q->cluster_size;
		c->target = cluster + 1;
	}
}

static void count_moves(struct compact *c, uint64_t cluster, bool used)
{
	c->total += used && cluster >= c->target &&
		    c->what[cluster - c->ideal] != STAYS;
}

/* ---- tables ---- */

static int load_l1(struct compact *c, size_t i, uint64_t offset, uint64_t nr)
{
	struct l1 *l = &c->l1[i];
	int ret = 0;

	*l = (struct l1){ calloc(max(nr, UINT64_C(1)), 8), nr, offset, 0 };
	if (!l->e)
		return fail(c, -ENOMEM, "the L1 tables");
	if (!i)
		memcpy(l->e, c->q->l1, nr * 8);
	else if (nr)
		ret = image_pread(c->q->file, offset, nr * 8, l->e);
	for (uint64_t k = 0; i && k < nr; k++)
		l->e[k] = load_be64(&l->e[k]);
	return fail(c, ret, "reading an L1 table");
}

static int load_l1_tables(struct compact *c)
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
		ret = fail(c, -EFBIG, "the L1 tables of all snapshots");
	if (ret)
		return ret;
	c->l1 = calloc(c->snapshots.nr + 1, sizeof(*c->l1));
	if (!c->l1)
		return fail(c, -ENOMEM, "the L1 tables");
	c->nr_l1 = c->snapshots.nr + 1;
	ret = load_l1(c, 0, q->h.l1_table_offset, q->h.l1_size);
	for (unsigned int i = 0; !ret && i < c->snapshots.nr; i++)
		ret = load_l1(c, i + 1, c->snapshots.v[i].sn.l1_offset,
			      c->snapshots.v[i].sn.l1_size);
	return ret;
}

static int by_offset(const void *a, const void *b)
{
	const struct l2 *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static struct l2 *find_l2(const struct compact *c, uint64_t offset)
{
	struct l2 key = { .offset = offset };

	return bsearch(&key, c->l2, c->nr_l2, sizeof(key), by_offset);
}

/* Each L2 table once, however many lead there. */
static int list_l2_tables(struct compact *c)
{
	size_t nr = 0, kept = 0;

	for (size_t i = 0; i < c->nr_l1; i++)
		for (uint64_t k = 0; k < c->l1[i].nr; k++)
			nr += (c->l1[i].e[k] & QCOW2_L1_OFFSET) != 0;
	c->l2 = calloc(nr + 1, sizeof(*c->l2));
	if (!c->l2)
		return fail(c, -ENOMEM, "a list of L2 tables");
	for (size_t i = 0; i < c->nr_l1; i++)
		for (uint64_t k = 0; k < c->l1[i].nr; k++)
			if (c->l1[i].e[k] & QCOW2_L1_OFFSET)
				c->l2[c->nr_l2++].offset =
					c->l1[i].e[k] & QCOW2_L1_OFFSET;
	qsort(c->l2, c->nr_l2, sizeof(*c->l2), by_offset);
	for (size_t i = 0; i < c->nr_l2; i++) {
		if (!i || c->l2[i].offset != c->l2[kept - 1].offset)
			c->l2[kept++] = c->l2[i];
		c->l2[kept - 1].refs++;
	}
	c->nr_l2 = kept;
	return 0;
}

/* ---- what can be moved ---- */

static void mark_as(struct compact *c, uint64_t offset, uint64_t bytes,
		    uint8_t what)
{
	uint64_t first = offset >> c->q->cluster_bits;
	uint64_t end = div_round_up(offset + bytes, c->q->cluster_size);

	for (uint64_t k = max(first, c->ideal); k < min(end, c->end); k++) {
		uint8_t *was = &c->what[k - c->ideal];

		c->mixed |= *was != STAYS && *was != what;
		*was = what;
	}
}

static void mark(struct compact *c, uint64_t offset, uint64_t bytes)
{
	mark_as(c, offset, bytes, MOVES);
}

/* Entries of snapshots are judged here, of the disk once more. */
static int judge_host(struct compact *c, uint64_t host)
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

/* The host offset of an entry that has a cluster of its own, 0: it has not. */
static uint64_t host_of(struct qcow2_entry e)
{
	return e.word & QCOW2_COMPRESSED ? 0 : e.word & QCOW2_L2_OFFSET;
}

static int mark_packed(struct compact *c, uint64_t word)
{
	struct qcow2_compressed p =
		qcow2_compressed_decode(c->q->cluster_bits, word);
	uint64_t first = p.offset >> c->q->cluster_bits;
	uint64_t last = (p.offset + p.len - 1) >> c->q->cluster_bits;
	int ret = first ? 0 : judge_host(c, 1);

	for (uint64_t k = first; !ret && k <= last; k++)
		ret = judge_host(c, k << c->q->cluster_bits);
	if (!ret)
		mark_as(c, p.offset, p.len, PACKED);
	return ret;
}

static int mark_data(struct compact *c, const struct qcow2_slice *slice)
{
	struct qcow2 *q = c->q;
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h);
	int ret = 0;

	for (uint64_t i = 0; !ret && i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		uint64_t host = host_of(e);

		if (e.word & QCOW2_COMPRESSED)
			ret = mark_packed(c, e.word);
		else if (host)
			ret = judge_host(c, host);
		if (host && !ret)
			mark(c, host, q->cluster_size);
	}
	return ret;
}

static int judge_table(struct compact *c, uint64_t offset)
{
	struct qcow2 *q = c->q;
	enum qcow2_meta type = qcow2_meta_type(&q->meta,
					       offset >> q->cluster_bits);

	/* Read-only, the tables of snapshots are not noted. */
	if (is_aligned(offset, q->cluster_size) &&
	    offset >> q->cluster_bits < c->end &&
	    (type == QCOW2_META_L2 || type == QCOW2_META_INACTIVE_L2 ||
	     (c->result->dry_run && type == QCOW2_META_NONE)))
		return 0;
	return error_set(c->err, EINVAL, "corrupt image: an L1 entry leads to %#"
			 PRIx64 " (xdisk check tells more)", offset);
}

/* co. Calls each() for each part of each L2 table, in memory. */
static int for_each_slice(struct compact *c,
			  int (*each)(struct compact *c,
				      struct qcow2_slice *slice))
{
	struct qcow2 *q = c->q;
	struct qcow2_slice *slice;
	int ret = 0;

	for (size_t i = 0; !ret && i < c->nr_l2; i++) {
		uint64_t table = c->l2[i].new ? c->l2[i].new : c->l2[i].offset;

		c->table = &c->l2[i];
		for (uint64_t o = 0; !ret && o < q->cluster_size;
		     o += q->slice_size) {
			ret = qcow2_cache_get(&q->l2_cache, table + o, &slice);
			if (ret)
				return fail(c, ret, "reading an L2 table");
			ret = each(c, slice);
			qcow2_cache_put(slice);
			if (!ret)
				ret = fail(c, qcow2_relieve(q), "writing");
		}
	}
	return ret;
}

static int mark_slice(struct compact *c, struct qcow2_slice *slice)
{
	return mark_data(c, slice);
}

/* co */
static int plan(struct compact *c)
{
	int ret;

	ret = for_each_cluster(c, count_used);
	if (!ret)
		ret = load_l1_tables(c);
	if (!ret)
		ret = list_l2_tables(c);
	for (size_t i = 0; !ret && i < c->nr_l2; i++)
		ret = judge_table(c, c->l2[i].offset);
	if (ret)
		return ret;
	c->what = calloc(1, c->end - min(c->ideal, c->end) + 1);
	if (!c->what)
		return fail(c, -ENOMEM, "a map of the clusters");
	for (size_t i = 0; i < c->nr_l1; i++)
		mark(c, c->l1[i].offset, c->l1[i].nr * 8);
	for (size_t i = 0; i < c->nr_l2; i++)
		mark(c, c->l2[i].offset, c->q->cluster_size);
	mark(c, c->q->h.snapshots_offset, c->snapshots.bytes);
	mark(c, c->q->h.refcount_table_offset, c->q->reftable_entries * 8ull);
	ret = for_each_slice(c, mark_slice);
	if (!ret && c->mixed)
		ret = error_set(c->err, EINVAL, "corrupt image: compressed and "
				"other clusters overlap (xdisk check tells more)");
	c->target = c->ideal;
	if (!ret)
		ret = for_each_cluster(c, find_target);
	allow_for_gaps(c);
	keep_refblocks(c);
	return ret ? ret : for_each_cluster(c, count_moves);
}

static bool behind(const struct compact *c, uint64_t offset)
{
	return offset >> c->q->cluster_bits >= c->target;
}

/* ---- moving tables ---- */

static int copy_clusters(struct compact *c, uint64_t from, uint64_t to,
			 uint64_t count)
{
	uint64_t len = count << c->q->cluster_bits;
	cleanup_free void *buf = NULL;
	int ret;

	if (posix_memalign(&buf, 4096, len))
		return -ENOMEM;
	ret = image_pread(c->q->file, from, len, buf);
	return ret ? ret : image_pwrite(c->q->file, to, len, buf);
}

/* co. -ENOSPC: no room before the target, which is no error. */
static int take(struct compact *c, uint64_t count, uint64_t *offset)
{
	int ret = qcow2_alloc_contiguous(c->q, count, offset);

	if (ret || !behind(c, *offset + ((count - 1) << c->q->cluster_bits)))
		return ret;
	qcow2_free_clusters(c->q, *offset, count, false);
	return -ENOSPC;
}

static int note(struct compact *c, uint64_t offset, uint64_t bytes,
		enum qcow2_meta type)
{
	int ret = 0;

	for (uint64_t o = 0; !ret && o < bytes; o += c->q->cluster_size)
		ret = qcow2_meta_add(&c->q->meta,
				     (offset + o) >> c->q->cluster_bits, type);
	return ret;
}

static int copy_l2_table(struct compact *c, struct l2 *t)
{
	uint64_t size = c->q->cluster_size;
	int ret = take(c, 1, &t->new);

	if (ret) {
		t->new = 0;
		return ret;
	}
	ret = note(c, t->new, size, QCOW2_META_L2);
	qcow2_cache_drop(&c->q->l2_cache, t->new, size);
	return ret ? ret : copy_clusters(c, t->offset, t->new, 1);
}

static int copy_l1_table(struct compact *c, struct l1 *l,
			 enum qcow2_meta type)
{
	struct qcow2 *q = c->q;
	uint64_t bytes = align_up(l->nr * 8, q->cluster_size);
	cleanup_free uint8_t *buf = NULL;
	int ret;

	if (!bytes)
		return 0;
	ret = take(c, bytes >> q->cluster_bits, &l->new);
	if (ret) {
		l->new = 0;
		return ret;
	}
	ret = note(c, l->new, bytes, type);
	buf = calloc(1, bytes);
	if (ret || !buf)
		return ret ? ret : -ENOMEM;
	for (uint64_t i = 0; i < l->nr; i++) {
		struct l2 *t = find_l2(c, l->e[i] & QCOW2_L1_OFFSET);

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
		if (behind(c, c->l2[i].offset))
			ret = copy_l2_table(c, &c->l2[i]);
	for (size_t i = 0; !ret && i < c->nr_l1; i++)
		ret = copy_l1_table(c, &c->l1[i], i ? QCOW2_META_INACTIVE_L1 :
						      QCOW2_META_L1);
	for (unsigned int i = 0; !ret && i < c->snapshots.nr; i++)
		c->snapshots.v[i].sn.l1_offset = c->l1[i + 1].new;
	if (ret)
		return ret;
	return qcow2_snapshot_table_write(c->q, &c->snapshots, table, bytes,
					  NULL);
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

/* co. One write, and the copies are what is in use. */
static int switch_tables(struct compact *c, uint64_t table)
{
	struct qcow2 *q = c->q;
	int ret;

	memcpy(q->l1, c->l1[0].e, c->l1[0].nr * 8);
	if (c->l1[0].new)
		q->h.l1_table_offset = c->l1[0].new;
	q->h.snapshots_offset = table;
	ret = qcow2_write_header(q);
	return ret ? fail(c, qcow2_switch_failed(q, ret, "compacting"),
			  "updating the header") : 0;
}

/* co. The originals; nothing leads there any more. */
static int free_tables(struct compact *c, uint64_t table)
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
		step(c, 1);
	}
	for (size_t i = 0; i < c->nr_l1; i++)
		if (c->l1[i].new)
			qcow2_forget_clusters(q, c->l1[i].offset,
					      c->l1[i].nr * 8);
	qcow2_forget_clusters(q, table, c->snapshots.bytes);
	ret = fail(c, ret, "freeing tables");
	return ret ? ret : commit(c);
}

static bool tables_move(const struct compact *c)
{
	bool any = c->snapshots.bytes &&
		   behind(c, c->q->h.snapshots_offset + c->snapshots.bytes - 1);

	for (size_t i = 0; i < c->nr_l1; i++)
		any |= c->l1[i].nr && behind(c, c->l1[i].offset +
					     c->l1[i].nr * 8 - 1);
	return any || (c->nr_l2 && behind(c, c->l2[c->nr_l2 - 1].offset));
}

/* co. They stay, all of them, where there is no room for new ones. */
static int move_tables(struct compact *c)
{
	uint64_t old = c->q->h.snapshots_offset, table = 0, bytes = 0;
	int ret;

	if (!tables_move(c))
		return 0;
	ret = copy_tables(c, &table, &bytes);
	if (!ret)
		ret = share_l2_tables(c);
	if (ret) {
		forget_copies(c);
		qcow2_forget_clusters(c->q, table, bytes);
		return ret == -ENOSPC ? commit(c) :
					fail(c, ret, "copying tables");
	}
	ret = commit(c);
	if (!ret)
		ret = switch_tables(c, table);
	return ret ? ret : free_tables(c, old);
}

/* co */
static int move_reftable(struct compact *c)
{
	struct qcow2 *q = c->q;
	uint64_t bytes = q->reftable_entries * 8ull, offset;
	int ret;

	if (!behind(c, q->h.refcount_table_offset + bytes - 1))
		return 0;
	ret = take(c, q->h.refcount_table_clusters, &offset);
	if (ret == -ENOSPC)
		return commit(c);
	if (!ret)
		ret = qcow2_move_reftable(q, offset);
	step(c, q->h.refcount_table_clusters);
	ret = fail(c, ret, "moving the refcount table");
	return ret ? ret : commit(c);
}

/* ---- moving data ---- */

/* How many entries from `i` on lead to neighbours that have not been moved. */
static uint64_t run_length(const struct compact *c, const void *table,
			   uint64_t i, uint64_t n)
{
	const struct qcow2 *q = c->q;
	uint64_t host = host_of(qcow2_entry_load(&q->h, table, i)), count = 0;
	uint64_t most = max(COPY_AT_ONCE >> q->cluster_bits, UINT64_C(1));

	for (; i < n && count < most; i++, count++, host += q->cluster_size)
		if (host_of(qcow2_entry_load(&q->h, table, i)) != host ||
		    c->moved_to[(host >> q->cluster_bits) - c->target])
			break;
	return count;
}

/* co. Copies of up to `count` clusters, with their references. *done of them;
 * 0: there is no room. */
static int move_run(struct compact *c, uint64_t from, uint64_t count,
		    uint64_t *done)
{
	struct qcow2 *q = c->q;
	uint64_t to, refs = 0, cluster = from >> q->cluster_bits;
	bool fresh;
	int ret;

	ret = qcow2_alloc_clusters(q, count, &to, done, &fresh);
	if (ret == -ENOSPC)
		*done = 0;
	if (ret)
		return ret == -ENOSPC ? 0 : fail(c, ret, "allocating");
	if (behind(c, to + ((*done - 1) << q->cluster_bits))) {
		qcow2_free_clusters(q, to, *done, false);
		*done = 0;
		return 0;
	}
	ret = copy_clusters(c, from, to, *done);
	for (uint64_t k = 0; !ret && k < *done; k++) {
		uint64_t new = (to >> q->cluster_bits) + k;

		ret = qcow2_get_refcount(q, cluster + k, &refs);
		if (!ret && !refs)
			ret = -EINVAL;	/* in use and not counted */
		if (!ret && refs != 1)
			ret = qcow2_set_refcounts(q, new, 1, refs);
		c->moved_to[cluster + k - c->target] = new;
	}
	c->result->moved += *done << q->cluster_bits;
	step(c, *done);
	return fail(c, ret, "copying data");
}

/* A table that is changed is one of those that are written. */
static int make_active(struct compact *c, uint64_t offset)
{
	struct qcow2 *q = c->q;
	uint64_t cluster = offset >> q->cluster_bits;

	if (qcow2_meta_type(&q->meta, cluster) != QCOW2_META_INACTIVE_L2)
		return 0;
	qcow2_meta_del(&q->meta, cluster);
	return qcow2_meta_add(&q->meta, cluster, QCOW2_META_L2);
}

/* co. Those that reach behind the target. */
static int move_packed(struct compact *c, struct qcow2_slice *slice)
{
	struct qcow2 *q = c->q;
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h), new, before;
	int ret = 0;

	for (uint64_t i = 0; !ret && i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		struct qcow2_compressed p =
			qcow2_compressed_decode(q->cluster_bits, e.word);

		if (!(e.word & QCOW2_COMPRESSED) ||
		    !behind(c, p.offset + p.len - 1))
			continue;
		before = c->repack.moved >> q->cluster_bits;
		ret = fail(c, qcow2_repack(&c->repack, e.word, c->table->refs,
					   &new),
			   "copying compressed clusters");
		step(c, (c->repack.moved >> q->cluster_bits) - before);
		if (ret || !new)
			continue;
		qcow2_entry_store(&q->h, slice->data, i,
				  (struct qcow2_entry){ new, e.bitmap });
		qcow2_cache_dirty(&q->l2_cache, slice);
		for (uint64_t k = 0; k < c->table->refs; k++)
			qcow2_free_entry(q, e, false);
		ret = fail(c, make_active(c, slice->offset), "L2 tables");
	}
	return ret;
}

static int move_data(struct compact *c, struct qcow2_slice *slice)
{
	struct qcow2 *q = c->q;
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h), done = 0, *to;
	int ret = 0;

	for (uint64_t i = 0; !ret && i < n; i++) {
		struct qcow2_entry e = qcow2_entry_load(&q->h, slice->data, i);
		uint64_t host = host_of(e);

		if (!host || !behind(c, host))
			continue;
		to = &c->moved_to[(host >> q->cluster_bits) - c->target];
		if (!*to)
			ret = move_run(c, host,
				       run_length(c, slice->data, i, n), &done);
		if (ret || !*to)
			continue;
		e.word = (e.word & ~QCOW2_L2_OFFSET) | *to << q->cluster_bits;
		qcow2_entry_store(&q->h, slice->data, i, e);
		qcow2_cache_dirty(&q->l2_cache, slice);
		ret = fail(c, make_active(c, slice->offset), "L2 tables");
	}
	return ret;
}

/* co. When nothing on disk leads to the originals. */
static int free_data(struct compact *c)
{
	struct qcow2 *q = c->q;
	int ret = 0;

	for (uint64_t i = 0; !ret && c->target + i < c->end; i++)
		if (c->moved_to[i])
			ret = qcow2_set_refcounts(q, c->target + i, 1, 0);
	ret = fail(c, ret, "freeing clusters");
	return ret ? ret : commit(c);
}

/* ---- all ---- */

static int punch_holes(struct compact *c)
{
	struct qcow2 *q = c->q;
	uint64_t end = q->data_end >> q->cluster_bits, run = 0, count;
	int ret = 0;

	for (uint64_t k = 0; !ret && k <= end; k++) {
		count = 1;
		if (k < end)
			ret = qcow2_get_refcount(q, k, &count);
		if (!count)
			continue;
		if (run < k && !ret)
			image_pdiscard(q->file, run << q->cluster_bits,
				       (k - run) << q->cluster_bits);
		run = k + 1;
	}
	return fail(c, ret, "reading refcounts");
}

static int carry_out(struct compact *c)
{
	struct qcow2 *q = c->q;
	int ret;

	qcow2_restart_search(q);
	c->moved_to = calloc(c->end - min(c->target, c->end) + 1, 8);
	if (!c->moved_to)
		return fail(c, -ENOMEM, "a map of the clusters");
	ret = move_reftable(c);
	if (!ret)
		ret = move_tables(c);
	if (!ret)
		ret = for_each_slice(c, move_data);
	if (!ret)
		ret = fail(c, qcow2_repack_init(&c->repack, q,
						c->target << q->cluster_bits),
			   "packing anew");
	if (!ret)
		ret = for_each_slice(c, move_packed);
	c->result->moved += c->repack.moved;
	if (!ret)
		ret = commit(c);
	if (!ret)
		ret = free_data(c);
	if (!ret)
		ret = fail(c, qcow2_trim(q), "shortening the file");
	return ret ? ret : punch_holes(c);
}

static int judge(struct qcow2 *q, struct error *err)
{
	if (q->h.incompat & QCOW2_INCOMPAT_DATA_FILE)
		return error_set(err, ENOTSUP, "an image with an external data "
				 "file has nothing to compact");
	if (q->h.crypt_method == QCOW2_CRYPT_LUKS)
		return error_set(err, ENOTSUP, "what is encrypted with LUKS "
				 "cannot be moved");
	return q->stopped ? error_set_errno(err, -q->stopped, "%s",
					    q->img->path) : 0;
}

static void finish(struct compact *c)
{
	qcow2_repack_deinit(&c->repack);
	for (size_t i = 0; i < c->nr_l1; i++)
		free(c->l1[i].e);
	free(c->l1);
	free(c->l2);
	free(c->what);
	free(c->moved_to);
	qcow2_snapshot_table_free(&c->snapshots);
}

/* co. *again: compressed clusters are left, for which there may be room now. */
static int compact_once(struct qcow2 *q, struct image_compact *result,
			bool *again, struct error *err)
{
	struct compact c = { .q = q, .result = result, .err = err };
	int ret = 0;

	result->staying = 0;
	if (!result->dry_run)
		ret = commit(&c);
	if (!ret)
		ret = plan(&c);
	if (!ret && !result->dry_run)
		ret = carry_out(&c);
	result->after = result->dry_run ? c.target << q->cluster_bits :
					  q->data_end;
	if (result->dry_run)
		result->moved = c.total << q->cluster_bits;
	*again = c.repack.full;
	finish(&c);
	return ret;
}

int qcow2_compact(struct image *img, struct image_compact *result,
		  struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	bool again = true;
	int ret = judge(q, err);

	if (ret)
		return ret;
	result->before = q->file->size;
	if (!result->dry_run)
		ret = qcow2_begin_write(q);
	if (ret)
		return error_set_errno(err, -ret, "writing");
	for (int round = 0; !ret && again && round < ROUNDS_MAX; round++)
		ret = compact_once(q, result, &again, err);
	return ret;
}
