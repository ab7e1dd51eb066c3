/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapped.c: see mapped.h.
 *
 * A request goes from extent to extent. Extents end after MAX_RUN blocks: a
 * status never walks a table of terabytes in one go.
 *
 * New blocks are placed by one coroutine at a time, as many in a row as the
 * request wants: data into the file, then into the tables in memory, which
 * reach the file behind the data (pages.h).
 */
#include "image/formats/mapped.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "image/graph/chain.h"
#include "image/luks/crypto-io.h"
#include "image/graph/open.h"
#include "image/graph/path.h"
#include "image/graph/probe.h"
#include "common/refmap.h"

#define MAX_RUN 4096
#define UNPACK_TOGETHER (1 * MiB)
#define COPY_AT_ONCE (1 * MiB)
#define LOST_TEXT 256

void mapped_init(struct mapped *m, const struct mapped_ops *ops,
		 struct image *img, struct image *file)
{
	*m = (struct mapped){ .ops = ops, .img = img, .file = file };
	pages_init(&m->pages, file);
	co_mutex_init(&m->placing);
	co_mutex_init(&m->unpacking);
}

void mapped_deinit(struct mapped *m)
{
	pages_deinit(&m->pages);
	free(m->unpacked);
	m->unpacked = NULL;
	crypto_free(m->crypto);
	m->crypto = NULL;
}

/* ---- where blocks are ---- */

static bool block_continues(const struct mapped *m,
			    const struct mapped_block *first,
			    const struct mapped_block *b, uint64_t n)
{
	if (b->flags != first->flags || (b->flags & IMAGE_EXTENT_COMPRESSED))
		return false;
	return !(b->flags & IMAGE_EXTENT_OFFSET) ||
	       b->host_offset == first->host_offset + n * m->block_size;
}

/* How many blocks, from this one on, one answer holds for. */
static uint64_t alike(const struct mapped_block *b)
{
	return b->table || !b->rest ? 1 : b->rest;
}

/* Bytes of a block from `in` on that the file has, whole sectors. */
static uint64_t bytes_there(const struct mapped *m,
			    const struct mapped_block *b, uint64_t in)
{
	uint64_t size = m->file->size;
	uint64_t there = align_down(size - min(size, b->host_offset),
				    SECTOR_SIZE);

	return there - min(there, in);
}

/* Bytes of a block that have to be there: those that the disk shows. */
static uint64_t bytes_needed(const struct mapped *m, uint64_t block,
			     const struct mapped_block *b)
{
	if (b->flags & IMAGE_EXTENT_COMPRESSED)
		return b->packed;
	return min(m->block_size, m->size - block * m->block_size);
}

/* Says why it cannot be used, or that the file does not hold it. */
static void describe_lost(const struct mapped *m, uint64_t block,
			  const struct mapped_block *b, int ret,
			  char text[LOST_TEXT])
{
	int n = snprintf(text, LOST_TEXT, "block %" PRIu64 " (guest offset %#"
			 PRIx64 ")", block,
			 m->start + block * m->block_size);
	size_t left = LOST_TEXT - (size_t)n;

	text += n;
	if (ret && b->lost_table)
		snprintf(text, left, ": its table at %#" PRIx64 " is not "
			 "within the file of %" PRIu64 " bytes", b->lost_table,
			 m->file->size);
	else if (ret)
		snprintf(text, left, ": its entry cannot be used");
	else if (b->host_offset < m->file->size)
		snprintf(text, left, " at %#" PRIx64 " is cut off by the end "
			 "of the file: %" PRIu64 " of %" PRIu64 " bytes are "
			 "there", b->host_offset,
			 m->file->size - b->host_offset,
			 bytes_needed(m, block, b));
	else
		snprintf(text, left, " at %#" PRIx64 " lies beyond the end of "
			 "the file of %" PRIu64 " bytes", b->host_offset,
			 m->file->size);
}

/* Of the first one only: others have the same cause, mostly. */
static void __attribute__((format(printf, 2, 3)))
tell(struct mapped *m, const char *fmt, ...)
{
	char text[LOST_TEXT];
	va_list ap;

	if (m->told)
		return;
	m->told = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s", m->file->path, text);
}

static int tell_lost(struct mapped *m, uint64_t block,
		     const struct mapped_block *b, int ret)
{
	char text[LOST_TEXT];

	describe_lost(m, block, b, ret, text);
	tell(m, "%s", text);
	return -EIO;
}

