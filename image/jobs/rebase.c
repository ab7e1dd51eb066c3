/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rebase.c: see rebase.h. */
#include "image/jobs/rebase.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/progress.h"

#define READING_METADATA "error while reading image metadata"
#define WRITING "Error while writing to COW image"

/* The first error is kept; those beside it have the same cause. */
static int rebase_failed(struct rebase_job *r, int ret, const char *doing)
{
	if (ret && !r->failed)
		error_set_errno(r->err, -ret, "%s", doing);
	r->failed |= ret != 0;
	return ret;
}

static void rebase_advance(struct rebase_job *r, uint64_t len)
{
	r->done += len;
	if (r->progress)
		r->progress->set(r->progress->arg, r->done,
				 image_size(r->img));
}

/* ---- what has to be written ---- */

enum difference { SAME, ZEROES, DATA };

static enum difference difference_of(const char *old, const char *new,
				     uint64_t len)
{
	if (!memcmp(old, new, len))
		return SAME;
	return is_all_zero(old, len) ? ZEROES : DATA;
}

/* co. Whole clusters compressed; what is only part of one as it is. */
static int rebase_compressed(struct rebase_job *r, uint64_t off, uint64_t len,
			     const char *buf)
{
	uint64_t size = image_size(r->img), n;
	int ret = 0;

	for (; !ret && len; off += n, buf += n, len -= n) {
		n = min(len, r->cluster_size - (off & (r->cluster_size - 1)));
		if (is_aligned(off, r->cluster_size) &&
		    (n == r->cluster_size || off + n == size))
			ret = image_pwrite_compressed(r->img, off, n, buf);
		else
			ret = image_pwrite(r->img, off, n, buf);
	}
	return ret;
}

static int write_difference(struct rebase_job *r, enum difference content,
			    uint64_t off, uint64_t len, const char *buf)
{
	if (content == SAME)
		return 0;
	r->written += len;
	if (content == ZEROES)
		return image_pwrite_zeroes(r->img, off, len, IMAGE_ZERO_UNMAP);
	return r->compress ? rebase_compressed(r, off, len, buf) :
			     image_pwrite(r->img, off, len, buf);
}

/* co. Runs of clusters that have the same to be done with them. */
static int write_differences(struct rebase_job *r, uint64_t off, uint64_t len,
			     const char *old, const char *new)
{
	enum difference run = SAME, content;
	uint64_t start = 0, n;
	int ret = 0;

	for (uint64_t o = 0; !ret && o < len; o += n) {
		n = min(len - o, r->grain);
		content = difference_of(old + o, new + o, n);
		if (content == run)
			continue;
		ret = write_difference(r, run, off + start, o - start,
				       old + start);
		start = o;
		run = content;
	}
	return ret ? ret : write_difference(r, run, off + start, len - start,
					    old + start);
}

struct rebase_piece {
	struct rebase_job *r;
	uint64_t off, len;		/* bytes */
};

static int rebase_piece(void *arg)
{
	struct rebase_piece p = *(struct rebase_piece *)arg;
	struct rebase_job *r = p.r;
	char *old = pieces_take(&r->pieces), *new = pieces_take(&r->pieces);
	const char *failed = "error while reading from old backing file";
	int ret;

	ret = walk_read(&r->old, p.off, p.len, old);
	if (!ret) {
		failed = "error while reading from new backing file";
		ret = walk_read(&r->new, p.off, p.len, new);
	}
	if (!ret) {
		failed = WRITING;
		ret = write_differences(r, p.off, p.len, old, new);
	}
	pieces_put(&r->pieces, old);
	pieces_put(&r->pieces, new);
	rebase_advance(r, p.len);
	return rebase_failed(r, ret, failed);
}

/* ---- the walk ---- */

/* co. Are the two chains known to be the same at `off`, and for how long are
 * they, or are they not? */
static int compare_status(struct rebase_job *r, uint64_t off, uint64_t end,
			  bool *same, uint64_t *len)
{
	int ret = walk_to(&r->old, off, end);

	if (!ret)
		ret = walk_to(&r->new, off, end);
	if (ret)
		return rebase_failed(r, ret, READING_METADATA);
	*same = (walk_is_zero(&r->old) && walk_is_zero(&r->new)) ||
		walk_same_place(&r->old, &r->new, off);
	*len = min(end - off, min(walk_left(&r->old, off),
				  walk_left(&r->new, off)));
	return 0;
}

/* co. The end of what is all the same, or all perhaps not, from `off` on; whole
 * clusters of which any part may differ count as different. */
static int find_similar(struct rebase_job *r, uint64_t off, uint64_t end,
			bool *same, uint64_t *run)
{
	uint64_t at = off, len;
	bool first;
	int ret;

	ret = compare_status(r, off, end, &first, &len);
	for (*same = first; !ret && *same == first && at < end;) {
		at += len;
		if (at < end)
			ret = compare_status(r, at, end, same, &len);
	}
	*same = first;
	if (first && at < end && align_down(at, r->grain) <= off) {
		*same = false;
		at = align_down(off, r->grain) + r->grain;
	} else if (at < end) {
		at = first ? align_down(at, r->grain) : align_up(at, r->grain);
	}
	*run = min(at, end);
	return ret;
}

/* co. [off, end) of what is not in the overlay. */
static int rebase_range(struct rebase_job *r, uint64_t off, uint64_t end)
{
	uint64_t size = max(PIECE_SIZE, r->cluster_size), run;
	struct rebase_piece p = { .r = r };
	bool same;
	int ret;

	while (off < end) {
		ret = find_similar(r, off, end, &same, &run);
		if (ret)
			return ret;
		if (same) {
			rebase_advance(r, run - off);
			off = run;
			continue;
		}
		for (; off < run; off += p.len) {
			p.off = off;
			p.len = min(run - off, size - (off & (size - 1)));
			if (!co_group_start(&r->pieces.group, rebase_piece, &p))
				return 0;	/* waiting tells why */
		}
	}
	return 0;
}

static int rebase_extents(struct rebase_job *r)
{
	uint64_t off, size = image_size(r->img);
	struct image_extent e;
	int ret;

	for (off = 0; off < size; off += e.length) {
		ret = image_block_status(r->img, off, size - off, &e);
		if (ret)
			return rebase_failed(r, ret, READING_METADATA);
		if (e.flags & IMAGE_EXTENT_ALLOCATED) {
			r->done += e.length;
			continue;
		}
		ret = rebase_range(r, off, off + e.length);
		if (ret || r->pieces.group.ret)
			return ret;
	}
	return 0;
}

int rebase_job_run(struct rebase_job *r, struct error *err)
{
	int ret, wait;

	if (pieces_init(&r->pieces, 2, max(PIECE_SIZE, r->cluster_size)))
		return error_set(err, ENOMEM, "out of memory");
	r->err = err;
	r->failed = false;
	r->done = r->written = 0;
	ret = rebase_extents(r);
	wait = co_group_wait(&r->pieces.group);
	ret = wait ? wait : ret;
	if (!ret)
		ret = rebase_failed(r, image_flush(r->img), WRITING);
	pieces_deinit(&r->pieces);
	return ret ? error_reason(err, ret) : 0;
}
