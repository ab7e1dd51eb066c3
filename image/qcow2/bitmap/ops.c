/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ops.c: what people do with dirty bitmaps.
 *
 * Operations change the list and the bits in memory; qcow2_bitmaps_store()
 * gets them to the file when the image is closed. Sentences are qemu-img's.
 */
#include "image/qcow2/bitmap/ops.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/bitmap.h"

/* Without a wish: a cluster, within these. */
#define LEAST_DEFAULT_BITS 12u
#define MOST_DEFAULT_BITS 16u

static struct qcow2_bitmap *find_bitmap(struct qcow2 *q, const char *name)
{
	struct qcow2_bitmaps *s = q->bitmaps;

	for (unsigned int i = 0; s && i < s->nr; i++)
		if (!strcmp(s->v[i].name, name))
			return &s->v[i];
	return NULL;
}

static int bitmap_not_found(const char *name, struct error *err)
{
	return error_set(err, ENOENT, "Dirty bitmap '%s' not found", name);
}

/* co. The bitmap `name` with its bits in memory. */
static int find_loaded(struct qcow2 *q, const char *name,
		       struct qcow2_bitmap **out, struct error *err)
{
	struct qcow2_bitmap *b = find_bitmap(q, name);
	int ret;

	if (!b)
		return bitmap_not_found(name, err);
	ret = qcow2_bitmap_judge_use(b, err);
	if (ret)
		return ret;
	ret = qcow2_bitmap_load(q, b);
	*out = b;
	return ret ? error_set_errno(err, -ret, "loading bitmap '%s'", name) :
		     0;
}

/* ---- add ---- */

static int validate_new_name(struct qcow2 *q, const char *name,
			     struct error *err)
{
	if (!*name)
		return error_set(err, EINVAL, "Bitmap name cannot be empty");
	if (strlen(name) > QCOW2_BITMAP_MAX_NAME)
		return error_set(err, EINVAL, "Bitmap name is too long: %zu "
				 "bytes, at most %u", strlen(name),
				 QCOW2_BITMAP_MAX_NAME);
	if (find_bitmap(q, name))
		return error_set(err, EEXIST, "Bitmap already exists: %s",
				 name);
	return 0;
}

static int validate_new_bitmap(struct qcow2 *q, const struct qcow2_bitmap *b,
			       uint64_t chunks, struct error *err)
{
	const struct qcow2_bitmaps *s = q->bitmaps;

	if (q->h.version < 3)
		return error_set(err, ENOTSUP, "Cannot store dirty bitmaps in "
				 "qcow2 v2 files (xdisk amend -o compat=v3)");
	if (!chunks)
		return error_set(err, EINVAL, "An empty disk cannot have "
				 "bitmaps");
	if (chunks << q->cluster_bits > QCOW2_BITMAP_MAX_BYTES)
		return error_set(err, EFBIG, "Too much space will be occupied "
				 "by the bitmap. Use larger granularity");
	if (s->nr >= QCOW2_MAX_BITMAPS ||
	    qcow2_bitmap_dir_size(s) + QCOW2_BITMAP_HEAD + strlen(b->name) + 8 >
		    QCOW2_BITMAP_MAX_DIR)
		return error_set(err, EFBIG, "Maximum number of persistent "
				 "bitmaps is already reached");
	return 0;
}

static uint32_t default_granularity_bits(const struct qcow2 *q)
{
	return min(max(q->cluster_bits, LEAST_DEFAULT_BITS), MOST_DEFAULT_BITS);
}

static int append_bitmap(struct qcow2_bitmaps *s, const struct qcow2_bitmap *b)
{
	if (array_reserve(s->v, s->nr, s->max))
		return -ENOMEM;
	s->v[s->nr++] = *b;
	return 0;
}

static int add_bitmap(struct qcow2 *q, const char *name, uint64_t granularity,
		      struct error *err)
{
	struct qcow2_bitmap b = {
		.name = (char *)name,
		.flags = QCOW2_BITMAP_AUTO,
		.type = QCOW2_BITMAP_TYPE_DIRTY,
		.granularity_bits = (uint8_t)default_granularity_bits(q),
		.changed = true,
	};
	uint64_t chunks;
	int ret = validate_new_name(q, name, err);

	if (ret)
		return ret;
	if (granularity && (!is_pow2(granularity) ||
			    granularity < UINT64_C(1) <<
				    QCOW2_BITMAP_MIN_GRANULARITY_BITS ||
			    granularity > UINT64_C(1) <<
				    QCOW2_BITMAP_MAX_GRANULARITY_BITS))
		return error_set(err, EINVAL, "Granularity must be power of 2 "
				 "and at least 512, not %" PRIu64 " (at most "
				 "2 GiB)", granularity);
	if (granularity)
		b.granularity_bits = (uint8_t)log2_floor(granularity);
	chunks = qcow2_bitmap_chunks(&q->h, q->img->size, b.granularity_bits);
	ret = validate_new_bitmap(q, &b, chunks, err);
	if (ret)
		return ret;
	b.table_entries = (uint32_t)chunks;
	b.name = strdup(name);
	ret = b.name ? qcow2_bitmap_init_bits(q, &b, q->img->size) : -ENOMEM;
	if (!ret)
		ret = append_bitmap(q->bitmaps, &b);
	if (ret)
		qcow2_bitmap_free(&b);
	q->bitmaps->list_changed |= !ret;
	return ret;
}

