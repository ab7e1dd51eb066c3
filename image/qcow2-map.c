/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-map.c: guest offsets to host offsets.
 *
 *	guest offset = L1 index | L2 index | offset in cluster
 *
 * The L1 table is in memory and was judged when the image was opened. L2
 * entries are judged each time one is used: a table can change under no one
 * but us, but checking costs less than remembering.
 */
#include <errno.h>
#include <inttypes.h>

#include "image/qcow2.h"

static uint64_t l2_index(const struct qcow2 *q, uint64_t index)
{
	return index & ((UINT64_C(1) << q->l2_bits) - 1);
}

static uint64_t slice_entries(const struct qcow2 *q)
{
	return q->slice_size / 8;
}

/* Where the slice with the entry of guest cluster `index` lies. */
static uint64_t slice_offset(const struct qcow2 *q, uint64_t table,
			     uint64_t index)
{
	return table + align_down(l2_index(q, index) * 8, q->slice_size);
}

/* co. Reserved bits, place of the host cluster: all that an entry can get
 * wrong by itself. */
static int judge_entry(struct qcow2 *q, uint64_t index, uint64_t entry)
{
	uint64_t host = entry & QCOW2_L2_OFFSET;
	const char *wrong = NULL;

	if (entry & QCOW2_COMPRESSED) {
		struct qcow2_compressed c =
			qcow2_compressed_decode(q->cluster_bits, entry);

		if (entry & QCOW2_COPIED)
			wrong = "is compressed and has the copied flag";
		else if (c.offset >= q->data_end || !c.offset)
			wrong = "points beyond the end of the file";
	} else if (entry & QCOW2_L2_RESERVED) {
		wrong = "has reserved bits set";
	} else if ((entry & QCOW2_ZERO) && q->h.version < 3) {
		wrong = "has the zero flag in a version 2 image";
	} else if (!is_aligned(host, q->cluster_size)) {
		wrong = "points into the middle of a cluster";
	} else if (host >= q->data_end) {
		wrong = "points beyond the end of the file";
	} else if (!host && (entry & QCOW2_COPIED)) {
		wrong = "points at the header";
	}
	if (likely(!wrong))
		return 0;
	return qcow2_corrupt(q, "L2 entry %#" PRIx64 " of guest offset %#" PRIx64
			     " %s", entry, index << q->cluster_bits, wrong);
}

/* How many entries behind the first continue it. */
static uint64_t run_length(const struct qcow2 *q, const uint64_t *e,
			   uint64_t max, uint64_t entry, enum qcow2_kind kind)
{
	uint64_t n = 1, next = entry;

	if (kind == QCOW2_COMPRESSED_CLUSTER)
		return 1;
	for (; n < max; n++) {
		if (kind == QCOW2_NORMAL || kind == QCOW2_ZERO_ALLOC)
			next += q->cluster_size;
		if (load_be64(&e[n]) != next)
			break;
	}
	return n;
}

static int decode(struct qcow2 *q, uint64_t index, const uint64_t *e,
		  uint64_t max, struct qcow2_mapping *out)
{
	uint64_t entry = load_be64(e);
	int ret = 0;

	out->entry = entry;
	out->kind = qcow2_entry_kind(entry);
	out->copied = entry & QCOW2_COPIED;
	out->host = entry & QCOW2_L2_OFFSET;
	out->clusters = run_length(q, e, max, entry, out->kind);
	if (entry)
		ret = judge_entry(q, index, entry);
	if (!ret && out->clusters > 1 && out->host)
		ret = judge_entry(q, index + out->clusters - 1,
				  load_be64(&e[out->clusters - 1]));
	return ret;
}

int qcow2_lookup(struct qcow2 *q, uint64_t index, uint64_t max,
		 struct qcow2_mapping *out)
{
	uint64_t l1 = q->l1[index >> q->l2_bits], i = l2_index(q, index);
	uint64_t in_slice = i % slice_entries(q);
	struct qcow2_slice *s;
	uint64_t offset;
	int ret;

	if (!(l1 & QCOW2_L1_OFFSET)) {
		if (unlikely(l1))
			return qcow2_corrupt(q, "L1 entry %" PRIu64 " is invalid",
					     index >> q->l2_bits);
		*out = (struct qcow2_mapping){
			.kind = QCOW2_UNALLOCATED,
			.clusters = min(max, (UINT64_C(1) << q->l2_bits) - i),
		};
		return 0;
	}
	max = min(max, slice_entries(q) - in_slice);
	offset = slice_offset(q, l1 & QCOW2_L1_OFFSET, index);
	s = qcow2_cache_peek(&q->l2_cache, offset);
	if (unlikely(!s)) {
		ret = qcow2_cache_get(&q->l2_cache, offset, &s);
		if (ret)
			return ret;
		qcow2_cache_put(s);	/* we do not wait before we are done */
	}
	return decode(q, index, (uint64_t *)s->data + in_slice, max, out);
}

