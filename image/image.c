/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.c: judges requests, calls drivers.
 *
 * Each request is judged here once: range, writability, and alignment. A
 * protocol may need requests and memory aligned (O_DIRECT); what is not goes
 * through a bounce buffer, unaligned writes as read-modify-write. Writes to a
 * protocol that needs alignment are tracked while in flight, so that a
 * read-modify-write never carries a stale copy over a neighbour's sectors.
 *
 * There is no retry and no caching here.
 */
#include "image/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "io/coroutine.h"
#include "io/loop.h"
#include "io/memory.h"
#include "image/driver.h"

#define BOUNCE_MAX ((uint64_t)1 << 20)

/* ---- properties ---- */

struct loop *image_loop(const struct image *img)
{
	return img->loop;
}

const char *image_path(const struct image *img)
{
	return img->path;
}

const char *image_format(const struct image *img)
{
	const struct image_node *node = img->options.node;

	return node && node->called ? node->called : img->driver->name;
}

uint64_t image_size(const struct image *img)
{
	return img->size;
}

bool image_guessed(const struct image *img)
{
	return img->flags & IMAGE_GUESSED;
}

bool image_writable(const struct image *img)
{
	return img->flags & IMAGE_RDWR;
}

struct image *image_backing(const struct image *img)
{
	return img->backing;
}

struct image *image_file(const struct image *img)
{
	return img->file;
}

enum image_cache image_cache(const struct image *img)
{
	return img->cache;
}

void image_limits(const struct image *img, struct image_limits *out)
{
	*out = img->limits;
}

int image_allocated_size(struct image *img, uint64_t *bytes)
{
	if (img->file && !img->driver->allocated_size)
		img = img->file;
	return img->driver->allocated_size ?
		       img->driver->allocated_size(img, bytes) : -ENOTSUP;
}

/* ---- bounce buffers ---- */

static bool window_aligned(struct iow w, uint64_t len, uint32_t align)
{
	uintptr_t base;
	size_t n;

	for (; len; w = iow_advance(w, n), len -= n) {
		n = min(w.iov->iov_len - w.skip, (size_t)len);
		base = (uintptr_t)w.iov->iov_base + w.skip;
		if (!is_aligned(base, align) || !is_aligned(n, align))
			return false;
	}
	return true;
}

static bool needs_bounce(const struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	if (likely(img->request_align <= 1))
		return false;
	return !is_aligned(off | len, img->request_align) ||
	       !window_aligned(w, len, max(img->mem_align, 1u));
}

/* co */
static int bounce_get(const struct image *img, uint64_t len,
		      struct memory_buffer *b)
{
	return memory_buffer_get(b, loop_memory(img->loop), MEMORY_BOUNCE, len,
				 max(img->mem_align, 4096u));
}

static int read_into(struct image *img, uint64_t off, uint64_t len, void *buf)
{
	struct iovec iov = { buf, len };

	return img->driver->preadv(img, off, len, iow_of(&iov, 1));
}

static int write_aligned(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	int ret;

	image_event(img, IMAGE_EVENT_PWRITEV);
	ret = img->driver->pwritev(img, off, len, w);
	image_event(img, IMAGE_EVENT_PWRITEV_DONE);
	return ret;
}

static int write_from(struct image *img, uint64_t off, uint64_t len, void *buf)
{
	struct iovec iov = { buf, len };

	return write_aligned(img, off, len, iow_of(&iov, 1));
}

static int bounced_read(struct image *img, uint64_t off, uint64_t len,
			struct iow w)
{
	uint32_t align = img->request_align;

	while (len) {
		uint64_t n = min(len, BOUNCE_MAX);
		uint64_t start = align_down(off, align);
		uint64_t end = align_up(off + n, align);
		cleanup_buffer struct memory_buffer b = { 0 };
		int ret = bounce_get(img, end - start, &b);

		if (!ret)
			ret = read_into(img, start, end - start, b.data);
		if (ret)
			return ret;
		iow_from_buf(w, (char *)b.data + (off - start), n);
		w = iow_advance(w, n);
		off += n;
		len -= n;
	}
	return 0;
}