int mapped_status(struct mapped *m, uint64_t off, uint64_t len,
		  struct image_extent *out)
{
	uint64_t block = off / m->block_size, in = off % m->block_size;
	uint64_t last = (off + len - 1) / m->block_size, n;
	struct mapped_block first = { 0 }, b = { 0 };
	int ret = m->ops->lookup(m, block, &first);

	n = alike(&first);
	for (unsigned int i = 0; !ret && i < MAX_RUN && n <= last - block;
	     i++, n += alike(&b)) {
		b = (struct mapped_block){ 0 };
		/* A corrupt entry is told to the one who comes to it. */
		if (m->ops->lookup(m, block + n, &b) ||
		    !block_continues(m, &first, &b, n))
			break;
	}
	if (n > last - block)		/* nor can the product overflow */
		n = last - block + 1;
	*out = (struct image_extent){
		.length = min(len, n * m->block_size - in),
		.flags = first.flags,
	};
	if (ret == -EIO)
		return tell_lost(m, block, &first, ret);
	if (ret || !(first.flags & IMAGE_EXTENT_OFFSET))
		return ret;
	n = bytes_there(m, &first, in);
	if (!n)
		return tell_lost(m, block, &first, 0);
	out->length = min(out->length, n);
	out->host_offset = first.host_offset + in;
	out->file = m->file;
	if (m->holes)
		image_look_below(m->file, out);
	return 0;
}

/* ---- reading ---- */

/* Is there memory for a block that stays? */
static bool may_keep(struct mapped *m)
{
	if (!m->may_keep)
		m->may_keep = !image_take_later(m->img, m->block_size, NULL);
	return m->may_keep;
}

/* co. The block comes out of the last one that was unpacked, or into it. */
static int unpack_part(struct mapped *m, const struct mapped_block *b,
		       uint64_t in, uint64_t len, struct iow w)
{
	uint8_t *buf;
	int ret;

	if (m->unpacked && m->unpacked_block.host_offset == b->host_offset &&
	    m->unpacked_block.packed == b->packed) {
		iow_from_buf(w, m->unpacked + in, len);
		return 0;
	}
	buf = malloc(m->block_size);
	if (!buf)
		return -ENOMEM;
	ret = m->ops->unpack(m, b, buf, m->block_size);
	if (ret) {
		free(buf);
		return ret;
	}
	iow_from_buf(w, buf + in, len);
	free(m->unpacked);
	m->unpacked = may_keep(m) ? buf : NULL;
	m->unpacked_block = *b;
	if (!m->unpacked)
		free(buf);
	return 0;
}

/* co. Large blocks one at a time: they cost memory. */
static int read_packed_block(struct mapped *m, uint64_t off, uint64_t len,
			     struct iow w)
{
	bool large = m->block_size > UNPACK_TOGETHER;
	struct mapped_block b = { 0 };
	uint64_t block = off / m->block_size;
	int ret = m->ops->lookup(m, block, &b);

	if (ret)
		return ret;
	if (!range_within(b.host_offset, b.packed, m->file->size))
		return tell_lost(m, block, &b, 0);
	if (large)
		co_mutex_lock(&m->unpacking);
	ret = unpack_part(m, &b, off % m->block_size, len, w);
	if (large)
		co_mutex_unlock(&m->unpacking);
	if (ret == -EIO || ret == -EFBIG)
		tell(m, "the block at %#" PRIx64 " (guest offset %#" PRIx64
		     ") cannot be unpacked%s", b.host_offset,
		     m->start + block * m->block_size,
		     ret == -EFBIG ? ": it takes too much memory" : "");
	return ret;
}

static int read_data(struct mapped *m, uint64_t off,
		     const struct image_extent *e, struct iow w)
{
	if (m->crypto)
		return crypto_preadv(m->crypto, m->file, e->host_offset,
				     off / CRYPTO_SECTOR, e->length, w);
	return image_preadv(m->file, e->host_offset, e->length, w);
}

int mapped_read(struct mapped *m, uint64_t off, uint64_t len, struct iow w)
{
	struct image_extent e;
	int ret = 0;

	while (len && !ret) {
		ret = mapped_status(m, off, len, &e);
		if (ret)
			break;
		if (e.flags & IMAGE_EXTENT_COMPRESSED)
			ret = read_packed_block(m, off, e.length, w);
		else if ((e.flags & IMAGE_EXTENT_OFFSET) &&
			 !(e.flags & IMAGE_EXTENT_ZERO))
			ret = read_data(m, off, &e, w);
		else if (e.flags & IMAGE_EXTENT_ALLOCATED)
			iow_zero(w, e.length);
		else
			ret = chain_preadv(m->img, m->start + off, e.length,
					   w);
		off += e.length;
		len -= e.length;
		w = iow_advance(w, e.length);
	}
	return ret;
}

