/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compare.c: see compare.h. */
#include "image/jobs/compare.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/progress.h"

/* Of several findings the one that lies first is kept. */
static void add_finding(struct compare_job *c, enum compare_finding finding,
			uint64_t offset, int side, int ret)
{
	if (c->finding != COMPARE_SAME && c->offset <= offset)
		return;
	c->finding = finding;
	c->offset = offset;
	c->side = side;
	c->errnum = -ret;
}

/* ---- pieces that have to be read ---- */

struct compare_piece {
	struct compare_job *c;
	uint64_t off, len;		/* bytes */
	bool data[2];			/* whose side is read; else zeroes */
};

/* The first sector of `len` bytes that differs; b NULL: from zeroes. */
static uint64_t first_difference(const char *a, const char *b, uint64_t len)
{
	uint64_t o, n;

	for (o = 0; o < len; o += n) {
		n = min(len - o, (uint64_t)SECTOR_SIZE);
		if (b ? memcmp(a + o, b + o, n) : !is_all_zero(a + o, n))
			break;
	}
	return o;
}

static int compare_buffers(struct compare_job *c, const struct compare_piece *p,
			   char *a, char *b)
{
	bool same = a && b ? !memcmp(a, b, p->len) :
			     is_all_zero(a ? a : b, p->len);

	if (same)
		return 0;
	add_finding(c, COMPARE_CONTENT, p->off + first_difference(
			    a ? a : b, a ? b : NULL, p->len), 0, 0);
	return -EILSEQ;
}

static int compare_piece(void *arg)
{
	struct compare_piece p = *(struct compare_piece *)arg;
	struct compare_job *c = p.c;
	void *buf[2] = { NULL, NULL };
	int ret = 0;

	for (int i = 0; i < 2; i++)
		if (p.data[i])
			buf[i] = pieces_take(&c->pieces);
	for (int i = 0; i < 2 && !ret; i++) {
		if (buf[i])
			ret = walk_read(&c->walk[i], p.off, p.len, buf[i]);
		if (ret)
			add_finding(c, COMPARE_NOT_READ, p.off, i, ret);
	}
	if (!ret)
		ret = compare_buffers(c, &p, buf[0], buf[1]);
	for (int i = 0; i < 2; i++)
		if (buf[i])
			pieces_put(&c->pieces, buf[i]);
	return ret;
}

/* ---- the walk ---- */

/* co */
static bool walk_side(struct compare_job *c, int side, uint64_t off)
{
	int ret = walk_to(&c->walk[side], off, c->size[side]);

	if (ret)
		add_finding(c, COMPARE_NO_STATUS, off, side, ret);
	return !ret;
}

static void compare_progress(const struct compare_job *c, uint64_t done,
			     uint64_t total)
{
	if (c->progress)
		c->progress->set(c->progress->arg, done, total);
}

/* co. [off, end) of both. */
static void compare_range(struct compare_job *c, uint64_t off, uint64_t end)
{
	uint64_t total = max(c->size[0], c->size[1]);
	struct compare_piece p = { .c = c };
	const struct walk *w = c->walk;

	for (; off < end; off += p.len) {
		if (!walk_side(c, 0, off) || !walk_side(c, 1, off))
			return;
		if (c->strict && w[0].extent.flags != w[1].extent.flags) {
			add_finding(c, COMPARE_STATUS, off, 0, 0);
			return;
		}
		p.off = off;
		p.len = min(end - off, min(walk_left(&w[0], off),
					   walk_left(&w[1], off)));
		p.data[0] = !walk_is_zero(&w[0]);
		p.data[1] = !walk_is_zero(&w[1]);
		if ((p.data[0] || p.data[1]) &&
		    !walk_same_place(&w[0], &w[1], off)) {
			p.len = min(p.len, PIECE_SIZE);
			if (!co_group_start(&c->pieces.group, compare_piece,
					    &p))
				return;
		}
		compare_progress(c, off + p.len, total);
	}
}

/* co. What the longer image has beyond the other's end must be zeroes. */
static void compare_rest(struct compare_job *c, int longer, uint64_t off)
{
	const struct walk *w = &c->walk[longer];
	struct compare_piece p = { .c = c };

	for (; off < c->size[longer]; off += p.len) {
		if (!walk_side(c, longer, off))
			return;
		p.off = off;
		p.len = walk_left(w, off);
		p.data[longer] = !walk_is_zero(w);
		if (p.data[longer]) {
			p.len = min(p.len, PIECE_SIZE);
			if (!co_group_start(&c->pieces.group, compare_piece,
					    &p))
				return;
		}
		compare_progress(c, off + p.len, c->size[longer]);
	}
}

/* co. -ENOMEM; a finding is no error. */
static int wait_pieces(struct compare_job *c)
{
	int ret = co_group_wait(&c->pieces.group);

	return c->finding == COMPARE_SAME ? ret : 0;
}

static int compare_all(struct compare_job *c)
{
	uint64_t a = c->size[0], b = c->size[1];
	int ret;

	c->sizes_differ = a != b;
	if (c->strict && a != b) {
		add_finding(c, COMPARE_SIZE, min(a, b), 0, 0);
		return 0;
	}
	compare_range(c, 0, min(a, b));
	ret = wait_pieces(c);
	c->common_same = !ret && c->finding == COMPARE_SAME;
	if (!c->common_same || a == b)
		return ret;
	compare_rest(c, a < b, min(a, b));
	return wait_pieces(c);
}

int compare_job_run(struct compare_job *c)
{
	int ret = pieces_init(&c->pieces, 2, PIECE_SIZE);

	if (ret)
		return ret;
	for (int i = 0; i < 2; i++) {
		c->walk[i] = (struct walk){ .img = c->img[i] };
		c->size[i] = image_size(c->img[i]);
	}
	c->finding = COMPARE_SAME;
	c->common_same = false;
	ret = compare_all(c);
	pieces_deinit(&c->pieces);
	return ret;
}
