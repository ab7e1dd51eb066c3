/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount.c: which host clusters are in use, and taking new ones.
 *
 * The cursor walks once through the refcounts from the start of the file to
 * beyond its end and takes what is free on its way; what is freed behind it
 * waits in free_runs and is taken first. So a search never starts over, and the
 * file fills its holes before it grows.
 *
 * A missing refcount block is made at the cursor, in the range that it
 * describes. Tables of several clusters are placed by contiguous.c.
 *
 * The file is made longer in steps ahead of use, so that writes into new
 * clusters do not each move its end; closing takes the rest back.
 */
#include "image/qcow2/core/refcount.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/log.h"
#include "image/qcow2/core/bytes.h"
#include "image/qcow2/core/contiguous.h"

#define GROW_MIN (1 * MiB)
#define GROW_MAX (64 * MiB)
#define RELEASE_AT_ONCE 4096	/* clusters, in a turn of the loop */

int qcow2_refcount_slice(struct qcow2 *q, uint64_t block, uint64_t cluster,
			 struct qcow2_slice **slice, uint64_t *index)
{
	uint64_t in = cluster & ((UINT64_C(1) << q->refblock_bits) - 1);
	uint64_t per_slice = qcow2_refs_per_slice(q);

	*index = in % per_slice;
	return qcow2_cache_get(&q->ref_cache,
			       block + in / per_slice * q->slice_size, slice);
}

int qcow2_get_refcount(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	struct qcow2_slice *slice;
	uint64_t index;
	int ret;

	*count = 0;
	if (!qcow2_has_refblock(q, cluster))
		return 0;
	ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster), cluster,
				   &slice, &index);
	if (ret)
		return ret;
	*count = qcow2_refcount_get(slice->data, q->h.refcount_order, index);
	qcow2_cache_put(slice);
	return 0;
}

int qcow2_set_refcounts(struct qcow2 *q, uint64_t cluster, uint64_t count,
			uint64_t value)
{
	uint64_t per_slice = qcow2_refs_per_slice(q);
	struct qcow2_slice *slice;
	uint64_t index;
	int ret;

	while (count) {
		ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster), cluster,
				     &slice, &index);
		if (ret)
			return ret;
		for (; count && index < per_slice; index++, cluster++, count--)
			qcow2_refcount_set(slice->data, q->h.refcount_order,
					   index, value);
		qcow2_cache_dirty(&q->ref_cache, slice);
		qcow2_cache_put(slice);
	}
	return 0;
}

/* ---- the end of the file ---- */

int qcow2_reach(struct qcow2 *q, uint64_t end)
{
	uint64_t step, length;
	int ret;

	if (end > q->file_length) {
		if (!q->file->zero_beyond_end)
			return -ENOSPC;
		step = min(max(q->file_length / 8, GROW_MIN), GROW_MAX);
		/* Whole pages: for half a one the kernel would write zeroes. */
		length = align_up(end + step, max(q->cluster_size,
						  (uint64_t)4096));
		ret = image_truncate(q->file, length, NULL);
		if (ret)
			return ret;
		q->file_length = length;
	}
	q->data_end = max(q->data_end, end);
	return 0;
}

int qcow2_prepare_refblock(struct qcow2 *q, uint64_t cluster)
{
	enum qcow2_meta type = qcow2_meta_type(&q->meta, cluster);
	uint64_t offset = cluster << q->cluster_bits;
	bool fresh = qcow2_is_fresh(q, offset);
	int ret;

	if (type != QCOW2_META_NONE)
		return qcow2_corrupt(q, "a new refcount block would lie on %s "
				     "at %#" PRIx64, qcow2_meta_name(type),
				     offset);
	image_event(q->file, IMAGE_EVENT_REFBLOCK_ALLOC);
	image_event(q->file, IMAGE_EVENT_REFBLOCK_ALLOC_WRITE);
	ret = qcow2_reach(q, offset + q->cluster_size);
	if (!ret && !fresh)
		ret = image_pwrite_zeroes(q->file, offset, q->cluster_size, 0);
	return ret;
}

