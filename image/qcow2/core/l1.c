/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * l1.c: an L1 table of another length.
 *
 * A longer one goes to new clusters, is durable there, and is switched to by the
 * header; a shorter one stays where it is.
 */
#include "image/qcow2/core/l1.h"

#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/contiguous.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/core/rewrite.h"

static uint64_t clusters_of_l1(const struct qcow2 *q, uint64_t entries)
{
	return div_round_up(entries * 8, q->cluster_size);
}

/* co. The present table, and zeroes behind it, at `offset`. */
static int write_longer_l1(struct qcow2 *q, uint64_t offset, uint64_t clusters)
{
	int ret = qcow2_meta_add_range(&q->meta, offset >> q->cluster_bits,
				       clusters, QCOW2_META_L1);

	image_event(q->file, IMAGE_EVENT_L1_GROW_WRITE_TABLE);
	if (!ret)
		ret = qcow2_table_write(&q->l1, q->file, offset,
					clusters << q->cluster_bits);
	return ret ? ret : qcow2_commit_all(q);
}

int qcow2_grow_l1(struct qcow2 *q, uint64_t entries)
{
	uint64_t clusters = clusters_of_l1(q, entries), offset;
	uint64_t old = q->h.l1_table_offset;
	uint64_t old_clusters = clusters_of_l1(q, q->h.l1_size);
	int ret;

	ret = qcow2_alloc_contiguous(q, clusters, &offset);
	if (ret)
		return ret;
	ret = write_longer_l1(q, offset, clusters);
	if (!ret)
		ret = qcow2_table_grow(&q->l1, entries);
	if (ret) {
		qcow2_free_meta(q, offset, clusters, false);
		return ret;
	}
	q->h.l1_size = (uint32_t)entries;
	q->h.l1_table_offset = offset;
	ret = qcow2_write_header(q);
	if (ret)
		return qcow2_lose(q, ret, "growing the L1 table");
	qcow2_free_meta(q, old, old_clusters, false);
	return 0;
}

int qcow2_shorten_l1(struct qcow2 *q)
{
	uint64_t entries = max(qcow2_l1_needed(&q->h, q->h.size), UINT64_C(1));
	uint64_t old = clusters_of_l1(q, q->h.l1_size);
	uint64_t new = clusters_of_l1(q, entries);
	int ret;

	if (entries >= q->h.l1_size)
		return 0;
	q->h.l1_size = q->l1.nr = (uint32_t)entries;
	ret = qcow2_write_header(q);
	if (ret)
		return ret;
	qcow2_free_meta(q, q->h.l1_table_offset + (new << q->cluster_bits),
			old - new, false);
	return qcow2_commit_all(q);
}
