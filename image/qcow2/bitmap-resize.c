/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmap-resize.c: dirty bitmaps of a disk that gets another size.
 *
 * They are loaded and marked as in use on disk before; then their arrays change
 * in memory, and closing the image stores them with a new table.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "image/qcow2/bitmap.h"

int qcow2_bitmap_judge_use(const struct qcow2_bitmap *b, struct error *err)
{
	if (b->foreign)
		return error_set(err, ENOTSUP, "Bitmap '%s' has data of a newer "
				 "program and cannot be used", b->name);
	if (!qcow2_bitmap_usable(b))
		return error_set(err, EINVAL, "Bitmap '%s' is inconsistent and "
				 "cannot be used\nxdisk bitmap --remove deletes "
				 "it", b->name);
	return 0;
}

static int validate_new_size(const struct qcow2 *q, const struct qcow2_bitmap *b,
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
		ret = validate_new_size(q, &s->v[i], size, err);
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
			ret = qcow2_bitmap_give_up(q, b->table[i] &
					 QCOW2_BITMAP_ENTRY_OFFSET, 1);
	if (!ret && b->table_offset)
		ret = qcow2_bitmap_give_up(q, b->table_offset,
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
