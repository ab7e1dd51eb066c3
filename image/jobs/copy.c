/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.c: see copy.h.
 *
 * The walk goes over the sources extent by extent and starts a part for each
 * piece of at most PIECE_SIZE (a cluster where that is larger). In compressed
 * writes all boundaries are those of the target's clusters.
 */
#include "image/jobs/copy.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/clock.h"
#include "image/resize.h"
#include "io/coroutine.h"
#include "io/loop.h"

#define GRANULE 4096u
#define ZEROES_AT_ONCE (1 * GiB)

enum content_kind {
	KIND_DATA,
	KIND_ZERO,
	KIND_BACKING,		/* shows through in the target */
};

/* A part of the work; on the starter's stack until it waits. */
struct part {
	struct copy_job *c;
	uint64_t off, len;
	enum content_kind kind;
	void *buf;		/* the bytes, if somebody else has read them */
};

/* The first error is kept; those beside it have the same cause. */
static int copy_failed(struct copy_job *c, const char *what, uint64_t off,
		       int ret)
{
	if (!c->failed)
		error_set_errno(c->err, -ret, "error while %s at byte %" PRIu64,
				what, off);
	c->failed = true;
	return ret;
}

static void copy_advance(struct copy_job *c, uint64_t len)
{
	c->done += len;
	if (c->progress)
		c->progress->set(c->progress->arg, c->done, c->total);
}

static uint64_t job_piece_size(const struct copy_job *c)
{
	return max(PIECE_SIZE, c->cluster);
}

/* ---- reading ---- */

static const struct copy_source *source_at(const struct copy_job *c,
					   uint64_t off)
{
	const struct copy_source *s = c->sources + c->nr_sources - 1;

	while (off < s->start)
		s--;
	return s;
}

static uint64_t source_end(const struct copy_source *s)
{
	return s->start + image_size(s->img) - s->skip;
}

static uint64_t in_source(const struct copy_source *s, uint64_t off)
{
	return off - s->start + s->skip;
}

/* co. Sector by sector, zeroes for those that cannot be read. */
static void salvage_sectors(struct copy_job *c, const struct copy_source *s,
			    uint64_t off, uint64_t len, char *buf)
{
	for (uint64_t n; len; off += n, len -= n, buf += n) {
		int ret;

		n = min(len, (uint64_t)SECTOR_SIZE);
		ret = image_pread(s->img, in_source(s, off), n, buf);
		if (!ret)
			continue;
		if (c->unreadable_sector)
			c->unreadable_sector(c->unreadable_arg, off, -ret);
		memset(buf, 0, n);
		c->unreadable += n;
	}
}

static int read_sources(struct copy_job *c, uint64_t off, uint64_t len,
			char *buf)
{
	c->read += len;
	for (uint64_t n; len; off += n, len -= n, buf += n) {
		const struct copy_source *s = source_at(c, off);
		int ret;

		n = min(len, source_end(s) - off);
		ret = image_pread(s->img, in_source(s, off), n, buf);
		if (ret && !c->salvage)
			return copy_failed(c, "reading", off, ret);
		if (ret)
			salvage_sectors(c, s, off, n, buf);
	}
	return 0;
}

/* ---- writing ---- */

/* co. Not before what was allowed so far has taken its time. */
static void throttle(struct copy_job *c, uint64_t len)
{
	uint64_t now, at;

	if (!c->rate)
		return;
	now = monotonic_ns();
	at = max(c->next_write_ns, now);
	c->next_write_ns = at + (uint64_t)((double)len * NS_PER_S /
					   (double)c->rate);
	if (at > now)
		co_sleep(c->loop, at - now);
}

static int copy_write_data(struct copy_job *c, uint64_t off, uint64_t len,
			   const char *buf)
{
	int ret;

	throttle(c, len);
	ret = c->cluster ? image_pwrite_compressed(c->target, off, len, buf) :
			   image_pwrite(c->target, off, len, buf);
	if (ret)
		return copy_failed(c, "writing", off, ret);
	c->written += len;
	return 0;
}

static int copy_write_zeroes(struct copy_job *c, uint64_t off, uint64_t len)
{
	int ret = 0;

	c->zeroed += len;
	if (!c->target_is_zero)
		ret = image_pwrite_zeroes(c->target, off, len,
					  IMAGE_ZERO_UNMAP);
	return ret ? copy_failed(c, "writing zeroes", off, ret) : 0;
}

