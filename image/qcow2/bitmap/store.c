/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.c: dirty bitmaps to the file.
 *
 * A bitmap that has changed is marked as in use first, so its bits and its
 * table may be written over in any order; only the refcounts of what the table
 * names must be there before it. Flags, or a new directory, come last. What
 * became unused is freed when nothing on disk leads there any more.
 */
#include "image/qcow2/bitmap/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "image/qcow2/bitmap.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/contiguous.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/core/rewrite.h"

/* ---- space ---- */

/* co */
static int free_unused(struct qcow2 *q)
{
	struct qcow2_bitmaps *s = q->bitmaps;

	for (size_t i = 0; i < s->nr_unused; i++) {
		const struct qcow2_run *r = &s->unused[i];

		qcow2_free_meta(q, r->cluster << q->cluster_bits, r->count,
				q->img->flags & IMAGE_UNMAP);
	}
	s->nr_unused = 0;
	return qcow2_commit_all(q);
}

/* co. In one piece at the end of the file. */
static int allocate_bitmap_clusters(struct qcow2 *q, uint64_t count,
				    uint64_t *offset)
{
	int ret = qcow2_alloc_contiguous(q, count, offset);

	return ret ? ret : qcow2_bitmap_note(q, *offset, count);
}

/* co. One, wherever there is room. */
static int allocate_chunk(struct qcow2 *q, uint64_t *offset)
{
	uint64_t count;
	bool fresh;
	int ret = qcow2_alloc_clusters(q, 1, offset, &count, &fresh);

	return ret ? ret : qcow2_bitmap_note(q, *offset, 1);
}

/* ---- storing ---- */

static bool is_chunk_zero(const uint8_t *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* co. One cluster of bits to where the table will say. */
static int store_chunk(struct qcow2 *q, struct qcow2_bitmap *b, uint32_t i)
{
	uint64_t host = b->table[i] & QCOW2_BITMAP_ENTRY_OFFSET;
	const uint8_t *bits = b->chunks[i];
	int ret = 0;

	if (!bits || is_chunk_zero(bits, q->cluster_size)) {
		b->table[i] = bits || !b->ones[i] ? 0 : QCOW2_BITMAP_ENTRY_ONES;
		return host ? qcow2_bitmap_give_up(q, host, 1) : 0;
	}
	if (!host)
		ret = allocate_chunk(q, &host);
	if (ret)
		return ret;
	b->table[i] = host;
	return image_pwrite(q->file, host, q->cluster_size, bits);
}

/* co. A place for its table, and all its bits. */
static int store_bits(struct qcow2 *q, struct qcow2_bitmap *b)
{
	int ret = 0;

	if (!b->table_offset)
		ret = allocate_bitmap_clusters(
			q, qcow2_bitmap_table_clusters(q, b), &b->table_offset);
	for (uint32_t i = 0; !ret && i < b->table_entries; i++) {
		if (!b->chunk_changed[i])
			continue;
		ret = store_chunk(q, b, i);
		b->chunk_changed[i] = ret != 0;
	}
	return ret;
}

/* co */
static int store_table(struct qcow2 *q, const struct qcow2_bitmap *b)
{
	uint64_t bytes = qcow2_bitmap_table_clusters(q, b) << q->cluster_bits;
	cleanup_free uint8_t *buf = calloc(1, bytes);

	if (!buf)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->table_entries; i++)
		store_be64(buf + i * 8ul, b->table[i]);
	return image_pwrite(q->file, b->table_offset, bytes, buf);
}

