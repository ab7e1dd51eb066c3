/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmap.c: the bits of dirty bitmaps in memory, kept up to date.
 *
 *	directory -> table of a bitmap -> clusters full of bits
 *
 * Bit n stands for bytes [n * granularity, (n + 1) * granularity); bit 0 is the
 * lowest of the first byte. A table entry of 0 is a cluster of zeroes, 1 one of
 * ones. In memory it is the same: clusters, where they are not all alike.
 */
#include "image/qcow2/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "image/graph/open.h"

/* ---- opening ---- */

int qcow2_bitmap_note(struct qcow2 *q, uint64_t offset, uint64_t count)
{
	return qcow2_meta_add_range(&q->meta, offset >> q->cluster_bits, count,
				    QCOW2_META_BITMAPS);
}

static int validate_bitmap_table(const struct qcow2 *q,
				 const struct qcow2_bitmap *b,
				 struct error *err)
{
	for (uint32_t i = 0; i < b->table_entries; i++) {
		uint64_t e = b->table[i];
		uint64_t offset = e & QCOW2_BITMAP_ENTRY_OFFSET;

		if ((e & ~offset & ~(offset ? 0 : QCOW2_BITMAP_ENTRY_ONES)) ||
		    !is_aligned(offset, q->cluster_size) ||
		    offset >= q->data_end)
			return error_set(err, EINVAL, "table entry %u is %#"
					 PRIx64 ", no cluster's offset", i, e);
	}
	return 0;
}

/* The bits that are in the file. */
static int note_bits(struct qcow2 *q, struct qcow2_bitmap *b,
		     struct error *err)
{
	uint64_t nr = 0;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < b->table_entries; i++) {
		uint64_t offset = b->table[i] & QCOW2_BITMAP_ENTRY_OFFSET;

		if (!offset)
			continue;
		ret = qcow2_bitmap_note(q, offset, 1);
		nr++;
	}
	if (ret)
		return ret;
	if (qcow2_bitmap_usable(b) && (b->flags & QCOW2_BITMAP_AUTO))
		q->bitmaps->bytes += nr << q->cluster_bits;
	if (q->bitmaps->bytes > QCOW2_BITMAP_MAX_BYTES)
		return error_set(err, EFBIG, "the bits of the enabled bitmaps "
				 "up to it take up %" PRIu64 " bytes, at most %"
				 PRIu64, q->bitmaps->bytes,
				 QCOW2_BITMAP_MAX_BYTES);
	return image_take(q->img, nr * QCOW2_META_BYTES, err);
}

/* co. Clusters that are taken are not read: several bitmaps may name them. */
static int read_table(struct qcow2 *q, struct qcow2_bitmap *b,
		      struct error *err)
{
	uint64_t bytes = (uint64_t)b->table_entries * 8;
	uint64_t clusters = qcow2_bitmap_table_clusters(q, b);
	int ret;

	if (!range_within(b->table_offset, bytes, q->data_end))
		return error_set(err, EINVAL, "its table at %#" PRIx64 " lies "
				 "beyond the end of the file",
				 b->table_offset);
	ret = qcow2_bitmap_note(q, b->table_offset, clusters);
	if (!ret)
		ret = image_take(q->img, bytes + clusters * QCOW2_META_BYTES,
				 err);
	if (ret)
		return ret;
	b->table = malloc(bytes);
	if (!b->table)
		return -ENOMEM;
	ret = image_pread(q->file, b->table_offset, bytes, b->table);
	if (ret)
		return error_set_errno(err, -ret, "reading its table");
	for (uint32_t i = 0; i < b->table_entries; i++)
		b->table[i] = load_be64(&b->table[i]);
	return validate_bitmap_table(q, b, err);
}

/* All bits of one that gets all writes: the guest may set every one. */
static int take_bits(struct qcow2 *q, const struct qcow2_bitmap *b,
		     struct error *err)
{
	uint64_t each = q->cluster_size + sizeof(*b->chunks) +
			sizeof(*b->ones) + sizeof(*b->chunk_changed);

	if (!qcow2_bitmap_usable(b) || !(b->flags & QCOW2_BITMAP_AUTO))
		return 0;
	return image_take_later(q->img, b->table_entries * each, err);
}

/* co */
static int open_bitmap(struct qcow2 *q, struct qcow2_bitmap *b,
		       struct error *err)
{
	int ret = read_table(q, b, err);

	if (!ret)
		ret = note_bits(q, b, err);
	if (!ret)
		ret = take_bits(q, b, err);
	if (ret == -EEXIST)
		ret = error_set(err, EINVAL, "its clusters are also something "
				"else");
	return ret;
}

/* co. One that is in use need not be sound: nobody wants its bits, and it can
 * still be removed. */
