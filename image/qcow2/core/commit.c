/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * commit.c: gets changed metadata to the file in a safe order.
 *
 * A commit takes copies of everything dirty between two waiting points (the
 * checkpoint), so that what it writes is one consistent state although requests
 * go on meanwhile:
 *
 *	0 barrier of the data file	(where that is another)
 *	1 refcount blocks		a cluster counts as used ...
 *	2 barrier, refcount table	(new blocks before the table names them)
 *	3 barrier			... and its data is there, before
 *	4 L2 slices			an L2 entry names it
 *	5 barrier, L1 table		(new L2 tables before L1 names them)
 *	6 barrier			the flush is done
 *	7 refcounts of freed clusters go down, in memory
 *
 * A barrier is fdatasync. Steps with nothing to write fall away; a flush of an
 * image whose metadata is clean is the last barrier alone.
 *
 * When a write fails, what was in the checkpoint counts as dirty again and the
 * image takes no more writes until a later commit has got it all out. When a
 * barrier fails nobody knows what is on disk: then writing ends for good.
 */
#include "image/qcow2/core/commit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "image/qcow2/core/refcount.h"
#include "io/co-group.h"

#define WRITES_AT_ONCE 32
#define FREED_MAX 4096		/* runs that wait for a commit */
#define WRITE_MAX (1 * MiB)

/* Copies of slices of one cache, in the order of the file. */
struct batch {
	struct image *file;
	struct qcow2_slice **slices;	/* flagged `writing` meanwhile */
	uint8_t *data;			/* nr * slice_size bytes */
	size_t nr;
	uint32_t slice_size;
};

/* Dirty 512-byte sectors of a table that is in memory as a whole. */
struct table_copy {
	uint64_t offset;		/* of the table in the file */
	uint8_t *data;			/* big-endian; sectors */
	uint32_t *sectors;		/* their numbers */
	size_t nr;
};

struct checkpoint {
	struct batch refcounts, l2;
	struct table_copy reftable, l1;
	struct qcow2_freed_list freed;
};

/* ---- the checkpoint ---- */