int qcow2_install_refblock(struct qcow2 *q, uint64_t index, uint64_t cluster)
{
	int ret = qcow2_meta_add(&q->meta, cluster, QCOW2_META_REFBLOCK);

	if (ret)
		return ret;
	qcow2_table_set(&q->reftable, index, cluster << q->cluster_bits);
	return 0;
}

/* co. The block for the cursor's range, in the cursor's cluster. Nothing waits
 * between naming the block and counting it: a commit takes both or neither. */
static int new_refblock(struct qcow2 *q)
{
	uint64_t cluster = q->cursor, index;
	struct qcow2_slice *slice;
	int ret;

	ret = qcow2_prepare_refblock(q, cluster);
	if (!ret)
		ret = qcow2_refcount_slice(q, cluster << q->cluster_bits, cluster,
				     &slice, &index);
	if (ret)
		return ret;
	ret = qcow2_install_refblock(q, cluster >> q->refblock_bits, cluster);
	if (!ret) {
		qcow2_refcount_set(slice->data, q->h.refcount_order, index, 1);
		qcow2_cache_dirty(&q->ref_cache, slice);
		q->cursor = cluster + 1;
	}
	qcow2_cache_put(slice);
	return ret;
}

/* ---- a few clusters ---- */

/* co. Takes up to `max` free entries from `index` on; 0 when none is there. */
static uint64_t take_in_slice(struct qcow2 *q, struct qcow2_slice *slice,
			      uint64_t index, uint64_t max, uint64_t *skipped)
{
	uint32_t order = q->h.refcount_order;
	uint64_t end = qcow2_refs_per_slice(q), i = index, n = 0;

	while (i < end && qcow2_refcount_get(slice->data, order, i))
		i++;
	*skipped = i - index;
	while (i < end && n < max &&
	       !qcow2_refcount_get(slice->data, order, i)) {
		qcow2_refcount_set(slice->data, order, i++, 1);
		n++;
	}
	if (n)
		qcow2_cache_dirty(&q->ref_cache, slice);
	return n;
}

/* co. From the cursor on. -EAGAIN: the refcount table must grow first. */
static int take_at_cursor(struct qcow2 *q, uint64_t max, uint64_t *cluster,
			  uint64_t *count)
{
	struct qcow2_slice *slice;
	uint64_t index, skipped;
	int ret;

	for (;;) {
		if (!qcow2_reftable_reaches(q, q->cursor))
			return -EAGAIN;
		if (!qcow2_has_refblock(q, q->cursor)) {
			ret = new_refblock(q);
			if (ret)
				return ret;
			continue;
		}
		ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, q->cursor), q->cursor,
				     &slice, &index);
		if (ret)
			return ret;
		*count = take_in_slice(q, slice, index, max, &skipped);
		qcow2_cache_put(slice);
		*cluster = q->cursor + skipped;
		q->cursor = *cluster + *count;
		if (*count)
			return 0;
	}
}

/* co. From what was freed behind the cursor. -ENOENT: nothing is left. */
static int take_freed(struct qcow2 *q, uint64_t max, uint64_t *cluster,
		      uint64_t *count)
{
	struct qcow2_run *run;
	int ret;

	if (!q->nr_free_runs)
		return -ENOENT;
	run = &q->free_runs[q->nr_free_runs - 1];
	*cluster = run->cluster;
	*count = min(max, run->count);
	ret = qcow2_set_refcounts(q, *cluster, *count, 1);
	if (ret)
		return ret;
	run->cluster += *count;
	run->count -= *count;
	if (!run->count)
		q->nr_free_runs--;
	return 0;
}

int qcow2_judge_new(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		enum qcow2_meta type = qcow2_meta_type(&q->meta, cluster + i);

		if (unlikely(type != QCOW2_META_NONE))
			return qcow2_corrupt(q, "cluster %" PRIu64 " has refcount "
					     "0 but is %s", cluster + i,
					     qcow2_meta_name(type));
	}
	return 0;
}