static int open_all(struct qcow2 *q, struct error *err)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < s->nr; i++) {
		struct qcow2_bitmap *b = &s->v[i];

		ret = open_bitmap(q, b, err);
		b->broken = ret;
		if (!ret)
			continue;
		free(b->table);
		b->table = NULL;
		if (ret != -ENOMEM && ret != -EFBIG && b->inconsistent)
			ret = 0;
		else
			error_prefix(err, ret, "bitmap '%.100s'", b->name);
	}
	return ret;
}

int qcow2_bitmaps_open(struct qcow2 *q, struct error *err)
{
	uint64_t bytes = 2 * q->h.bitmap_dir_size +
			 q->h.nr_bitmaps * sizeof(struct qcow2_bitmap);
	struct qcow2_bitmaps *s;
	int ret = image_take(q->img, bytes, err);

	if (ret)
		return ret;
	s = calloc(1, sizeof(*s));
	ret = s ? qcow2_bitmap_list(q->file, &q->h, s, err) : -ENOMEM;
	if (ret || !s->nr) {
		free(s);
		return ret;
	}
	q->bitmaps = s;
	return open_all(q, err);
}

void qcow2_bitmaps_free(struct qcow2 *q)
{
	if (q->bitmaps)
		qcow2_bitmap_list_free(q->bitmaps);
	free(q->bitmaps);
	q->bitmaps = NULL;
}

/* ---- bits in memory ---- */

int qcow2_bitmap_init_bits(struct qcow2 *q, struct qcow2_bitmap *b,
			   uint64_t size)
{
	if (!b->table)
		b->table = calloc(b->table_entries, sizeof(*b->table));
	b->chunks = calloc(b->table_entries, sizeof(*b->chunks));
	b->ones = calloc(b->table_entries, 1);
	b->chunk_changed = calloc(b->table_entries, 1);
	b->nr_bits = div_round_up(size, qcow2_bitmap_granularity(b));
	b->loaded = true;
	return b->table && b->chunks && b->ones && b->chunk_changed ? 0 :
								     -ENOMEM;
}

void qcow2_bitmap_trim(const struct qcow2 *q, struct qcow2_bitmap *b)
{
	uint64_t per_chunk = q->cluster_size * 8;
	uint64_t last = b->nr_bits / per_chunk, in = b->nr_bits % per_chunk;
	uint8_t *bits = last < b->table_entries ? b->chunks[last] : NULL;

	if (!bits)
		return;
	if (in % 8)
		bits[in / 8] &= (uint8_t)((1u << (in % 8)) - 1);
	in = div_round_up(in, 8);
	memset(bits + in, 0, q->cluster_size - in);
}

int qcow2_bitmap_load(struct qcow2 *q, struct qcow2_bitmap *b)
{
	int ret;

	if (b->loaded)
		return 0;
	ret = qcow2_bitmap_init_bits(q, b, q->img->size);
	for (uint32_t i = 0; !ret && i < b->table_entries; i++) {
		uint64_t offset = b->table[i] & QCOW2_BITMAP_ENTRY_OFFSET;

		b->ones[i] = b->table[i] & QCOW2_BITMAP_ENTRY_ONES;
		if (!offset)
			continue;
		b->chunks[i] = malloc(q->cluster_size);
		ret = b->chunks[i] ? image_pread(q->file, offset,
						 q->cluster_size,
						 b->chunks[i]) : -ENOMEM;
	}
	qcow2_bitmap_trim(q, b);
	if (ret)
		b->loaded = false;
	return ret;
}

/* Bits [first, end) of one chunk. */
static void fill_bits(uint8_t *bits, uint64_t first, uint64_t end)
{
	for (; first < end && first % 8; first++)
		bits[first / 8] |= (uint8_t)(1u << (first % 8));
	if (first < end)
		memset(bits + first / 8, 0xff, (end - first) / 8);
	for (first = max(first, align_down(end, 8)); first < end; first++)
		bits[first / 8] |= (uint8_t)(1u << (first % 8));
}

static int set_in_chunk(struct qcow2 *q, struct qcow2_bitmap *b, uint64_t i,
			uint64_t first, uint64_t end)
{
	if (b->ones[i])
		return 0;
	if (!b->chunks[i])
		b->chunks[i] = calloc(1, q->cluster_size);
	if (!b->chunks[i])
		return -ENOMEM;
	fill_bits(b->chunks[i], first, end);
	b->chunk_changed[i] = 1;
	b->changed = true;
	return 0;
}

int qcow2_bitmap_set(struct qcow2 *q, struct qcow2_bitmap *b, uint64_t off,
		     uint64_t len)
{
	uint64_t per_chunk = q->cluster_size * 8, i, n;
	uint64_t bit = off >> b->granularity_bits;
	uint64_t end = min(((off + len - 1) >> b->granularity_bits) + 1,
			   b->nr_bits);
	int ret = 0;

	for (; !ret && bit < end; bit += n) {
		i = bit / per_chunk;
		n = min(end - bit, (i + 1) * per_chunk - bit);
		ret = set_in_chunk(q, b, i, bit % per_chunk,
				   bit % per_chunk + n);
	}
	return ret;
}