static int by_slice_offset(const void *a, const void *b)
{
	const struct qcow2_slice *x = *(struct qcow2_slice *const *)a;
	const struct qcow2_slice *y = *(struct qcow2_slice *const *)b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int copy_slices(struct qcow2_cache *c, struct batch *b)
{
	struct qcow2_slice *s, *tmp;
	size_t bytes = (size_t)c->nr_dirty * c->slice_size;

	b->file = c->file;
	b->slice_size = c->slice_size;
	if (!c->nr_dirty)
		return 0;
	b->slices = malloc(c->nr_dirty * sizeof(*b->slices));
	if (!b->slices || posix_memalign((void **)&b->data, 4096, bytes))
		return -ENOMEM;
	list_for_each_safe(s, tmp, &c->dirty, dirty_link) {
		list_del(&s->dirty_link);
		s->dirty = false;
		s->writing = true;
		b->slices[b->nr++] = s;
	}
	c->nr_dirty = 0;
	qsort(b->slices, b->nr, sizeof(*b->slices), by_slice_offset);
	for (size_t i = 0; i < b->nr; i++)
		memcpy(b->data + i * c->slice_size, b->slices[i]->data,
		       c->slice_size);
	return 0;
}

static int copy_table(struct qcow2_table *table, uint64_t offset,
		      struct table_copy *t)
{
	uint64_t nr = 0, sectors = qcow2_table_sectors(table->nr);

	t->offset = offset;
	if (!table->any_dirty)
		return 0;
	for (uint64_t i = 0; i < sectors; i++)
		nr += table->dirty[i];
	t->sectors = malloc(nr * sizeof(*t->sectors));
	if (!t->sectors ||
	    posix_memalign((void **)&t->data, 4096, nr * SECTOR_SIZE))
		return -ENOMEM;
	for (uint32_t i = 0; i < sectors; i++) {
		if (!table->dirty[i])
			continue;
		qcow2_table_encode_sector(table, i,
					  t->data + t->nr * SECTOR_SIZE);
		t->sectors[t->nr++] = i;
	}
	qcow2_table_set_clean(table);
	return 0;
}

/* Never waits. On failure nothing is lost: see settle_checkpoint(). */
static int take_checkpoint(struct qcow2 *q, struct checkpoint *cp)
{
	int ret;

	ret = copy_slices(&q->ref_cache, &cp->refcounts);
	if (!ret)
		ret = copy_slices(&q->l2_cache, &cp->l2);
	if (!ret)
		ret = copy_table(&q->reftable, q->h.refcount_table_offset,
				 &cp->reftable);
	if (!ret)
		ret = copy_table(&q->l1, q->h.l1_table_offset, &cp->l1);
	if (!ret) {
		cp->freed = q->freed;
		q->freed = (struct qcow2_freed_list){ NULL, 0, 0 };
	}
	return ret;
}

static void settle_batch(struct qcow2_cache *c, struct batch *b, bool failed)
{
	for (size_t i = 0; i < b->nr; i++) {
		b->slices[i]->writing = false;
		if (failed)
			qcow2_cache_dirty(c, b->slices[i]);
	}
	free(b->slices);
	free(b->data);
}

static void settle_table(struct qcow2_table *table, struct table_copy *t,
			 bool failed)
{
	for (size_t i = 0; failed && i < t->nr; i++) {
		table->dirty[t->sectors[i]] = 1;
		table->any_dirty = true;
	}
	free(t->sectors);
	free(t->data);
}

/* What was freed meanwhile goes behind what is still held back. */
static void settle_freed(struct qcow2 *q, struct qcow2_freed_list *kept)
{
	struct qcow2_freed_list later = q->freed;

	q->freed = *kept;
	for (size_t i = 0; i < later.nr; i++)
		qcow2_free_run(q, later.v[i]);
	free(later.v);
}

static void settle_checkpoint(struct qcow2 *q, struct checkpoint *cp,
			      bool failed)
{
	settle_batch(&q->ref_cache, &cp->refcounts, failed);
	settle_batch(&q->l2_cache, &cp->l2, failed);
	settle_table(&q->reftable, &cp->reftable, failed);
	settle_table(&q->l1, &cp->l1, failed);
	settle_freed(q, &cp->freed);
}

/* ---- writing ---- */

struct write_job {
	struct image *file;
	uint64_t offset;
	uint32_t len;
	const uint8_t *data;
};

static int run_batch_write(void *arg)
{
	struct write_job job = *(struct write_job *)arg;

	return image_pwrite(job.file, job.offset, job.len, job.data);
}

/* Neighbours go out in one write. */
static int write_batch(const struct batch *b, enum image_event event)
{
	struct co_group g;
	size_t i = 0;

	if (b->nr)
		image_event(b->file, event);
	co_group_init(&g, WRITES_AT_ONCE);
	while (i < b->nr) {
		struct write_job job = {
			b->file, b->slices[i]->offset, b->slice_size,
			b->data + i * b->slice_size,
		};

		while (++i < b->nr && job.len < WRITE_MAX &&
		       b->slices[i]->offset == job.offset + job.len)
			job.len += b->slice_size;
		if (!co_group_start(&g, run_batch_write, &job))
			break;
	}
	return co_group_wait(&g);
}

static int write_table_sectors(struct image *file, const struct table_copy *t,
			       enum image_event event)
{
	int ret = 0;

	image_event(file, event);

	for (size_t i = 0; !ret && i < t->nr; i++)
		ret = image_pwrite(file, t->offset +
				   (uint64_t)t->sectors[i] * SECTOR_SIZE,
				   SECTOR_SIZE, t->data + i * SECTOR_SIZE);
	return ret;
}

/* Before every metadata write: is the place what we hold it for? */
static int judge_batch(struct qcow2 *q, const struct batch *b,
		       enum qcow2_meta expected)
{
	for (size_t i = 0; i < b->nr; i++) {
		uint64_t c = b->slices[i]->offset >> q->cluster_bits;
		enum qcow2_meta type = qcow2_meta_type(&q->meta, c);

		if (unlikely(type != expected))
			return qcow2_corrupt(q, "a write of %s at %#" PRIx64
					     " would hit %s",
					     qcow2_meta_name(expected),
					     b->slices[i]->offset,
					     qcow2_meta_name(type));
	}
	return 0;
}

static int write_checkpoint(struct qcow2 *q, const struct checkpoint *cp)
{
	int ret;

	ret = judge_batch(q, &cp->refcounts, QCOW2_META_REFBLOCK);
	if (!ret)
		ret = judge_batch(q, &cp->l2, QCOW2_META_L2);
	if (!ret && q->data != q->file)
		ret = qcow2_data_barrier(q);
	if (!ret)
		ret = write_batch(&cp->refcounts, IMAGE_EVENT_REFBLOCK_UPDATE);
	if (!ret && cp->reftable.nr) {
		ret = qcow2_barrier(q);
		if (!ret)
			ret = write_table_sectors(q->file, &cp->reftable,
						  IMAGE_EVENT_REFTABLE_UPDATE);
	}
	if (!ret && (cp->l2.nr || cp->l1.nr))
		ret = qcow2_barrier(q);
	if (!ret)
		ret = write_batch(&cp->l2, IMAGE_EVENT_L2_UPDATE);
	if (!ret && cp->l1.nr) {
		ret = qcow2_barrier(q);
		if (!ret)
			ret = write_table_sectors(q->file, &cp->l1,
						  IMAGE_EVENT_L1_UPDATE);
	}
	return ret ? ret : qcow2_barrier(q);
}

static bool is_clean(const struct qcow2 *q)
{
	return q->committed == q->modified && !q->ref_cache.nr_dirty &&
	       !q->l2_cache.nr_dirty && !q->l1.any_dirty &&
	       !q->reftable.any_dirty && !q->freed.nr;
}

static int commit_locked(struct qcow2 *q)
{
	struct checkpoint cp = { 0 };
	uint64_t modified = q->modified;
	int ret;

	if (q->state >= QCOW2_LOST || is_clean(q))
		return q->write_error;
	ret = take_checkpoint(q, &cp);
	if (!ret)
		ret = write_checkpoint(q, &cp);
	if (ret) {
		settle_checkpoint(q, &cp, true);
		return qcow2_stop(q, ret, "writing metadata");
	}
	q->committed = modified;
	qcow2_resume(q);
	ret = qcow2_release_freed(q, &cp.freed);
	settle_checkpoint(q, &cp, false);
	q->freed_held = q->freed.nr;
	return ret ? qcow2_stop(q, ret, "reading refcounts") : 0;
}

int qcow2_commit(struct qcow2 *q)
{
	uint64_t target = q->modified;
	int ret = 0;

	co_mutex_lock(&q->commit_lock);
	/* Another commit may have covered us while we waited. */
	if (q->committed < target || q->write_error)
		ret = commit_locked(q);
	co_mutex_unlock(&q->commit_lock);
	return ret;
}

int qcow2_commit_all(struct qcow2 *q)
{
	int ret = 0;

	co_mutex_lock(&q->commit_lock);
	while (!ret && !is_clean(q))
		ret = commit_locked(q);
	co_mutex_unlock(&q->commit_lock);
	return ret;
}

int qcow2_write_refcounts(struct qcow2 *q)
{
	struct batch b = { 0 };
	int ret;

	ret = copy_slices(&q->ref_cache, &b);
	if (!ret)
		ret = judge_batch(q, &b, QCOW2_META_REFBLOCK);
	if (!ret)
		ret = write_batch(&b, IMAGE_EVENT_REFBLOCK_UPDATE);
	if (!ret)
		ret = qcow2_barrier(q);
	settle_batch(&q->ref_cache, &b, ret != 0);
	return ret;
}

int qcow2_relieve(struct qcow2 *q)
{
	int ret;

	/* What a commit had to hold back for a request that goes on and on, the
	 * next one cannot let go either. */
	if (likely(q->l2_cache.nr_dirty * 2 < q->l2_cache.max &&
		   q->ref_cache.nr_dirty * 2 < q->ref_cache.max &&
		   q->freed.nr < q->freed_held + FREED_MAX))
		return 0;
	co_mutex_lock(&q->commit_lock);
	ret = commit_locked(q);
	co_mutex_unlock(&q->commit_lock);
	return ret;
}
