/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmap-dir.c: the bitmap directory, read whole and judged.
 *
 *	u64 table offset, u32 table entries, u32 flags, u8 type,
 *	u8 granularity bits, u16 name length, u32 extra length,
 *	extra data, name, padded to 8
 *
 * Extra data that nobody here knows is kept; a bitmap with such data is only
 * used if its flags allow that.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/qcow2/bitmap.h"

void qcow2_bitmap_free(struct qcow2_bitmap *b)
{
	for (uint32_t i = 0; b->chunks && i < b->table_entries; i++)
		free(b->chunks[i]);
	free(b->chunks);
	free(b->ones);
	free(b->chunk_changed);
	free(b->table);
	free(b->name);
	free(b->extra);
	*b = (struct qcow2_bitmap){ 0 };
}

void qcow2_bitmap_list_free(struct qcow2_bitmaps *list)
{
	for (unsigned int i = 0; i < list->nr; i++)
		qcow2_bitmap_free(&list->v[i]);
	free(list->v);
	free(list->unused);
	*list = (struct qcow2_bitmaps){ 0 };
}

/* ---- reading ---- */

/* -ENOTSUP: the specification allows it, or reserves it for others. */
static int validate_dir_entry(const struct qcow2_header *h,
			      const struct qcow2_bitmap *b, struct error *err)
{
	uint64_t bytes = (uint64_t)b->table_entries << h->cluster_bits;
	uint64_t need;

	if (b->type != QCOW2_BITMAP_TYPE_DIRTY)
		return error_set(err, ENOTSUP, "unknown type %u (known: 1)",
				 b->type);
	if (b->flags_on_disk & ~QCOW2_BITMAP_FLAGS)
		return error_set(err, ENOTSUP, "flags %#x, known are %#x",
				 b->flags_on_disk, QCOW2_BITMAP_FLAGS);
	if (b->granularity_bits < QCOW2_BITMAP_MIN_GRANULARITY_BITS ||
	    b->granularity_bits > QCOW2_BITMAP_MAX_GRANULARITY_BITS)
		return error_set(err, ENOTSUP, "granularity of 2^%u bytes, must "
				 "be 2^%u to 2^%u", b->granularity_bits,
				 QCOW2_BITMAP_MIN_GRANULARITY_BITS,
				 QCOW2_BITMAP_MAX_GRANULARITY_BITS);
	if (!b->table_entries || b->table_entries > QCOW2_BITMAP_MAX_ENTRIES ||
	    bytes > QCOW2_BITMAP_MAX_BYTES)
		return error_set(err, EINVAL, "table of %u entries, must be 1 "
				 "to %" PRIu64, b->table_entries,
				 QCOW2_BITMAP_MAX_BYTES >> h->cluster_bits);
	if (!b->table_offset || b->table_offset >> 56 ||
	    !is_aligned(b->table_offset, qcow2_cluster_size(h)))
		return error_set(err, EINVAL, "table offset %#" PRIx64 " is no "
				 "cluster's", b->table_offset);
	need = qcow2_bitmap_chunks(h, align_down(h->size, SECTOR_SIZE),
				   b->granularity_bits);
	if (!b->inconsistent && b->table_entries != need)
		return error_set(err, EINVAL, "table of %u entries, a disk of "
				 "%" PRIu64 " bytes needs %" PRIu64,
				 b->table_entries, h->size, need);
	return 0;
}

static int load_entry(const struct qcow2_header *h, const uint8_t *e,
		      uint64_t pos, struct qcow2_bitmap *b, struct error *err)
{
	uint16_t name_len = load_be16(e + 18);
	const char *name;

	*b = (struct qcow2_bitmap){
		.table_offset = load_be64(e),
		.table_entries = load_be32(e + 8),
		.flags_on_disk = load_be32(e + 12),
		.type = e[16],
		.granularity_bits = e[17],
		.extra_len = load_be32(e + 20),
		.dir_pos = (uint32_t)pos,
	};
	name = (const char *)e + QCOW2_BITMAP_HEAD + b->extra_len;
	b->flags = b->flags_on_disk & ~QCOW2_BITMAP_IN_USE;
	b->inconsistent = b->flags_on_disk & QCOW2_BITMAP_IN_USE;
	b->foreign = b->extra_len &&
		     !(b->flags_on_disk & QCOW2_BITMAP_EXTRA_COMPATIBLE);
	if (!name_len || name_len > QCOW2_BITMAP_MAX_NAME ||
	    memchr(name, 0, name_len))
		return error_set(err, EINVAL, "name of %u bytes, must be 1 to "
				 "%u and none of them zero", name_len,
				 QCOW2_BITMAP_MAX_NAME);
	b->name = strndup(name, name_len);
	if (b->extra_len)
		b->extra = malloc(b->extra_len);
	if (!b->name || (b->extra_len && !b->extra))
		return -ENOMEM;
	if (b->extra_len)
		memcpy(b->extra, e + QCOW2_BITMAP_HEAD, b->extra_len);
	return validate_dir_entry(h, b, err);
}