/* co. The first block, of which `tail`: the end is kept, too. */
static int read_head(struct image *img, uint64_t off, void *buf, bool tail)
{
	int ret;

	image_event(img, IMAGE_EVENT_PWRITEV_RMW_HEAD);
	if (tail)
		image_event(img, IMAGE_EVENT_PWRITEV_RMW_TAIL);
	ret = read_into(img, off, img->request_align, buf);
	image_event(img, IMAGE_EVENT_PWRITEV_RMW_AFTER_HEAD);
	if (tail)
		image_event(img, IMAGE_EVENT_PWRITEV_RMW_AFTER_TAIL);
	return ret;
}

/* co. The last block, where it is another one. */
static int read_tail(struct image *img, uint64_t off, void *buf)
{
	int ret;

	image_event(img, IMAGE_EVENT_PWRITEV_RMW_TAIL);
	ret = read_into(img, off, img->request_align, buf);
	image_event(img, IMAGE_EVENT_PWRITEV_RMW_AFTER_TAIL);
	return ret;
}

/* One piece: [off, off + len), blown up to whole blocks. */
static int bounced_write(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	uint32_t align = img->request_align;
	uint64_t start = align_down(off, align);
	uint64_t end = align_up(off + len, align);
	bool tail = end != off + len, one_block = end - start == align;
	cleanup_buffer struct memory_buffer b = { 0 };
	int ret = bounce_get(img, end - start, &b);
	char *buf = b.data;

	if (!ret && start != off)
		ret = read_head(img, start, buf, tail && one_block);
	if (!ret && tail && !(one_block && start != off))
		ret = read_tail(img, end - align, buf + (end - align - start));
	if (ret)
		return ret;
	iow_to_buf(buf + (off - start), w, len);
	return write_from(img, start, end - start, buf);
}

/* ---- writes in flight, where alignment matters ---- */

struct tracked_write {
	struct list link;		/* in image.writes */
	uint64_t start, end;		/* bytes, aligned outwards */
	bool rmw;
	struct co_queue waiters;
};

static void track_begin(struct image *img, struct tracked_write *t)
{
	struct tracked_write *o;

	co_queue_init(&t->waiters);
again:
	list_for_each(o, &img->writes, link) {
		if ((t->rmw || o->rmw) && o->start < t->end &&
		    t->start < o->end) {
			co_queue_wait(&o->waiters);
			goto again;
		}
	}
	list_add_tail(&img->writes, &t->link);
}

static void track_end(struct tracked_write *t)
{
	list_del(&t->link);
	co_queue_wake_all(&t->waiters);
}

static int write_piece(struct image *img, uint64_t off, uint64_t len,
		       struct iow w, bool bounce)
{
	uint32_t align = img->request_align;
	struct tracked_write t = {
		.start = align_down(off, align),
		.end = align_up(off + len, align),
		.rmw = !is_aligned(off | len, align),
	};
	int ret;

	track_begin(img, &t);
	ret = bounce ? bounced_write(img, off, len, w) :
		       write_aligned(img, off, len, w);
	track_end(&t);
	return ret;
}

static int tracked_write(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	bool bounce = needs_bounce(img, off, len, w);
	int ret = 0;

	if (!bounce)
		return write_piece(img, off, len, w, false);
	while (len && !ret) {
		uint64_t n = min(len, BOUNCE_MAX - (off & (BOUNCE_MAX - 1)));

		ret = write_piece(img, off, n, w, true);
		w = iow_advance(w, n);
		off += n;
		len -= n;
	}
	return ret;
}

/* ---- data ---- */

/* A format below another reads as a protocol would: zeroes beyond its end. */
static int read_beyond_end(struct image *img, uint64_t off, uint64_t len,
			   struct iow w)
{
	uint64_t n = min(len, img->size - min(off, img->size));
	int ret = n ? image_preadv(img, off, n, w) : 0;