/* The unit in which zeroes are looked for. */
static uint64_t zero_granule(const struct copy_job *c)
{
	if (c->cluster)
		return c->cluster;
	return is_aligned(c->min_sparse, GRANULE) ? GRANULE : SECTOR_SIZE;
}

/* Bytes from the start of `buf` that are all zero, or all not: *zero. */
static uint64_t content_run(const struct copy_job *c, const char *buf,
			    uint64_t len, bool *zero)
{
	uint64_t unit = zero_granule(c), run = 0, n;

	for (; run < len; run += n) {
		bool z;

		n = min(len - run, unit);
		z = is_all_zero(buf + run, n);
		if (!run)
			*zero = z;
		else if (z != *zero)
			break;
	}
	return run;
}

/* How much of the buffer is written as one; zeroes that are too few to leave
 * out go with the data around them. */
static uint64_t next_write(const struct copy_job *c, const char *buf,
			   uint64_t len, bool *zero)
{
	uint64_t run = content_run(c, buf, len, zero), more;
	uint64_t least = c->cluster ? 0 : c->min_sparse;
	bool more_zero;

	if (*zero && (run >= least || run == len))
		return run;
	*zero = false;
	while (run < len) {
		more = content_run(c, buf + run, len - run, &more_zero);
		if (more_zero && more >= least)
			break;
		run += more;
	}
	return run;
}

static int write_buffer(struct copy_job *c, uint64_t off, uint64_t len,
			const char *buf)
{
	bool zero = false;
	int ret = 0;

	if (!c->min_sparse || c->no_scan)
		return copy_write_data(c, off, len, buf);
	for (uint64_t n; len && !ret; off += n, len -= n, buf += n) {
		n = next_write(c, buf, len, &zero);
		ret = zero ? copy_write_zeroes(c, off, n) :
			     copy_write_data(c, off, n, buf);
	}
	return ret;
}

/* ---- a stream as target: everything, in order ---- */

struct stream_write {
	int fd;
	const char *buf;
	uint64_t len;
};