/* co. A new directory beside the old one, not yet known. */
static int store_directory(struct qcow2 *q, uint64_t *offset, uint64_t *bytes)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	cleanup_free uint8_t *dir = NULL;
	uint64_t clusters;
	int ret;

	*bytes = qcow2_bitmap_dir_size(s);
	clusters = div_round_up(*bytes, q->cluster_size);
	*offset = 0;
	if (!s->nr)
		return 0;
	dir = calloc(clusters, q->cluster_size);
	if (!dir)
		return -ENOMEM;
	for (unsigned int i = 0; i < s->nr; i++)
		s->v[i].flags_on_disk = qcow2_bitmap_final_flags(&s->v[i]);
	qcow2_bitmap_dir_encode(s, dir);
	ret = allocate_bitmap_clusters(q, clusters, offset);
	if (!ret)
		ret = image_pwrite(q->file, *offset,
				   clusters << q->cluster_bits, dir);
	if (!ret)
		ret = qcow2_commit_all(q);
	return ret ? ret : qcow2_barrier(q);
}

/* co. The header to a new directory, or to none. */
static int replace_directory(struct qcow2 *q, struct error *err)
{
	uint64_t offset, bytes;
	int ret = store_directory(q, &offset, &bytes);

	if (!ret && q->h.has_bitmaps && q->h.bitmap_dir_offset)
		ret = qcow2_bitmap_give_up(q, q->h.bitmap_dir_offset,
			      div_round_up(q->h.bitmap_dir_size,
					   q->cluster_size));
	if (ret)
		return ret;
	q->h.has_bitmaps = q->bitmaps->nr;
	q->h.nr_bitmaps = q->bitmaps->nr;
	q->h.bitmap_dir_offset = offset;
	q->h.bitmap_dir_size = bytes;
	q->h.autoclear &= ~QCOW2_AUTOCLEAR_BITMAPS;
	if (q->h.has_bitmaps)
		q->h.autoclear |= QCOW2_AUTOCLEAR_BITMAPS;
	return qcow2_rewrite_header(q, err);
}

/* co. In the old directory, at last. */
static int settle_flags(struct qcow2 *q)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < s->nr; i++)
		ret = qcow2_bitmap_write_flags(
			q, &s->v[i], qcow2_bitmap_final_flags(&s->v[i]));
	return ret ? ret : qcow2_barrier(q);
}

/* co. Bits and tables, durable; what changes is in use on disk meanwhile. */
static int store_contents(struct qcow2 *q)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < s->nr; i++)
		if (s->v[i].changed)
			ret = qcow2_bitmap_set_in_use(q, &s->v[i]);
	if (!ret)
		ret = qcow2_barrier(q);
	for (unsigned int i = 0; !ret && i < s->nr; i++)
		if (s->v[i].changed)
			ret = store_bits(q, &s->v[i]);
	if (!ret)
		ret = qcow2_commit_all(q);
	for (unsigned int i = 0; !ret && i < s->nr; i++)
		if (s->v[i].changed)
			ret = store_table(q, &s->v[i]);
	return ret ? ret : qcow2_barrier(q);
}

static bool has_changes(const struct qcow2_bitmaps *s)
{
	bool changes = s->list_changed;

	for (unsigned int i = 0; i < s->nr; i++)
		changes |= s->v[i].changed || s->v[i].moved ||
			   s->v[i].flags_on_disk !=
				   qcow2_bitmap_final_flags(&s->v[i]);
	return changes;
}

static bool needs_directory(const struct qcow2_bitmaps *s)
{
	bool needs = s->list_changed;

	for (unsigned int i = 0; i < s->nr; i++)
		needs |= s->v[i].moved;
	return needs;
}

int qcow2_bitmaps_store(struct qcow2 *q, struct error *err)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret;

	if (!s || !has_changes(s))
		return 0;
	ret = store_contents(q);
	if (!ret)
		ret = needs_directory(s) ? replace_directory(q, err) :
					   settle_flags(q);
	if (!ret)
		ret = free_unused(q);
	if (ret)
		return error_set_errno(err, -ret, "%s: storing dirty bitmaps",
				       q->img->path);
	s->list_changed = false;
	for (unsigned int i = 0; i < s->nr; i++)
		s->v[i].changed = s->v[i].moved = s->v[i].tracking = false;
	return 0;
}