	if (!ret)
		iow_zero(iow_advance(w, n), len - n);
	return ret;
}

int image_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	/* Protocols read zeroes beyond their end (a table cut short). */
	if (unlikely(img->file && !range_within(off, len, img->size)))
		return img->below ? read_beyond_end(img, off, len, w) : -EINVAL;
	if (unlikely(!len))
		return 0;
	if (unlikely(needs_bounce(img, off, len, w)))
		return bounced_read(img, off, len, w);
	return img->driver->preadv(img, off, len, w);
}

/* Writes of a whole image are durable one by one in these modes. */
static int write_done(struct image *img, int ret)
{
	if (!ret && img->file && !img->overlay &&
	    (img->cache == IMAGE_CACHE_WRITETHROUGH ||
	     img->cache == IMAGE_CACHE_DIRECTSYNC))
		ret = img->driver->flush ? img->driver->flush(img) :
					   image_flush(img->file);
	return ret;
}

/* As a protocol does. Others may make it longer meanwhile. */
static int grow_to(struct image *img, uint64_t end)
{
	int ret = 0;

	if (!img->driver->truncate)
		return -ENOTSUP;
	co_mutex_lock(&img->growing);
	if (end > img->size)
		ret = img->driver->truncate(img, align_up(end, SECTOR_SIZE),
					    NULL);
	co_mutex_unlock(&img->growing);
	return ret;
}

/* A protocol grows where it is written to; an image has its size. */
static int judge_write(struct image *img, uint64_t off, uint64_t len)
{
	if (!(img->flags & IMAGE_RDWR))
		return -EROFS;
	if (unlikely(img->file && !range_within(off, len, img->size)))
		return img->below && len && off <= INT64_MAX - SECTOR_SIZE &&
		       len <= INT64_MAX - SECTOR_SIZE - off ?
			       grow_to(img, off + len) : -EINVAL;
	return off > INT64_MAX || len > INT64_MAX - off ? -EFBIG : 0;
}

int image_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	int ret = judge_write(img, off, len);

	if (unlikely(ret || !len))
		return ret;
	if (likely(img->request_align <= 1))
		ret = write_aligned(img, off, len, w);
	else
		ret = tracked_write(img, off, len, w);
	return unlikely(ret) ? ret : write_done(img, 0);
}

int image_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w)
{
	int ret = judge_write(img, off, len);

	if (ret || !len)
		return ret;
	if (!img->driver->pwritev_compressed)
		return -ENOTSUP;
	return write_done(img, img->driver->pwritev_compressed(img, off, len,
							       w));
}

int image_copy_range(struct image *img, uint64_t off, struct image *from,
		     uint64_t from_off, uint64_t len)
{
	int ret = judge_write(img, off, len);

	if (ret)
		return ret;
	if (!range_within(from_off, len, from->size))
		return -EINVAL;
	if (img->driver != from->driver || !img->driver->copy_range ||
	    !is_aligned(off | len, img->request_align))
		return -EOPNOTSUPP;
	return write_done(img, img->driver->copy_range(img, off, from, from_off,
						       len));
}

/* Zeroes out of one buffer for all, again and again; once at least, as with all who
 * may be writing an image's tables. */
static int write_zero_buffer(struct image *img, uint64_t off, uint64_t len)
{
	static const char zeroes[256 * KiB] __attribute__((aligned(4096)));
	int ret = 0;

	while (len && !ret) {
		struct iovec iov = { (void *)zeroes, min(len, sizeof(zeroes)) };

		ret = img->request_align <= 1 ?
			img->driver->pwritev(img, off, iov.iov_len,
					     iow_of(&iov, 1)) :
			tracked_write(img, off, iov.iov_len, iow_of(&iov, 1));
		off += iov.iov_len;
		len -= iov.iov_len;
		if (!ret && len) {
			ret = image_cancelled(img);
			loop_next_turn(img->loop);
		}
	}
	return ret;
}

