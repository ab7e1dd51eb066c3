/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trim.c: gives the end of the file back.
 *
 * A refcount block mostly lies in the range that it counts, so that one which
 * counts nothing else keeps itself, and the file, in place. Such blocks are
 * dropped: their range is free with or without them. Then the file ends behind
 * the last cluster with a refcount.
 *
 * For those who have the image to themselves, with all committed.
 */
#include <errno.h>

#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/rework/rework.h"

void qcow2_restart_search(struct qcow2 *q)
{
	q->cursor = 0;
	q->nr_free_runs = 0;
	/* What was used and freed behind the cursor is before it now. */
	q->fresh_from = max(q->fresh_from, q->data_end);
}

/* co. The last cluster of block `i`'s range in use, `but` left out; *found:
 * there is one. */
static int last_in_block(struct qcow2 *q, uint64_t i, uint64_t but,
			 uint64_t *last, bool *found)
{
	uint64_t first = i << q->refblock_bits, n = qcow2_refs_per_slice(q);
	uint64_t c = (i + 1) << q->refblock_bits, in;
	struct qcow2_slice *slice;
	int ret;

	*found = false;
	while (c > first && !*found) {
		c -= n;
		ret = qcow2_refcount_slice(q, q->reftable.v[i], c, &slice, &in);
		if (ret)
			return ret;
		for (uint64_t k = n; k-- && !*found;) {
			*last = c + k;
			*found = c + k != but &&
				 qcow2_refcount_get(slice->data,
						    q->h.refcount_order, k);
		}
		qcow2_cache_put(slice);
	}
	return 0;
}

static void drop_refblock(struct qcow2 *q, uint64_t i)
{
	uint64_t offset = q->reftable.v[i], cluster = offset >> q->cluster_bits;

	qcow2_table_set(&q->reftable, i, 0);
	qcow2_cache_drop(&q->ref_cache, offset, q->cluster_size);
	qcow2_meta_del(&q->meta, cluster);
	if (cluster >> q->refblock_bits != i)
		qcow2_free_clusters(q, offset, 1, false);
}

/* co */
static int drop_empty_refblocks(struct qcow2 *q)
{
	uint64_t last;
	bool found;
	int ret;

	for (uint64_t i = q->reftable.nr; i--;) {
		if (!q->reftable.v[i])
			continue;
		ret = last_in_block(q, i, q->reftable.v[i] >> q->cluster_bits,
				    &last, &found);
		if (ret)
			return ret;
		if (!found)
			drop_refblock(q, i);
	}
	return 0;
}

/* co. *end: bytes, behind the last cluster in use. */
static int find_data_end(struct qcow2 *q, uint64_t *end)
{
	uint64_t last;
	bool found;
	int ret;

	*end = q->cluster_size;
	for (uint64_t i = q->reftable.nr; i--;) {
		if (!q->reftable.v[i])
			continue;
		ret = last_in_block(q, i, UINT64_MAX, &last, &found);
		if (ret || found) {
			*end = (last + 1) << q->cluster_bits;
			return ret;
		}
	}
	return 0;
}

int qcow2_trim(struct qcow2 *q)
{
	uint64_t end;
	int ret;

	ret = drop_empty_refblocks(q);
	if (!ret)
		ret = qcow2_commit_all(q);
	/* What is known to be free may have lost its refcount block. */
	qcow2_restart_search(q);
	if (!ret)
		ret = find_data_end(q, &end);
	if (ret || end >= q->data_end)
		return ret;
	q->data_end = end;
	if (!q->file->zero_beyond_end)
		return 0;
	ret = image_truncate(q->file, end, NULL);
	if (ret)
		return ret;		/* what was there is there still */
	q->fresh_from = end;
	q->file_length = end;
	return qcow2_barrier(q);
}
