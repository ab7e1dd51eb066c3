/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status.c: where the bytes of a range are.
 *
 * An image whose clusters were all allocated when it was made, but not written,
 * is mostly holes of its file. That is worth finding out: who copies a terabyte
 * of it should not read a terabyte of zeroes. Of other images the tables tell
 * all there is to know, and the file is not asked.
 */

/* co. Clusters in use of the slice that counts `cluster`, which is the first one
 * of it; up to `end`. */
#include "image/qcow2/status.h"

#include "image/qcow2/core/refcount.h"
#include "image/qcow2/map.h"
#include "image/qcow2/request.h"

static int count_slice(struct qcow2 *q, uint64_t cluster, uint64_t end,
		       uint64_t *used)
{
	struct qcow2_slice *slice;
	uint64_t first;
	int ret = qcow2_refcount_slice(q, qcow2_refblock_of(q, cluster),
				       cluster, &slice, &first);

	if (ret)
		return ret;
	for (uint64_t i = 0; cluster + i < end; i++)
		*used += !!qcow2_refcount_get(slice->data,
					      q->h.refcount_order, first + i);
	qcow2_cache_put(slice);
	return 0;
}

/* co. Are more than so many clusters in use? */
static bool uses_more(struct qcow2 *q, uint64_t many)
{
	uint64_t per_slice = qcow2_refs_per_slice(q), used = 0;
	uint64_t end = q->file->size >> q->cluster_bits, c;
	int ret = 0;

	if (many > end)
		return false;
	co_mutex_lock(&q->alloc_lock);
	for (c = 0; !ret && c < end && used < many; c += per_slice)
		if (qcow2_has_refblock(q, c))
			ret = count_slice(q, c, min(end, c + per_slice), &used);
	co_mutex_unlock(&q->alloc_lock);
	return used >= many;
}

/*
 * co. Does the image use more clusters than the host has given it space for, by a
 * ninth at least? QEMU asks the same question, so that both say the same of an
 * image. It is asked once: writes only make holes fewer.
 */
static bool is_preallocated(struct qcow2 *q)
{
	uint64_t bytes, taken;

	if (likely(q->holes_known))
		return q->has_holes;
	if (!image_allocated_size(q->file, &bytes)) {
		taken = bytes >> q->cluster_bits;
		q->has_holes = uses_more(q, max(taken + taken / 9, taken + 2));
	}
	q->holes_known = true;
	return q->has_holes;
}

static void describe_mapping(struct qcow2 *q, const struct qcow2_mapping *m,
			     struct image_extent *out)
{
	static const unsigned int flags[] = {
		[QCOW2_UNALLOCATED] = 0,
		[QCOW2_UNALLOCATED_ALLOC] = IMAGE_EXTENT_OFFSET,
		[QCOW2_ZERO_PLAIN] = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO,
		[QCOW2_ZERO_ALLOC] = IMAGE_EXTENT_ALLOCATED |
				     IMAGE_EXTENT_ZERO | IMAGE_EXTENT_OFFSET,
		[QCOW2_NORMAL] = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
				 IMAGE_EXTENT_OFFSET,
		[QCOW2_COMPRESSED_CLUSTER] = IMAGE_EXTENT_ALLOCATED |
					     IMAGE_EXTENT_DATA |
					     IMAGE_EXTENT_COMPRESSED,
	};

	out->length = m->len;
	out->file = q->data;
	out->flags = flags[m->kind];
	/* What lies there is of no use to anybody else. */
	if (q->crypto)
		out->flags &= ~(unsigned int)IMAGE_EXTENT_OFFSET;
	if (out->flags & IMAGE_EXTENT_OFFSET)
		out->host_offset = m->host;
}

int qcow2_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_request r;
	struct qcow2_mapping m;
	int ret;

	qcow2_request_begin(q, &r);
	ret = qcow2_lookup(q, off, len, &m);
	if (!ret) {
		describe_mapping(q, &m, out);
		if (m.kind == QCOW2_NORMAL && !q->crypto && is_preallocated(q))
			image_look_below(q->data, out);
	}
	qcow2_request_end(&r);
	return ret;
}