static int64_t write_stream(void *arg)
{
	const struct stream_write *w = arg;
	struct pollfd room = { .fd = w->fd, .events = POLLOUT };

	for (uint64_t at = 0; at < w->len;) {
		ssize_t n = write(w->fd, w->buf + at, w->len - at);

		if (n < 0 && errno == EAGAIN)
			poll(&room, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* co. c->done is what is out already. */
static int stream_buffer(struct copy_job *c, uint64_t off, uint64_t len,
			 const char *buf)
{
	struct stream_write w = { c->stream, buf, len };
	int ret = 0;

	while (c->done != off && !c->pieces.group.ret)
		co_queue_wait(&c->turns);
	if (c->pieces.group.ret)
		return c->pieces.group.ret;
	throttle(c, len);
	ret = (int)loop_offload(c->loop, write_stream, &w);
	c->written += len;
	return ret ? copy_failed(c, "writing", off, ret) : 0;
}

/* ---- parts ---- */

static int copy_through_memory(struct copy_job *c, const struct part *p)
{
	char *buf = pieces_take(&c->pieces);
	int ret = 0;

	if (p->kind == KIND_DATA)
		ret = read_sources(c, p->off, p->len, buf);
	else
		memset(buf, 0, p->len);
	if (!ret && c->target)
		ret = write_buffer(c, p->off, p->len, buf);
	else if (!ret)
		ret = stream_buffer(c, p->off, p->len, buf);
	pieces_put(&c->pieces, buf);
	return ret;
}

/* co. -EOPNOTSUPP: it has to be read and written. */
static int copy_range_in_host(struct copy_job *c, const struct part *p)
{
	const struct copy_source *s = source_at(c, p->off);
	int ret;

	if (!c->in_host || p->kind != KIND_DATA || p->len > source_end(s) - p->off)
		return -EOPNOTSUPP;
	throttle(c, p->len);
	ret = image_copy_range(c->target, p->off, s->img, p->off - s->start,
			       p->len);
	if (ret == -EOPNOTSUPP) {
		c->in_host = false;
		return ret;
	}
	c->read += p->len;
	c->written += p->len;
	return ret ? copy_failed(c, "copying", p->off, ret) : 0;
}

static int copy_part(void *arg)
{
	struct part p = *(struct part *)arg;
	struct copy_job *c = p.c;
	int ret;

	if (p.buf) {
		ret = write_buffer(c, p.off, p.len, p.buf);
	} else if (p.kind == KIND_ZERO && c->target) {
		ret = copy_write_zeroes(c, p.off, p.len);
	} else {
		ret = copy_range_in_host(c, &p);
		if (ret == -EOPNOTSUPP)
			ret = copy_through_memory(c, &p);
	}
	if (!ret)
		copy_advance(c, p.len);
	else if (!c->pieces.group.ret)
		c->pieces.group.ret = ret; /* before others wake */
	co_queue_wake_all(&c->turns);
	return ret;
}

/* ---- the walk ---- */

/* Beyond the end of the target's backing image nothing shows through. */
static bool shows_through(const struct copy_job *c, uint64_t off, uint64_t *len)
{
	const struct image *backing =
		c->shares_backing ? image_backing(c->target) : NULL;

	if (!backing || off >= image_size(backing))
		return false;
	*len = min(*len, image_size(backing) - off);
	return true;
}

/* co. What the sources have at `off`, and for how long. */
static int find_content(struct copy_job *c, uint64_t off,
			enum content_kind *kind, uint64_t *len)
{
	const struct copy_source *s = source_at(c, off);
	struct image_extent e;
	int ret;

	*len = min(source_end(s), c->total) - off;
	*kind = KIND_DATA;
	if (!c->min_sparse)
		return 0;
	if (shows_through(c, off, len)) {
		ret = image_block_status(s->img, in_source(s, off), *len, &e);
		if (!ret && !(e.flags & IMAGE_EXTENT_ALLOCATED))
			*kind = KIND_BACKING;
	} else {
		ret = image_block_status_chain(s->img, in_source(s, off), *len,
					       &e);
	}
	if (ret && c->salvage) {
		*len = min(*len, (uint64_t)SECTOR_SIZE);
		return 0;
	}
	if (ret)
		return copy_failed(c, "reading block status", off, ret);
	if (*kind == KIND_DATA && (e.flags & IMAGE_EXTENT_ZERO))
		*kind = KIND_ZERO;
	*len = e.length;
	return 0;
}

/* co. The same for as long as it goes on alike: data in several layers of a chain
 * is one piece. */
static int find_content_run(struct copy_job *c, uint64_t off,
			    enum content_kind *kind, uint64_t *len)
{
	uint64_t size = job_piece_size(c), piece = size - (off & (size - 1));
	uint64_t more;
	int ret = find_content(c, off, kind, len);
	enum content_kind next;

	while (!ret && *kind == KIND_DATA && *len < piece &&
	       off + *len < c->total) {
		ret = find_content(c, off + *len, &next, &more);
		if (ret || next != KIND_DATA)
			break;
		*len += more;
	}
	return ret;
}

/* Compressed, clusters are whole: one that is partly data is data. */
static void to_clusters(const struct copy_job *c, struct part *p)
{
	uint64_t end = p->off + p->len;

	if (end == c->total)
		return;
	if (p->kind != KIND_DATA && align_down(end, c->cluster) > p->off) {
		end = align_down(end, c->cluster);
	} else {
		p->kind = KIND_DATA;
		end = min(align_up(end, c->cluster), c->total);
	}
	p->len = end - p->off;
}

static void limit_piece(const struct copy_job *c, struct part *p)
{
	uint64_t most = job_piece_size(c);

	if (p->kind == KIND_DATA || !c->target)
		most -= p->off & (most - 1);
	else
		most = ZEROES_AT_ONCE;
	p->len = min(p->len, most);
}

/* co. Nothing to do where the target has it already. */
static bool start_copy(struct copy_job *c, struct part *p)
{
	bool idle = p->kind == KIND_BACKING ||
		    (p->kind == KIND_ZERO && c->target_is_zero);

	if (!idle || !c->target)
		return co_group_start(&c->pieces.group, copy_part, p);
	if (p->kind == KIND_ZERO)
		c->zeroed += p->len;
	copy_advance(c, p->len);
	return true;
}

static int copy_extents(struct copy_job *c)
{
	uint64_t off = 0, end;
	int ret = 0;

	while (off < c->total && !ret) {
		struct part p = { .c = c, .off = off };

		ret = find_content_run(c, off, &p.kind, &p.len);
		if (ret)
			break;
		if (c->cluster)
			to_clusters(c, &p);
		for (end = p.off + p.len; p.off < end; p.off += p.len) {
			p.len = end - p.off;
			limit_piece(c, &p);
			if (!start_copy(c, &p))
				break;
		}
		if (c->pieces.group.ret)
			break;
		off = end;
	}
	return co_group_wait(&c->pieces.group) ?: ret;
}

static int copy_job_begin(struct copy_job *c, struct error *err)
{
	if (pieces_init_parts(&c->pieces, c->parts, 1, job_piece_size(c)))
		return error_set(err, ENOMEM, "out of memory");
	co_queue_init(&c->turns);
	c->err = err;
	c->failed = false;
	c->done = c->read = c->written = c->zeroed = c->unreadable = 0;
	return 0;
}

int copy_job_run(struct copy_job *c, struct error *err)
{
	int ret = copy_job_begin(c, err);

	if (ret)
		return ret;
	ret = copy_extents(c);
	pieces_deinit(&c->pieces);
	return ret;
}

/* ---- a stream as source ---- */

struct stream_read {
	int fd;
	char *buf;
	uint64_t len, got;
};

static int64_t read_stream(void *arg)
{
	struct stream_read *r = arg;
	struct pollfd more = { .fd = r->fd, .events = POLLIN };

	while (r->got < r->len) {
		ssize_t n = read(r->fd, r->buf + r->got, r->len - r->got);

		if (n < 0 && errno == EAGAIN)
			poll(&more, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		else if (!n)
			break;
		r->got += n > 0 ? (uint64_t)n : 0;
	}
	return 0;
}

/* co. The next buffers full of the stream; *got bytes. */
static int read_buffers(struct copy_job *c, int fd, void **bufs, uint64_t *got)
{
	uint64_t size = job_piece_size(c);
	int ret = 0;

	*got = 0;
	for (unsigned int i = 0; i < c->parts && !ret; i++) {
		struct stream_read r = { fd, bufs[i], size, 0 };

		ret = (int)loop_offload(c->loop, read_stream, &r);
		*got += r.got;
		if (r.got < size)
			break;
	}
	return ret ? copy_failed(c, "reading", c->total + *got, ret) : 0;
}

/* co. Disks are whole sectors: the last is filled up with zeroes. */
static int grow_target(struct copy_job *c, void **bufs, uint64_t got)
{
	uint64_t size = job_piece_size(c), in = got % size;
	uint64_t end = align_up(c->total + got, SECTOR_SIZE);

	if (got % SECTOR_SIZE)
		memset((char *)bufs[got / size] + in, 0,
		       align_up(in, SECTOR_SIZE) - in);
	return image_truncate(c->target, end, c->err);
}

static int write_buffers(struct copy_job *c, void **bufs, uint64_t got)
{
	uint64_t size = job_piece_size(c), len = align_up(got, SECTOR_SIZE);
	struct co_group *g = &c->pieces.group;

	for (uint64_t at = 0; at < len; at += size) {
		struct part p = {
			.c = c, .off = c->total + at,
			.len = min(len - at, size), .buf = bufs[at / size],
		};

		if (!co_group_start(g, copy_part, &p))
			break;
	}
	return co_group_wait(g);
}

int copy_job_from_stream(struct copy_job *c, int fd, struct error *err)
{
	void *bufs[COPY_PARTS_MAX];
	uint64_t got = 0;
	int ret = copy_job_begin(c, err);

	if (ret)
		return ret;
	for (unsigned int i = 0; i < c->parts; i++)
		bufs[i] = pieces_take(&c->pieces);
	do {
		ret = read_buffers(c, fd, bufs, &got);
		if (!ret && got)
			ret = grow_target(c, bufs, got);
		if (!ret && got)
			ret = write_buffers(c, bufs, got);
		c->total += align_up(got, SECTOR_SIZE);
		c->read += got;
	} while (!ret && got == c->parts * job_piece_size(c));
	pieces_deinit(&c->pieces);
	return ret;
}