/* ---- L2 tables that may be changed ---- */

/* co. The old table's entries into the new one, in memory. */
static int copy_l2(struct qcow2 *q, uint64_t from, uint64_t to)
{
	struct qcow2_slice *old, *new;
	int ret;

	for (uint64_t o = 0; o < q->cluster_size; o += q->slice_size) {
		ret = qcow2_cache_get(&q->l2_cache, from + o, &old);
		if (ret)
			return ret;
		ret = qcow2_cache_new(&q->l2_cache, to + o, &new);
		if (!ret) {
			memcpy(new->data, old->data, q->slice_size);
			qcow2_cache_dirty(&q->l2_cache, new);
			qcow2_cache_put(new);
		}
		qcow2_cache_put(old);
		if (ret)
			return ret;
	}
	return 0;
}

/* co. An empty table in the file: nothing has to be written where the file
 * reads as zeroes already. */
static int clear_l2(struct qcow2 *q, uint64_t offset, bool fresh)
{
	if (fresh)
		return 0;
	qcow2_cache_drop(&q->l2_cache, offset, q->cluster_size);
	return image_pwrite_zeroes(q->file, offset, q->cluster_size, 0);
}

static void set_l1(struct qcow2 *q, uint64_t i, uint64_t entry)
{
	q->l1[i] = entry;
	q->l1_dirty[i / 64] = 1;
	q->any_l1_dirty = true;
}

/* co, l2_lock held. */
static int replace_l2(struct qcow2 *q, uint64_t l1_index)
{
	uint64_t old = q->l1[l1_index] & QCOW2_L1_OFFSET, offset, count;
	bool fresh;
	int ret;

	ret = qcow2_alloc_clusters(q, 1, &offset, &count, &fresh);
	if (ret)
		return ret;
	/* A commit may write the first slices while the last are copied. */
	ret = qcow2_meta_add(&q->meta, offset >> q->cluster_bits,
			     QCOW2_META_L2);
	if (!ret)
		ret = old ? copy_l2(q, old, offset) :
			    clear_l2(q, offset, fresh);
	if (ret) {
		qcow2_meta_del(&q->meta, offset >> q->cluster_bits);
		qcow2_cache_drop(&q->l2_cache, offset, q->cluster_size);
		qcow2_free_clusters(q, offset, 1, false);
		return ret;
	}
	set_l1(q, l1_index, offset | QCOW2_COPIED);
	/* The old one belongs to a snapshot from now on. */
	if (old)
		qcow2_free_clusters(q, old, 1, false);
	return 0;
}

static int make_l2_writable(struct qcow2 *q, uint64_t l1_index)
{
	int ret = 0;

	co_mutex_lock(&q->l2_lock);
	if (!(q->l1[l1_index] & QCOW2_COPIED))
		ret = replace_l2(q, l1_index);
	co_mutex_unlock(&q->l2_lock);
	return ret;
}

int qcow2_l2_for_write(struct qcow2 *q, uint64_t index,
		       struct qcow2_slice **slice, uint64_t **entry,
		       uint64_t *entries)
{
	uint64_t l1_index = index >> q->l2_bits;
	uint64_t in_slice = l2_index(q, index) % slice_entries(q);
	int ret;

	if (!(q->l1[l1_index] & QCOW2_COPIED)) {
		ret = make_l2_writable(q, l1_index);
		if (ret)
			return ret;
	}
	ret = qcow2_cache_get(&q->l2_cache,
			      slice_offset(q, q->l1[l1_index] & QCOW2_L1_OFFSET,
					   index),
			      slice);
	if (ret)
		return ret;
	*entry = (uint64_t *)(*slice)->data + in_slice;
	*entries = slice_entries(q) - in_slice;
	return 0;
}

void qcow2_free_entry(struct qcow2 *q, uint64_t entry, bool discard)
{
	struct qcow2_compressed c;
	uint64_t first, last;

	switch (qcow2_entry_kind(entry)) {
	case QCOW2_UNALLOCATED:
	case QCOW2_ZERO_PLAIN:
		return;
	case QCOW2_NORMAL:
	case QCOW2_ZERO_ALLOC:
		qcow2_free_clusters(q, entry & QCOW2_L2_OFFSET, 1, discard);
		return;
	case QCOW2_COMPRESSED_CLUSTER:
		c = qcow2_compressed_decode(q->cluster_bits, entry);
		first = align_down(c.offset, q->cluster_size);
		last = align_down(c.offset + c.len - 1, q->cluster_size);
		if (entry == q->inflated_entry)
			q->inflated_entry = 0;
		qcow2_free_clusters(q, first,
				    ((last - first) >> q->cluster_bits) + 1,
				    discard);
		return;
	}
}