static int zero_middle(struct image *img, uint64_t off, uint64_t len,
		       unsigned int flags)
{
	int ret = -EOPNOTSUPP;

	if (img->driver->pwrite_zeroes)
		ret = img->driver->pwrite_zeroes(img, off, len, flags);
	if (ret == -EOPNOTSUPP && !(flags & IMAGE_ZERO_FAST))
		ret = write_zero_buffer(img, off, len);
	return ret;
}

int image_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags)
{
	uint32_t align = img->request_align;
	uint64_t start = align_up(off, align);
	uint64_t end;
	int ret = judge_write(img, off, len);

	if (ret || !len)
		return ret;
	end = align_down(off + len, align);
	if (start >= end) {
		if (flags & IMAGE_ZERO_FAST)
			return -EOPNOTSUPP;
		return write_done(img, write_zero_buffer(img, off, len));
	}
	ret = zero_middle(img, start, end - start, flags);
	if (!ret && start > off)
		ret = write_zero_buffer(img, off, start - off);
	if (!ret && off + len > end)
		ret = write_zero_buffer(img, end, off + len - end);
	return write_done(img, ret);
}

int image_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	uint32_t align = img->request_align;
	uint64_t start = align_up(off, align);
	uint64_t end;
	int ret = judge_write(img, off, len);

	if (ret || !img->driver->pdiscard)
		return ret;
	end = align_down(off + len, align);
	if (start >= end)
		return 0;
	ret = img->driver->pdiscard(img, start, end - start);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

int image_flush(struct image *img)
{
	if (!(img->flags & IMAGE_RDWR) || img->cache == IMAGE_CACHE_UNSAFE)
		return 0;
	if (img->driver->flush)
		return img->driver->flush(img);
	return img->file ? image_flush(img->file) : 0;
}

/* ---- where the bytes are ---- */

/* What serves as a file has no layers for those above: all is decided in it,
 * here by what stands below a part that it does not have. */
static int status_below(struct image *img, uint64_t off,
			struct image_extent *out)
{
	uint64_t size = img->backing->size, len = out->length;
	int ret = 0;

	if (off >= size)
		out->flags = IMAGE_EXTENT_ZERO;
	else
		ret = image_block_status_chain(img->backing, off,
					       min(len, size - off), out);
	out->flags |= IMAGE_EXTENT_ALLOCATED;
	out->depth = 0;
	return ret;
}

int image_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out)
{
	int ret;

	if (!range_within(off, len, img->size) || !len)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	if (img->driver->block_status) {
		ret = img->driver->block_status(img, off, len, out);
	} else {
		*out = (struct image_extent){
			.length = len,
			.flags = IMAGE_EXTENT_DATA | IMAGE_EXTENT_ALLOCATED,
		};
		ret = 0;
	}
	if (!ret)
		out->length = min(out->length, len);
	if (unlikely(!ret && img->below && img->backing &&
		     !(out->flags & IMAGE_EXTENT_ALLOCATED)))
		ret = status_below(img, off, out);
	return ret;
}

void image_look_below(struct image *file, struct image_extent *e)
{
	struct image_extent below;

	if (e->host_offset >= file->size ||
	    image_block_status(file, e->host_offset,
			       min(e->length, file->size - e->host_offset),
			       &below))
		return;
	e->length = below.length;
	e->flags |= below.flags & IMAGE_EXTENT_ZERO;
}

int image_block_status_chain(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out)
{
	unsigned int depth = 0;
	int ret;

	for (;; img = img->backing, depth++) {
		ret = image_block_status(img, off, len, out);
		if (ret)
			return ret;
		out->depth = depth;
		if ((out->flags & IMAGE_EXTENT_ALLOCATED) || !img->backing)
			break;
		len = out->length;
		if (off >= img->backing->size) {
			out->flags |= IMAGE_EXTENT_ZERO;
			break;
		}
		len = min(len, img->backing->size - off);
	}
	if (!(out->flags & IMAGE_EXTENT_ALLOCATED))
		out->flags |= IMAGE_EXTENT_ZERO;
	return 0;
}
