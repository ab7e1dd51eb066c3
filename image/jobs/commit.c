/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* commit.c: see commit.h. */
#include "image/jobs/commit.h"

#include <errno.h>

#include "common/bits.h"
#include "common/clock.h"
#include "image/progress.h"
#include "io/coroutine.h"
#include "io/loop.h"

struct commit_piece {
	struct commit_job *c;
	uint64_t off, len;		/* bytes */
	bool zero;
};

/* The first error is kept; those beside it have the same cause. */
static int commit_failed(struct commit_job *c, int ret, const char *doing)
{
	if (ret && !c->failed)
		error_set_errno(c->err, -ret, "%s", doing);
	c->failed |= ret != 0;
	return ret;
}

static int commit_piece(void *arg)
{
	struct commit_piece p = *(struct commit_piece *)arg;
	struct commit_job *c = p.c;
	void *buf;
	int ret;

	if (p.zero) {
		ret = image_pwrite_zeroes(c->base, p.off, p.len,
					  IMAGE_ZERO_UNMAP);
		return commit_failed(c, ret, "writing to the base");
	}
	buf = pieces_take(&c->pieces);
	ret = image_pread(c->img, p.off, p.len, buf);
	commit_failed(c, ret, "reading the overlay");
	if (!ret) {
		ret = image_pwrite(c->base, p.off, p.len, buf);
		commit_failed(c, ret, "writing to the base");
	}
	pieces_put(&c->pieces, buf);
	c->copied += ret ? 0 : p.len;
	return ret;
}

/* co. Waits until that much may have been copied. */
static void keep_commit_rate(struct commit_job *c, uint64_t bytes)
{
	uint64_t due, now;

	c->started += bytes;
	if (!c->rate)
		return;
	due = c->begin_ns + (uint64_t)((double)c->started / (double)c->rate *
				       1e9);
	now = monotonic_ns();
	if (due > now)
		co_sleep(c->loop, due - now);
}

/* Does it have to go into the base? What a short image above the base leaves
 * open reads as zeroes, whatever the base has there. */
static bool belongs_in_base(const struct commit_job *c, uint64_t off,
			    struct image_extent *e)
{
	if (e->depth >= c->depth)
		return false;
	if (e->flags & IMAGE_EXTENT_ALLOCATED)
		return true;
	if (off >= c->base_size)
		return false;
	e->length = min(e->length, c->base_size - off);
	return true;
}

static int start_commit(struct commit_job *c, uint64_t off,
			const struct image_extent *e)
{
	uint64_t end = off + e->length;
	bool zero = e->flags & IMAGE_EXTENT_ZERO;
	struct commit_piece p = { .c = c, .zero = zero };

	for (; off < end; off += p.len) {
		p.off = off;
		p.len = p.zero ? end - off :
			min(end - off, PIECE_SIZE - (off & (PIECE_SIZE - 1)));
		if (!p.zero)
			keep_commit_rate(c, p.len);
		if (!co_group_start(&c->pieces.group, commit_piece, &p))
			return -EIO;	/* waiting tells why */
		if (c->progress)
			c->progress->set(c->progress->arg, off + p.len,
					 image_size(c->img));
	}
	return 0;
}

static int commit_extents(struct commit_job *c)
{
	uint64_t off, size = image_size(c->img);
	struct image_extent e;
	int ret = 0, wait;

	for (off = 0; !ret && off < size; off += e.length) {
		ret = image_block_status_chain(c->img, off, size - off, &e);
		commit_failed(c, ret, "reading image metadata");
		if (!ret && belongs_in_base(c, off, &e))
			ret = start_commit(c, off, &e);
	}
	wait = co_group_wait(&c->pieces.group);
	return wait ? wait : ret;
}

int commit_job_run(struct commit_job *c, struct error *err)
{
	int ret;

	if (pieces_init(&c->pieces, 1, PIECE_SIZE))
		return error_set(err, ENOMEM, "out of memory");
	c->err = err;
	c->failed = false;
	c->started = c->copied = 0;
	c->begin_ns = monotonic_ns();
	ret = commit_extents(c);
	if (!ret)
		ret = commit_failed(c, image_flush(c->base),
				    "flushing the base");
	pieces_deinit(&c->pieces);
	return ret ? error_reason(err, ret) : 0;
}
