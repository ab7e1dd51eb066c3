/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * store.c: dirty bitmaps to the file, and of another size.
 *
 * A bitmap that has changed is marked as in use first, so its bits and its
 * table may be written over in any order; only the refcounts of what the table
 * names must be there before it. Flags, or a new directory, come last. What
 * became unused is freed when nothing on disk leads there any more.
 */
#include "image/qcow2/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/log.h"

/* ---- space ---- */

/* To be freed when the file does not know it any more. */
static int give_up(struct qcow2 *q, uint64_t offset, uint64_t count)
{
	struct qcow2_bitmaps *s = q->bitmaps;

	if (s->nr_unused == s->max_unused) {
		size_t n = s->max_unused ? s->max_unused * 2 : 16;
		struct qcow2_run *v = realloc(s->unused, n * sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->unused = v;
		s->max_unused = n;
	}
	s->unused[s->nr_unused++] = (struct qcow2_run){
		offset >> q->cluster_bits, count,
	};
	return 0;
}

int qcow2_bitmap_give_up_space(struct qcow2 *q, struct qcow2_bitmap *b)
{
	int ret = 0;

	if (!b->table_offset || b->broken)
		return 0;
	for (uint32_t i = 0; !ret && i < b->table_entries; i++)
		if (b->table[i] & QCOW2_BITMAP_ENTRY_OFFSET)
			ret = give_up(q, b->table[i] &
					 QCOW2_BITMAP_ENTRY_OFFSET, 1);
	if (!ret)
		ret = give_up(q, b->table_offset,
			      qcow2_bitmap_table_clusters(q, b));
	return ret;
}

/* co */
static int free_unused(struct qcow2 *q)
{
	struct qcow2_bitmaps *s = q->bitmaps;

	for (size_t i = 0; i < s->nr_unused; i++) {
		const struct qcow2_run *r = &s->unused[i];

		for (uint64_t c = 0; c < r->count; c++)
			qcow2_meta_del(&q->meta, r->cluster + c);
		qcow2_free_clusters(q, r->cluster << q->cluster_bits, r->count,
				    q->img->flags & IMAGE_UNMAP);
	}
	s->nr_unused = 0;
	return qcow2_commit_all(q);
}

/* co. In one piece at the end of the file. */
static int allocate(struct qcow2 *q, uint64_t count, uint64_t *offset)
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

static bool is_zero(const uint8_t *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

/* co. One cluster of bits to where the table will say. */
static int store_chunk(struct qcow2 *q, struct qcow2_bitmap *b, uint32_t i)
{
	uint64_t host = b->table[i] & QCOW2_BITMAP_ENTRY_OFFSET;
	const uint8_t *bits = b->chunks[i];
	int ret = 0;

	if (!bits || is_zero(bits, q->cluster_size)) {
		b->table[i] = bits || !b->ones[i] ? 0 : QCOW2_BITMAP_ENTRY_ONES;
		return host ? give_up(q, host, 1) : 0;
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
		ret = allocate(q, qcow2_bitmap_table_clusters(q, b),
			       &b->table_offset);
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
	ret = allocate(q, clusters, offset);
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
		ret = give_up(q, q->h.bitmap_dir_offset,
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

/* ---- another size ---- */

static int judge_resize(const struct qcow2 *q, const struct qcow2_bitmap *b,
			uint64_t size, struct error *err)
{
	uint64_t n = qcow2_bitmap_chunks(&q->h, size, b->granularity_bits);

	if (!n)
		return error_set(err, EINVAL, "An empty disk cannot have the "
				 "bitmap '%s'", b->name);
	if (n << q->cluster_bits > QCOW2_BITMAP_MAX_BYTES)
		return error_set(err, EFBIG, "Bitmap '%s' would take more than "
				 "%" PRIu64 " bytes", b->name,
				 QCOW2_BITMAP_MAX_BYTES);
	return qcow2_bitmap_judge_use(b, err);
}

int qcow2_bitmaps_prepare_resize(struct qcow2 *q, uint64_t size,
				 struct error *err)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret = 0;

	for (unsigned int i = 0; s && !ret && i < s->nr; i++)
		ret = judge_resize(q, &s->v[i], size, err);
	if (ret)
		return ret;
	for (unsigned int i = 0; s && !ret && i < s->nr; i++) {
		ret = qcow2_bitmap_load(q, &s->v[i]);
		if (!ret)
			ret = qcow2_bitmap_set_in_use(q, &s->v[i]);
	}
	if (!ret && s)
		ret = qcow2_barrier(q);
	return ret ? error_set_errno(err, -ret, "loading dirty bitmaps") : 0;
}

/* Arrays for another number of chunks; what falls off is given up. */
static int resize_arrays(struct qcow2 *q, struct qcow2_bitmap *b, uint32_t n)
{
	struct qcow2_bitmap new = *b;
	uint32_t kept = min(b->table_entries, n);
	int ret;

	new.table_entries = n;
	new.table_offset = 0;
	new.table = NULL;
	new.moved = true;
	ret = qcow2_bitmap_init_bits(q, &new, 0);
	for (uint32_t i = kept; !ret && i < b->table_entries; i++)
		if (b->table[i] & QCOW2_BITMAP_ENTRY_OFFSET)
			ret = give_up(q, b->table[i] &
					 QCOW2_BITMAP_ENTRY_OFFSET, 1);
	if (!ret && b->table_offset)
		ret = give_up(q, b->table_offset,
			      qcow2_bitmap_table_clusters(q, b));
	if (ret) {
		free(new.table);
		free(new.chunks);
		free(new.ones);
		free(new.chunk_changed);
		return ret;
	}
	memcpy(new.table, b->table, kept * sizeof(*b->table));
	memcpy(new.chunks, b->chunks, kept * sizeof(*b->chunks));
	memcpy(new.ones, b->ones, kept);
	memcpy(new.chunk_changed, b->chunk_changed, kept);
	for (uint32_t i = kept; i < b->table_entries; i++)
		free(b->chunks[i]);
	free(b->table);
	free(b->chunks);
	free(b->ones);
	free(b->chunk_changed);
	*b = new;
	return 0;
}

/* The chunk with the end of the disk, which must be zero behind it. */
static int open_last(struct qcow2 *q, struct qcow2_bitmap *b)
{
	uint64_t last = b->nr_bits / (q->cluster_size * 8);

	if (last >= b->table_entries)
		return 0;
	if (b->ones[last] && !b->chunks[last]) {
		b->chunks[last] = malloc(q->cluster_size);
		if (!b->chunks[last])
			return -ENOMEM;
		memset(b->chunks[last], 0xff, q->cluster_size);
		b->ones[last] = 0;
	}
	qcow2_bitmap_trim(q, b);
	b->chunk_changed[last] = 1;
	return 0;
}

static int resize_bitmap(struct qcow2 *q, struct qcow2_bitmap *b,
			 uint64_t size)
{
	uint64_t n = qcow2_bitmap_chunks(&q->h, size, b->granularity_bits);
	uint64_t nr_bits = div_round_up(size, qcow2_bitmap_granularity(b));
	int ret;

	/* What is new is clear: so is the end of what there was. */
	b->nr_bits = min(b->nr_bits, nr_bits);
	b->changed = true;
	ret = open_last(q, b);
	if (!ret && n != b->table_entries)
		ret = resize_arrays(q, b, (uint32_t)n);
	b->nr_bits = nr_bits;
	return ret;
}

void qcow2_bitmaps_resize(struct qcow2 *q, uint64_t size)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret;

	for (unsigned int i = 0; s && i < s->nr; i++) {
		ret = resize_bitmap(q, &s->v[i], size);
		if (!ret)
			continue;
		/* In use on disk already, and so it stays. */
		log_error("%s: the bitmap '%s' is lost: %s", q->img->path,
			  s->v[i].name, strerror(-ret));
		s->v[i].inconsistent = true;
		s->v[i].changed = s->v[i].tracking = false;
	}
}
