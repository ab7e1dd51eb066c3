/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk compare: do two images show the same disk?
 *
 * The extents of both are walked side by side. What is a hole in both is not
 * read, nor what both take from the same place of the same file (a base that
 * they share); where only one is a hole the other is read and must be zeroes.
 * Pieces are read several at a time; of those that differ the first one counts,
 * since all before it have been started too.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/bits.h"
#include "image/jobs/pieces.h"
#include "image/jobs/walk.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

enum {
	EXIT_SAME = 0, EXIT_DIFFERS = 1, EXIT_NOT_OPENED = 2,
	EXIT_NO_STATUS = 3, EXIT_NOT_READ = 4,
};

struct side {
	const char *path;
	const char *format;		/* NULL: not given */
	struct walk walk;
	uint64_t size;			/* bytes */
};

struct compare {
	struct tool_common common;
	bool strict;
	struct side side[2];
	bool size_mismatch;
	struct pieces pieces;
	/* the first trouble */
	int status;			/* EXIT_SAME: none yet */
	uint64_t offset;		/* bytes */
	const char *reason;		/* for programs */
	char text[1024];
};

static const struct tool_option options[] = {
	{ 'f', "format", "FMT", "format of the first image: raw, qcow2, ..." },
	{ 'F', "second-format", "FMT", "format of the second image" },
	{ 'T', "cache", "MODE", IMAGE_CACHE_MODES(", ") },
	{ 's', "strict", NULL, "sizes and what is allocated must be the same" },
	TOOL_AIO,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

/* ---- findings ---- */

/* Of several the one that lies first is kept. */
__attribute__((format(printf, 5, 6)))
static void found(struct compare *c, int status, uint64_t offset,
		  const char *reason, const char *fmt, ...)
{
	va_list ap;

	if (c->status != EXIT_SAME && c->offset <= offset)
		return;
	c->status = status;
	c->offset = offset;
	c->reason = reason;
	va_start(ap, fmt);
	vsnprintf(c->text, sizeof(c->text), fmt, ap);
	va_end(ap);
}

static void say(const struct compare *c, const char *text)
{
	if (!c->common.quiet && !c->common.json)
		puts(text);
}

static int report_json(const struct compare *c)
{
	json_t *json = json_pack("{s:b, s:b}", "identical",
				 c->status == EXIT_SAME, "size-mismatch",
				 c->size_mismatch);

	if (json && c->status != EXIT_SAME) {
		json_object_set_new(json, "reason", json_string(c->reason));
		json_object_set_new(json, "offset",
				    json_integer((json_int_t)c->offset));
	}
	return tool_json_print(json);
}

static int report(const struct compare *c)
{
	if (c->status > EXIT_DIFFERS)
		tool_error("%s", c->text);
	else if (c->common.json)
		report_json(c);
	else
		say(c, c->status == EXIT_SAME ? "Images are identical." :
						c->text);
	return c->status;
}

/* ---- pieces that have to be read ---- */

struct piece {
	struct compare *c;
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

static int read_side(struct compare *c, const struct side *s, uint64_t off,
		     uint64_t len, void *buf)
{
	int ret = walk_read(&s->walk, off, len, buf);

	if (ret)
		found(c, EXIT_NOT_READ, off, "read",
		      "Error while reading offset %" PRIu64 " of %s: %s", off,
		      s->path, strerror(-ret));
	return ret;
}

static int compare_buffers(struct compare *c, const struct piece *p, char *a,
			   char *b)
{
	bool same = a && b ? !memcmp(a, b, p->len) :
			     is_all_zero(a ? a : b, p->len);
	uint64_t at;

	if (same)
		return 0;
	at = p->off + first_difference(a ? a : b, a ? b : NULL, p->len);
	found(c, EXIT_DIFFERS, at, "content",
	      "Content mismatch at offset %" PRIu64 "!", at);
	return -EILSEQ;
}

static int run_piece(void *arg)
{
	struct piece p = *(struct piece *)arg;
	struct compare *c = p.c;
	void *buf[2] = { NULL, NULL };
	int ret = 0;

	for (int i = 0; i < 2; i++)
		if (p.data[i])
			buf[i] = pieces_take(&c->pieces);
	for (int i = 0; i < 2 && !ret; i++)
		if (buf[i])
			ret = read_side(c, &c->side[i], p.off, p.len, buf[i]);
	if (!ret)
		ret = compare_buffers(c, &p, buf[0], buf[1]);
	for (int i = 0; i < 2; i++)
		if (buf[i])
			pieces_put(&c->pieces, buf[i]);
	return ret;
}

/* ---- the walk ---- */

/* co */
static int look(struct compare *c, struct side *s, uint64_t off)
{
	int ret = walk_to(&s->walk, off, s->size);

	if (ret)
		found(c, EXIT_NO_STATUS, off, "status",
		      "Sector allocation test failed for %s", s->path);
	return ret;
}

static bool same_status(const struct side *s)
{
	return s[0].walk.extent.flags == s[1].walk.extent.flags;
}

/* co. [off, end) of both. */
static void compare_range(struct compare *c, uint64_t off, uint64_t end)
{
	uint64_t total = max(c->side[0].size, c->side[1].size);
	struct side *s = c->side;
	struct piece p = { .c = c };

	for (; off < end; off += p.len) {
		if (look(c, &s[0], off) || look(c, &s[1], off))
			return;
		if (c->strict && !same_status(s)) {
			found(c, EXIT_DIFFERS, off, "status", "Strict mode: "
			      "Offset %" PRIu64 " block status mismatch!", off);
			return;
		}
		p.off = off;
		p.len = min(end - off, min(walk_left(&s[0].walk, off),
					   walk_left(&s[1].walk, off)));
		p.data[0] = !walk_is_zero(&s[0].walk);
		p.data[1] = !walk_is_zero(&s[1].walk);
		if ((p.data[0] || p.data[1]) &&
		    !walk_same_place(&s[0].walk, &s[1].walk, off)) {
			p.len = min(p.len, PIECE_SIZE);
			if (!co_group_start(&c->pieces.group, run_piece, &p))
				return;
		}
		progress_set(off + p.len, total);
	}
}

/* co. What the longer image has beyond the other's end must be zeroes. */
static void compare_rest(struct compare *c, int longer, uint64_t off)
{
	struct side *s = &c->side[longer];
	struct piece p = { .c = c };

	for (; off < s->size; off += p.len) {
		if (look(c, s, off))
			return;
		p.off = off;
		p.len = walk_left(&s->walk, off);
		p.data[longer] = !walk_is_zero(&s->walk);
		if (p.data[longer]) {
			p.len = min(p.len, PIECE_SIZE);
			if (!co_group_start(&c->pieces.group, run_piece, &p))
				return;
		}
		progress_set(off + p.len, s->size);
	}
}

/* co. False: something was found, or memory was short. */
static bool wait_pieces(struct compare *c)
{
	int ret = co_group_wait(&c->pieces.group);

	if (ret && c->status == EXIT_SAME)
		found(c, EXIT_NOT_READ, 0, "memory", "%s", strerror(-ret));
	return c->status == EXIT_SAME;
}

static void compare_images(struct compare *c)
{
	uint64_t a = c->side[0].size, b = c->side[1].size;

	c->size_mismatch = a != b;
	if (c->strict && a != b) {
		found(c, EXIT_DIFFERS, min(a, b), "size",
		      "Strict mode: Image size mismatch!");
		return;
	}
	compare_range(c, 0, min(a, b));
	if (!wait_pieces(c) || a == b)
		return;
	say(c, "Warning: Image size mismatch!");
	compare_rest(c, a < b, min(a, b));
	wait_pieces(c);
}

/* ---- the verb ---- */

static int open_sides(struct compare *c, struct loop *loop)
{
	struct tool_common common = c->common;

	for (int i = 0; i < 2; i++) {
		struct side *s = &c->side[i];

		common.format = s->format;
		common.format_option = i ? "-F" : NULL;
		/* While one is copied out of the page cache the other is. */
		s->walk.img = tool_open(loop, s->path, &common,
					IMAGE_READ_BESIDE);
		if (!s->walk.img)
			return EXIT_NOT_OPENED;
		s->size = image_size(s->walk.img);
	}
	return EXIT_SAME;
}

static int compare(struct compare *c, struct loop *loop)
{
	int ret = open_sides(c, loop);

	if (ret == EXIT_SAME && pieces_init(&c->pieces, 2, PIECE_SIZE)) {
		tool_error("out of memory");
		ret = EXIT_NOT_READ;
	}
	if (ret == EXIT_SAME) {
		progress_begin(c->common.progress && !c->common.quiet,
			       c->common.json);
		compare_images(c);
		progress_end(c->status == EXIT_SAME);
		pieces_deinit(&c->pieces);
		ret = report(c);
	}
	for (int i = 0; i < 2; i++)
		if (c->side[i].walk.img &&
		    tool_close(c->side[i].walk.img) && ret == EXIT_SAME)
			ret = EXIT_NOT_READ;
	return ret;
}

static int parse_option(struct compare *c, int id, const char *arg)
{
	switch (id) {
	case 'f':
		c->side[0].format = arg;
		return 0;
	case 'F':
		c->side[1].format = arg;
		return 0;
	case 's':
		c->strict = true;
		return 0;
	case 'T':
		return tool_source_cache(&c->common.cache, arg);
	default:
		return tool_common_option(&c->common, id, arg);
	}
}

static int run_compare(struct loop *loop, int argc, char **argv)
{
	struct compare c = { .common.cache = IMAGE_CACHE_WRITEBACK };
	int id, ret;

	while ((id = tool_getopt(&verb_compare, argc, argv)) != -1) {
		ret = parse_option(&c, id, optarg);
		if (ret)
			return id == 'T' ? EXIT_NOT_OPENED : ret;
	}
	if (argc - optind != 2)
		return tool_usage(&verb_compare,
				  "Expecting two image file names");
	c.side[0].path = argv[optind];
	c.side[1].path = argv[optind + 1];
	return compare(&c, loop);
}

const struct verb verb_compare = {
	.name = "compare",
	.summary = "tell whether two images show the same disk",
	.usage = "FILE1 FILE2",
	.more = "What one image has beyond the end of the other must be "
		"zeroes.\nExit status: 0 the same, 1 different, 2 an image "
		"cannot be opened, 3 its\nmetadata or 4 its data cannot be "
		"read.",
	.options = options,
	.run = run_compare,
};