void qcow2_bitmap_clear(struct qcow2 *q, struct qcow2_bitmap *b)
{
	(void)q;
	for (uint32_t i = 0; i < b->table_entries; i++) {
		free(b->chunks[i]);
		b->chunks[i] = NULL;
		b->ones[i] = 0;
		b->chunk_changed[i] = 1;
	}
	b->changed = true;
}

static bool is_set(const struct qcow2_bitmap *b, uint64_t per_chunk,
		   uint64_t bit)
{
	const uint8_t *bits = b->chunks[bit / per_chunk];
	uint64_t in = bit % per_chunk;

	return bits ? bits[in / 8] >> (in % 8) & 1 : b->ones[bit / per_chunk];
}

/* Bits from `bit` on that are `set` or not; whole bytes and chunks at a time
 * where they are alike. */
static uint64_t skip_bits(const struct qcow2_bitmap *b, uint64_t per_chunk,
			  uint64_t bit, bool set)
{
	uint8_t alike = set ? 0xff : 0;

	while (bit < b->nr_bits && is_set(b, per_chunk, bit) == set) {
		const uint8_t *bits = b->chunks[bit / per_chunk];
		uint64_t in = bit % per_chunk;

		if (!bits)
			bit += per_chunk - in;
		else if (in % 8 == 0 && bits[in / 8] == alike)
			bit += 8;
		else
			bit++;
	}
	return min(bit, b->nr_bits);
}

bool qcow2_bitmap_next(const struct qcow2 *q, const struct qcow2_bitmap *b,
		       uint64_t off, uint64_t *start, uint64_t *end)
{
	uint64_t per_chunk = q->cluster_size * 8, first, last;

	first = skip_bits(b, per_chunk, off >> b->granularity_bits, false);
	if (first >= b->nr_bits)
		return false;
	last = skip_bits(b, per_chunk, first, true);
	*start = max(off, first << b->granularity_bits);
	*end = last << b->granularity_bits;
	return true;
}

/* ---- in use ---- */

int qcow2_bitmap_write_flags(struct qcow2 *q, struct qcow2_bitmap *b,
			     uint32_t flags)
{
	uint8_t word[4];
	int ret;

	if (flags == b->flags_on_disk || !b->table_offset)
		return 0;
	store_be32(word, flags);
	ret = image_pwrite(q->file, q->h.bitmap_dir_offset + b->dir_pos + 12,
			   sizeof(word), word);
	if (!ret)
		b->flags_on_disk = flags;
	return ret;
}

int qcow2_bitmap_set_in_use(struct qcow2 *q, struct qcow2_bitmap *b)
{
	return qcow2_bitmap_write_flags(q, b, qcow2_bitmap_final_flags(b) |
					      QCOW2_BITMAP_IN_USE);
}

static int begin_bitmap(struct qcow2 *q, struct qcow2_bitmap *b)
{
	int ret = 0;

	if (!(b->flags & QCOW2_BITMAP_AUTO) || b->inconsistent)
		return 0;
	if (qcow2_bitmap_usable(b)) {
		ret = qcow2_bitmap_load(q, b);
		b->tracking = !ret;
	} else {
		b->inconsistent = true;	/* we cannot keep it, and say so */
	}
	return ret ? ret : qcow2_bitmap_set_in_use(q, b);
}

int qcow2_bitmaps_begin(struct qcow2 *q)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret = 0;

	for (unsigned int i = 0; s && !ret && i < s->nr; i++) {
		ret = begin_bitmap(q, &s->v[i]);
		if (ret)
			log_error("%s: cannot keep the bitmap '%s': %s",
				  q->img->path, s->v[i].name, strerror(-ret));
	}
	return ret || !s ? ret : qcow2_barrier(q);
}

int qcow2_bitmaps_mark(struct qcow2 *q, uint64_t off, uint64_t len)
{
	struct qcow2_bitmaps *s = q->bitmaps;
	int ret = 0;

	for (unsigned int i = 0; !ret && i < s->nr; i++)
		if (s->v[i].tracking)
			ret = qcow2_bitmap_set(q, &s->v[i], off, len);
	return ret;
}

/* ---- space ---- */

int qcow2_bitmap_give_up(struct qcow2 *q, uint64_t offset, uint64_t count)
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
			ret = qcow2_bitmap_give_up(q, b->table[i] &
					 QCOW2_BITMAP_ENTRY_OFFSET, 1);
	if (!ret)
		ret = qcow2_bitmap_give_up(q, b->table_offset,
			      qcow2_bitmap_table_clusters(q, b));
	return ret;
}