int qcow2_alloc_clusters(struct qcow2 *q, uint64_t max, uint64_t *offset,
			 uint64_t *count, bool *fresh)
{
	uint64_t cluster;
	int ret;

	image_event(q->file, IMAGE_EVENT_CLUSTER_ALLOC);
	for (;;) {
		co_mutex_lock(&q->alloc_lock);
		*fresh = false;
		ret = take_freed(q, max, &cluster, count);
		if (ret == -ENOENT) {
			ret = take_at_cursor(q, max, &cluster, count);
			if (!ret)
				*fresh = qcow2_is_fresh(q, cluster << q->cluster_bits);
		}
		if (ret != -EAGAIN)
			break;
		co_mutex_unlock(&q->alloc_lock);
		ret = qcow2_make_room(q, q->cursor);
		if (ret)
			return ret;
	}
	if (!ret)
		ret = qcow2_judge_new(q, cluster, *count);
	if (!ret) {
		*offset = cluster << q->cluster_bits;
		ret = qcow2_reach(q, (cluster + *count) << q->cluster_bits);
		if (ret && !qcow2_set_refcounts(q, cluster, *count, 0))
			q->cursor = min(q->cursor, cluster);	/* once more */
	}
	co_mutex_unlock(&q->alloc_lock);
	return ret;
}

int qcow2_share_cluster(struct qcow2 *q, uint64_t cluster)
{
	struct qcow2_slice *slice;
	uint64_t index, count;
	int ret;

	ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster), cluster, &slice,
			     &index);
	if (ret)
		return ret;
	count = qcow2_refcount_get(slice->data, q->h.refcount_order, index);
	if (!count || count == qcow2_refcount_max(q->h.refcount_order)) {
		ret = -ERANGE;
	} else {
		qcow2_refcount_set(slice->data, q->h.refcount_order, index,
				   count + 1);
		qcow2_cache_dirty(&q->ref_cache, slice);
	}
	qcow2_cache_put(slice);
	return ret;
}

/* ---- freeing ---- */

static int freed_push(struct qcow2_freed_list *l, struct qcow2_freed f)
{
	struct qcow2_freed *last = l->nr ? &l->v[l->nr - 1] : NULL;

	if (last && last->cluster + last->count == f.cluster &&
	    last->seq == f.seq && last->discard == f.discard) {
		last->count += f.count;
		return 0;
	}
	if (array_reserve(l->v, l->nr, l->max))
		return -ENOMEM;
	l->v[l->nr++] = f;
	return 0;
}

void qcow2_free_run(struct qcow2 *q, struct qcow2_freed f)
{
	if (freed_push(&q->freed, f))
		log_warn("%s: out of memory: %" PRIu64 " clusters from %" PRIu64
			 " on leak", q->img->path, f.count, f.cluster);
}

void qcow2_free_clusters(struct qcow2 *q, uint64_t offset, uint64_t count,
			 bool discard)
{
	qcow2_free_run(q, (struct qcow2_freed){
		.cluster = offset >> q->cluster_bits,
		.count = count,
		.seq = q->next_seq,
		.discard = discard,
	});
}

void qcow2_free_meta(struct qcow2 *q, uint64_t offset, uint64_t count,
		     bool discard)
{
	qcow2_meta_del_range(&q->meta, offset >> q->cluster_bits, count);
	if (count)
		qcow2_free_clusters(q, offset, count, discard);
}

static int push_free_run(struct qcow2 *q, uint64_t cluster)
{
	struct qcow2_run *last = q->nr_free_runs ?
		&q->free_runs[q->nr_free_runs - 1] : NULL;

	if (last && last->cluster + last->count == cluster) {
		last->count++;
		return 0;
	}
	if (array_reserve(q->free_runs, q->nr_free_runs, q->max_free_runs))
		return -ENOMEM;
	q->free_runs[q->nr_free_runs++] = (struct qcow2_run){ cluster, 1 };
	return 0;
}

/* [cluster, cluster + count) out of a run: what is left before it, behind it. */
static void carve(struct qcow2_run *r, uint64_t cluster, uint64_t count,
		  struct qcow2_run *behind)
{
	uint64_t end = r->cluster + r->count, cut = cluster + count;