/* ---- writing ---- */

/* Zeroes the rest of the new blocks unless the file reads as zeroes there
 * (`zero`); if they lie beyond its end, extends it. */
static int pad_new_blocks(struct mapped *m, uint64_t host, uint64_t start,
			  uint64_t end, uint64_t bytes, bool zero)
{
	int ret = 0;

	if (start && !zero)
		ret = image_pwrite_zeroes(m->file, host, start, 0);
	if (ret || end == bytes)
		return ret;
	if (!zero)
		return image_pwrite_zeroes(m->file, host + end, bytes - end, 0);
	if (m->file->size < host + bytes)
		ret = image_truncate(m->file, host + bytes, NULL);
	return ret;
}

/* co. What the backing image holds of [off, off + len), to `host`; zeroes beyond
 * the end. */
static int copy_up(struct mapped *m, uint64_t off, uint64_t len, uint64_t host)
{
	uint64_t size = min(len, COPY_AT_ONCE), n, there;
	cleanup_free uint8_t *buf = size ? malloc(size) : NULL;
	int ret = size && !buf ? -ENOMEM : 0;

	for (; len && !ret; off += n, host += n, len -= n) {
		struct iovec iov = { buf, 0 };

		n = min(len, size);
		there = min(n, m->size - min(off, m->size));
		iov.iov_len = there;
		if (there)
			ret = chain_preadv(m->img, m->start + off, there,
					   iow_of(&iov, 1));
		memset(buf + there, 0, n - there);
		if (!ret)
			ret = image_pwrite(m->file, host, n, buf);
	}
	return ret;
}

/* co. All of the new block but [start, end), which are written: what the backing
 * image shows there must not change. */
static int copy_around(struct mapped *m, uint64_t block, uint64_t host,
		       uint64_t start, uint64_t end, uint64_t bytes)
{
	uint64_t off = block * m->block_size;
	int ret = copy_up(m, off, start, host);

	return ret ? ret : copy_up(m, off + end, bytes - end, host + end);
}

/* co, placing held. The blocks of the first bytes of [off, off + *len). */
static int write_new_blocks(struct mapped *m, uint64_t off, uint64_t *len,
			    struct iow w)
{
	uint64_t block = off / m->block_size, in = off % m->block_size;
	uint64_t n = div_round_up(in + *len, m->block_size), host;
	uint64_t bytes;
	bool zero = false;
	int ret = m->ops->place(m, block, &n, &host, &zero);

	if (ret)
		return ret;
	bytes = n * m->block_size;
	*len = min(*len, bytes - in);
	ret = image_pwritev(m->file, host + in, *len, w);
	if (!ret)
		ret = m->img->backing ?
			copy_around(m, block, host, in, in + *len, bytes) :
			pad_new_blocks(m, host, in, in + *len, bytes, zero);
	if (!ret)
		ret = m->ops->enter(m, block, n, host);
	return ret;
}

/* co. Writes the first bytes, says how many. */
static int write_some(struct mapped *m, uint64_t off, uint64_t *len,
		      struct iow w)
{
	struct image_extent e;
	int ret = mapped_status(m, off, *len, &e);

	if (!ret && !(e.flags & IMAGE_EXTENT_OFFSET)) {
		co_mutex_lock(&m->placing);
		ret = mapped_status(m, off, *len, &e);
		if (!ret && !(e.flags & IMAGE_EXTENT_OFFSET)) {
			*len = e.length;
			ret = write_new_blocks(m, off, len, w);
			co_mutex_unlock(&m->placing);
			return ret;
		}
		co_mutex_unlock(&m->placing);
	}
	*len = e.length;
	if (!ret && (e.host_offset < m->data_start ||
		     (e.flags & IMAGE_EXTENT_COMPRESSED)))
		return -EIO;
	return ret ? ret : image_pwritev(m->file, e.host_offset, *len, w);
}

int mapped_write(struct mapped *m, uint64_t off, uint64_t len, struct iow w)
{
	int ret = 0;

	while (len && !ret) {
		uint64_t n = len;

		ret = write_some(m, off, &n, w);
		off += n;
		len -= n;
		w = iow_advance(w, n);
	}
	return ret;
}