/* ---- the others ---- */

static int remove_bitmap(struct qcow2 *q, const char *name, struct error *err)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	struct qcow2_bitmap *b = find_bitmap(q, name);
	int ret;

	if (!b)
		return bitmap_not_found(name, err);
	ret = qcow2_bitmap_give_up_space(q, b);
	if (ret)
		return ret;
	qcow2_bitmap_free(b);
	s->nr--;
	memmove(b, b + 1, (size_t)(s->v + s->nr - b) * sizeof(*b));
	s->list_changed = true;
	return 0;
}

static int enable_bitmap(struct qcow2 *q, const char *name, bool on,
			 struct error *err)
{
	struct qcow2_bitmap *b = find_bitmap(q, name);
	int ret;

	if (!b)
		return bitmap_not_found(name, err);
	ret = qcow2_bitmap_judge_use(b, err);
	if (ret)
		return ret;
	b->flags &= ~QCOW2_BITMAP_AUTO;
	b->flags |= on ? QCOW2_BITMAP_AUTO : 0;
	b->tracking &= on;
	return 0;
}

static int merge_bitmaps(struct qcow2 *q, const char *name,
			 const struct image_bitmap_args *args,
			 struct error *err)
{
	struct image *other = args->source;
	struct qcow2_bitmap *b, *from;
	uint64_t start, end = 0;
	int ret = find_loaded(q, name, &b, err);

	if (!ret && other->driver != q->img->driver)
		return bitmap_not_found(args->source_name, err);
	if (!ret && !qcow2_of(other)->bitmaps)
		ret = qcow2_bitmaps_open(qcow2_of(other), err);
	if (!ret)
		ret = find_loaded(qcow2_of(other), args->source_name, &from,
				  err);
	if (ret)
		return ret;
	if (other->size != q->img->size)
		return error_set(err, EINVAL, "Bitmaps are of different sizes "
				 "(destination size is %" PRIu64 ", source "
				 "size is %" PRIu64 ") and can't be merged",
				 q->img->size, other->size);
	while (!ret && b != from &&
	       qcow2_bitmap_next(qcow2_of(other), from, end, &start, &end))
		ret = qcow2_bitmap_set(q, b, start, end - start);
	return ret;
}

static int clear_bitmap(struct qcow2 *q, const char *name, struct error *err)
{
	struct qcow2_bitmap *b;
	int ret = find_loaded(q, name, &b, err);

	if (!ret)
		qcow2_bitmap_clear(q, b);
	return ret;
}

int qcow2_bitmap_op(struct image *img, enum image_bitmap_op op,
		    const char *name, const struct image_bitmap_args *args,
		    struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	int ret = qcow2_begin_write(q);

	if (!ret && !q->bitmaps) {
		q->bitmaps = calloc(1, sizeof(*q->bitmaps));
		ret = q->bitmaps ? 0 : -ENOMEM;
	}
	if (ret)
		return ret;
	qcow2_begin_data_again(q);
	switch (op) {
	case IMAGE_BITMAP_ADD:
		return add_bitmap(q, name, args ? args->granularity : 0, err);
	case IMAGE_BITMAP_REMOVE:
		return remove_bitmap(q, name, err);
	case IMAGE_BITMAP_CLEAR:
		return clear_bitmap(q, name, err);
	case IMAGE_BITMAP_ENABLE:
	case IMAGE_BITMAP_DISABLE:
		return enable_bitmap(q, name, op == IMAGE_BITMAP_ENABLE, err);
	case IMAGE_BITMAP_MERGE:
		return merge_bitmaps(q, name, args, err);
	}
	return -EINVAL;
}

/* ---- info ---- */

int qcow2_bitmap_info(struct image *file, const struct qcow2_header *h,
		      struct image_info *info, struct error *err)
{
	struct qcow2_bitmaps list;
	int ret = qcow2_bitmap_list(file, h, &list, err);

	if (ret)
		return ret;
	info->bitmaps = calloc(max(list.nr, 1u), sizeof(*info->bitmaps));
	if (!info->bitmaps)
		list.nr = 0;
	for (unsigned int i = 0; i < list.nr; i++)
		info->bitmaps[i] = (struct image_info_bitmap){
			.name = steal_ptr(&list.v[i].name),
			.granularity = qcow2_bitmap_granularity(&list.v[i]),
			.in_use = list.v[i].inconsistent,
			.enabled = list.v[i].flags & QCOW2_BITMAP_AUTO,
		};
	info->nr_bitmaps = list.nr;
	qcow2_bitmap_list_free(&list);
	return info->bitmaps ? 0 : -ENOMEM;
}