static int load_entries(const struct qcow2_header *h, const uint8_t *dir,
			struct qcow2_bitmaps *list, struct error *err)
{
	uint64_t pos = 0, len;
	int ret;

	while (list->nr < h->nr_bitmaps) {
		len = QCOW2_BITMAP_HEAD;
		if (range_within(pos, len, h->bitmap_dir_size))
			len += (uint64_t)load_be16(dir + pos + 18) +
			       load_be32(dir + pos + 20);
		if (!range_within(pos, len, h->bitmap_dir_size))
			return error_set(err, EINVAL, "bitmap %u lies beyond "
					 "the end of the bitmap directory",
					 list->nr);
		ret = load_entry(h, dir + pos, pos, &list->v[list->nr++], err);
		if (ret)
			return error_prefix(err, ret, "bitmap %u",
					    list->nr - 1);
		pos += align_up(len, 8);
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int judge_names(const struct qcow2_bitmaps *list, struct error *err)
{
	cleanup_free char **names = malloc(list->nr * sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (unsigned int i = 0; i < list->nr; i++)
		names[i] = list->v[i].name;
	qsort(names, list->nr, sizeof(*names), by_name);
	for (unsigned int i = 1; i < list->nr; i++)
		if (!strcmp(names[i - 1], names[i]))
			return error_set(err, EINVAL, "two bitmaps have the "
					 "name '%.100s'", names[i]);
	return 0;
}

int qcow2_bitmap_list(struct image *file, const struct qcow2_header *h,
		      struct qcow2_bitmaps *list, struct error *err)
{
	cleanup_free uint8_t *dir = NULL;
	int ret;

	*list = (struct qcow2_bitmaps){ 0 };
	/* Without the bit some program has written and not kept them. */
	if (!h->has_bitmaps || !(h->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	/* A count may be a lie, the size of the directory is judged. */
	if ((uint64_t)h->nr_bitmaps * QCOW2_BITMAP_HEAD > h->bitmap_dir_size)
		return error_set(err, EINVAL, "%u bitmaps in a directory of %"
				 PRIu64 " bytes", h->nr_bitmaps,
				 h->bitmap_dir_size);
	dir = malloc(h->bitmap_dir_size);
	list->v = calloc(h->nr_bitmaps, sizeof(*list->v));
	list->max = h->nr_bitmaps;
	if (!dir || !list->v)
		ret = -ENOMEM;
	else
		ret = image_pread(file, h->bitmap_dir_offset,
				  h->bitmap_dir_size, dir);
	if (ret)
		error_set_errno(err, -ret, "reading the bitmap directory");
	else
		ret = load_entries(h, dir, list, err);
	if (!ret)
		ret = judge_names(list, err);
	if (ret)
		qcow2_bitmap_list_free(list);
	return ret;
}

/* ---- writing ---- */

static uint64_t entry_size(const struct qcow2_bitmap *b)
{
	return align_up(QCOW2_BITMAP_HEAD + (uint64_t)b->extra_len +
			strlen(b->name), 8);
}

uint64_t qcow2_bitmap_dir_size(const struct qcow2_bitmaps *list)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < list->nr; i++)
		size += entry_size(&list->v[i]);
	return size;
}

void qcow2_bitmap_dir_encode(struct qcow2_bitmaps *list, uint8_t *dir)
{
	uint8_t *e = dir;

	for (unsigned int i = 0; i < list->nr; i++) {
		struct qcow2_bitmap *b = &list->v[i];

		store_be64(e, b->table_offset);
		store_be32(e + 8, b->table_entries);
		store_be32(e + 12, b->flags_on_disk);
		e[16] = b->type;
		e[17] = b->granularity_bits;
		store_be16(e + 18, (uint16_t)strlen(b->name));
		store_be32(e + 20, b->extra_len);
		if (b->extra_len)
			memcpy(e + QCOW2_BITMAP_HEAD, b->extra, b->extra_len);
		memcpy(e + QCOW2_BITMAP_HEAD + b->extra_len, b->name,
		       strlen(b->name));
		b->dir_pos = (uint32_t)(e - dir);
		e += entry_size(b);
	}
}