int mapped_zero(struct mapped *m, uint64_t off, uint64_t len)
{
	struct image_extent e;
	int ret = 0;

	if (m->img->backing)
		return -EOPNOTSUPP;
	for (; len && !ret; off += e.length, len -= e.length) {
		ret = mapped_status(m, off, len, &e);
		if (!ret && (e.flags & IMAGE_EXTENT_COMPRESSED))
			return -EOPNOTSUPP;
		if (ret || !(e.flags & IMAGE_EXTENT_OFFSET))
			continue;
		if (e.host_offset < m->data_start)
			return -EIO;
		ret = image_pwrite_zeroes(m->file, e.host_offset, e.length, 0);
	}
	return ret;
}

int mapped_flush(struct mapped *m)
{
	int ret = pages_flush(&m->pages);

	return ret ? ret : image_flush(m->file);
}

/* ---- check ---- */

#define MAX_REPORTS 100

struct walk {
	struct image_check *result;
	struct refmap places, tables;	/* that are taken, by sectors */
	uint64_t table;			/* the last one */
	uint64_t next;			/* where the next block would follow */
	uint64_t skip;			/* blocks to go on by */
};

void mapped_corrupt(struct image_check *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (r->corruptions++ >= MAX_REPORTS || !r->report)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->report(r->report_arg, text);
}

static void corrupt_lost(const struct mapped *m, uint64_t block,
			 const struct mapped_block *b, int ret,
			 struct image_check *r)
{
	char text[LOST_TEXT];

	describe_lost(m, block, b, ret, text);
	mapped_corrupt(r, "ERROR: %s", text);
}

/* One that has a place: where it ends, and whether it is alone there. */
static int check_place(struct mapped *m, uint64_t block,
		       const struct mapped_block *b, struct refmap *seen,
		       struct image_check *r)
{
	uint64_t unit = b->host_offset / SECTOR_SIZE, end;

	if (b->host_offset < m->data_start)
		mapped_corrupt(r, "ERROR: block %" PRIu64 " at %#" PRIx64 " overlaps "
			"the metadata", block, b->host_offset);
	else if (!range_within(b->host_offset, bytes_needed(m, block, b),
			       m->file->size))
		corrupt_lost(m, block, b, 0, r);
	else if (b->flags & IMAGE_EXTENT_COMPRESSED)
		return 0;		/* several may share a sector */
	else if (refmap_get(seen, unit).count)
		mapped_corrupt(r, "ERROR: block %" PRIu64 " at %#" PRIx64 " is used "
			"twice", block, b->host_offset);
	if (!add_overflow(b->host_offset, m->block_size, &end))
		r->image_end_offset = max(r->image_end_offset, end);
	r->placed_clusters++;
	return refmap_add(seen, unit, 1, 0);
}

/* A table that was seen before is not walked again. */
static int check_table(struct mapped *m, uint64_t block,
		       const struct mapped_block *b, struct walk *w)
{
	uint64_t unit = b->table / SECTOR_SIZE;

	w->skip = 0;
	if (!b->table || b->table == w->table)
		return 0;
	w->table = b->table;
	if (!refmap_get(&w->tables, unit).count)
		return refmap_add(&w->tables, unit, 1, 0);
	mapped_corrupt(w->result, "ERROR: the table of block %" PRIu64 " at %#"
		       PRIx64 " is used twice", block, b->table);
	w->skip = b->rest;
	return 0;
}

static int check_block(struct mapped *m, uint64_t block, struct walk *w)
{
	struct image_check *r = w->result;
	struct mapped_block b = { 0 };
	int ret = m->ops->lookup(m, block, &b);

	w->skip = 0;
	if (ret == -EIO) {
		corrupt_lost(m, block, &b, ret, r);
		w->skip = alike(&b);
		return 0;
	}
	if (!ret)
		ret = check_table(m, block, &b, w);
	if (ret || w->skip)
		return ret;
	w->skip = alike(&b);
	if (!(b.flags & IMAGE_EXTENT_ALLOCATED))
		return 0;
	r->allocated_clusters++;
	if (b.flags & IMAGE_EXTENT_COMPRESSED)
		r->compressed_clusters++;
	if (!(b.flags & (IMAGE_EXTENT_OFFSET | IMAGE_EXTENT_COMPRESSED)))
		return 0;
	if (w->next && b.host_offset != w->next)
		r->fragmented_clusters++;
	w->next = b.host_offset + m->block_size;
	return check_place(m, block, &b, &w->places, r);
}