	*behind = (struct qcow2_run){ cut, end > cut ? end - cut : 0 };
	r->count = cluster > r->cluster ? cluster - r->cluster : 0;
	if (!r->count) {
		*r = *behind;
		behind->count = 0;
	}
}

void qcow2_carve_free_runs(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
	size_t nr = q->nr_free_runs, kept = 0;
	struct qcow2_run split = { 0, 0 };

	for (size_t i = 0; i < nr; i++) {
		struct qcow2_run r = q->free_runs[i], behind = { 0, 0 };

		if (r.cluster < cluster + count && cluster < r.cluster + r.count)
			carve(&r, cluster, count, &behind);
		if (behind.count)
			split = behind;		/* at most one is cut in two */
		if (r.count)
			q->free_runs[kept++] = r;
	}
	q->nr_free_runs = kept;
	for (uint64_t i = 0; i < split.count; i++)
		if (push_free_run(q, split.cluster + i))
			break;			/* forgotten until opened anew */
}

/* co. One reference less. The cursor finds what lies ahead of it by itself. */
static int drop_reference(struct qcow2 *q, uint64_t cluster, bool *is_free)
{
	struct qcow2_slice *slice;
	uint64_t index, count;
	int ret;

	*is_free = false;
	if (!qcow2_has_refblock(q, cluster))
		return 0;
	ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster), cluster, &slice,
			     &index);
	if (ret)
		return ret;
	count = qcow2_refcount_get(slice->data, q->h.refcount_order, index);
	if (count) {
		qcow2_refcount_set(slice->data, q->h.refcount_order, index,
				   count - 1);
		qcow2_cache_dirty(&q->ref_cache, slice);
	} else {
		log_warn("%s: cluster %" PRIu64 " was in use with refcount 0",
			 q->img->path, cluster);
	}
	qcow2_cache_put(slice);
	*is_free = count == 1;
	if (!*is_free)
		return 0;
	qcow2_forget_tails(q, cluster);
	if (cluster < q->cursor)
		return push_free_run(q, cluster);
	q->fresh_from = max(q->fresh_from, (cluster + 1) << q->cluster_bits);
	return 0;
}

/* co. Gives [first, end) back to the host before it may be taken again; when
 * the image is to be closed soon it just stays where it is. */
static void discard_free(struct qcow2 *q, uint64_t first, uint64_t end)
{
	if (first < end && !image_cancelled(q->img))
		image_pdiscard(q->file, first << q->cluster_bits,
			       (end - first) << q->cluster_bits);
}

/* co. Holds locks: nobody's turn may come before its next one. */
static int release(struct qcow2 *q, const struct qcow2_freed *f)
{
	uint64_t run = f->cluster;
	bool is_free;
	int ret = 0;

	for (uint64_t c = f->cluster; !ret && c < f->cluster + f->count; c++) {
		if (c % RELEASE_AT_ONCE == RELEASE_AT_ONCE - 1)
			loop_next_turn(q->img->loop);
		ret = drop_reference(q, c, &is_free);
		if (is_free)
			continue;
		if (f->discard)
			discard_free(q, run, c);
		run = c + 1;
	}
	if (!ret && f->discard)
		discard_free(q, run, f->cluster + f->count);
	return ret;
}

int qcow2_release_freed(struct qcow2 *q, struct qcow2_freed_list *list)
{
	size_t kept = 0;
	int ret = 0;

	if (list->nr)
		image_event(q->file, IMAGE_EVENT_CLUSTER_FREE);
	co_mutex_lock(&q->alloc_lock);
	for (size_t i = 0; i < list->nr; i++) {
		struct qcow2_request *oldest = list_empty(&q->requests) ? NULL :
			list_first(&q->requests, struct qcow2_request, link);

		if (ret || (oldest && oldest->seq < list->v[i].seq)) {
			list->v[kept++] = list->v[i];
			continue;
		}
		ret = release(q, &list->v[i]);
	}
	list->nr = kept;
	co_mutex_unlock(&q->alloc_lock);
	return ret;
}