int mapped_judge_repair(struct image *img, enum image_repair repair,
			struct error *err)
{
	if (repair == IMAGE_REPAIR_NONE)
		return 0;
	return error_set(err, ENOTSUP, "images of format '%s' can be checked "
			 "but not repaired", img->driver->name);
}

int mapped_check(struct mapped *m, struct image_check *result)
{
	uint64_t blocks = div_round_up(m->size, m->block_size);
	struct walk w = {
		.result = result,
		.places = REFMAP_INIT,
		.tables = REFMAP_INIT,
	};
	int ret = 0;

	result->total_clusters += blocks;
	for (uint64_t i = 0; i < blocks && !ret; i += w.skip)
		ret = check_block(m, i, &w);
	refmap_free(&w.places);
	refmap_free(&w.tables);
	return ret;
}

/* ---- verbs ---- */

int mapped_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	return mapped_read(img->state, off, len, w);
}

int mapped_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	return mapped_write(img->state, off, len, w);
}

int mapped_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			 unsigned int flags)
{
	return mapped_zero(img->state, off, len);
}

int mapped_block_status(struct image *img, uint64_t off, uint64_t len,
			struct image_extent *out)
{
	struct mapped *m = img->state;
	int ret = mapped_status(m, off, len, out);

	/* What lies there is of no use to anybody else. */
	if (m->crypto)
		out->flags &= ~(unsigned int)IMAGE_EXTENT_OFFSET;
	return ret;
}

void mapped_no_numbers(struct image_check *result)
{
	result->image_end_offset = 0;
	result->total_clusters = result->allocated_clusters = 0;
	result->fragmented_clusters = result->compressed_clusters = 0;
}

int mapped_image_check(struct image *img, enum image_repair repair,
		       struct image_check *result, struct error *err)
{
	int ret = mapped_judge_repair(img, repair, err);

	if (!ret)
		ret = mapped_check(img->state, result);
	mapped_no_numbers(result);
	return ret;
}

int mapped_image_flush(struct image *img)
{
	return mapped_flush(img->state);
}

int mapped_close(struct image *img, struct error *err)
{
	struct mapped *m = img->state;
	int ret = 0;

	if (img->flags & IMAGE_RDWR)
		ret = mapped_flush(m);
	mapped_deinit(m);
	return ret ? error_set_errno(err, -ret, "%s: the tables could not be "
				     "written", img->path) : 0;
}

/* ---- for opening ---- */

int mapped_read_header(struct image *img, uint8_t *h, size_t len,
		       int (*validate)(const uint8_t *h, struct error *err),
		       const struct mapped_ops *ops, struct error *err)
{
	int ret = image_pread(img->file, 0, len, h);

	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	ret = validate(h, err);
	if (!ret)
		mapped_init(img->state, ops, img, img->file);
	return ret;
}

int mapped_judge_table(const struct image *file, const char *what, uint64_t off,
		       uint64_t entries, uint64_t entry_size, struct error *err)
{
	uint64_t bytes;

	if (mul_overflow(entries, entry_size, &bytes) ||
	    !range_within(off, bytes, file->size))
		return error_set(err, EINVAL, "the %s of %" PRIu64 " entries at "
				 "%#" PRIx64 " is not within the file of %"
				 PRIu64 " bytes", what, entries, off,
				 file->size);
	return 0;
}

void mapped_limits(struct image *img)
{
	img->limits = (struct image_limits){
		.logical_block = SECTOR_SIZE,
		.physical_block = max(img->file->limits.physical_block,
				      SECTOR_SIZE),
		.discard_granularity = SECTOR_SIZE,
	};
}

int mapped_name_backing(struct image *img, const char *name,
			const char *format, struct error *err)
{
	const struct image_node *node = img->options.node;
	cleanup_free char *full = NULL;
	const char *looks;
	int ret = 0;

	if (img->flags & IMAGE_NO_BACKING)
		return 0;
	node = node ? node->backing : NULL;
	if (!format && (!node || !node->driver)) {
		ret = image_backing_path(img->path, name, &full, err);
		if (!ret)
			ret = image_probe(full, &looks, err);
		if (!ret && strcmp(looks, "raw"))
			ret = error_set(err, ENOTSUP, "the image does not "
					"record the format of its backing file "
					"'%s', which looks like %s "
					"(--image-opts backing.driver=%s says "
					"it is)", name, looks, looks);
	}
	return ret ? ret : image_name_backing(img, name, format);
}
