/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk commit: writes what an overlay holds into an image below it.
 *
 * The base is opened for writing as part of the overlay's own chain. All that
 * the overlay, or an image between the two, decides is copied, several pieces
 * at a time; zeroes become holes. The overlay is emptied when the base is on
 * stable storage: until then it hides what has already changed below it, so a
 * crash loses nothing, and committing again completes it.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/size.h"
#include "image/backing.h"
#include "image/files.h"
#include "image/jobs/pieces.h"
#include "image/path.h"
#include "image/resize.h"
#include "io/coroutine.h"
#include "io/loop.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

struct commit {
	struct loop *loop;
	struct tool_common common;
	const char *path;
	const char *base_name;		/* NULL: what is right below */
	bool keep;			/* do not empty the overlay */
	uint64_t rate;			/* bytes a second, 0: any */
	struct image *img, *base;
	unsigned int depth;		/* of the base below img */
	uint64_t base_size;		/* bytes, before it grew */
	uint64_t begin_ns;
	uint64_t started, copied;	/* bytes */
	struct pieces pieces;
	const char *failed;		/* at what, or NULL */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'b', "base", "FILE", "into that image of the chain; implies -d" },
	{ 'd', "keep", NULL, "do not empty the overlay afterwards" },
	{ 'r', "rate-limit", "RATE", "at most so many bytes a second" },
	TOOL_CACHE,
	TOOL_AIO,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_END,
};

/* ---- which image is the base ---- */

static bool is_named(const struct image *overlay, const struct image *img,
		     const char *name)
{
	cleanup_free char *full = NULL;

	return image_is_file(img, name) ||
	       (!image_backing_path(image_path(overlay), name, &full, NULL) &&
		image_is_file(img, full));
}

/* Is the file below the folder that the overlay is in? Links are followed. */
static bool is_beside(const char *overlay, const char *file)
{
	cleanup_free char *top = realpath(overlay, NULL);
	cleanup_free char *base = realpath(file, NULL);
	char *slash = top ? strrchr(top, '/') : NULL;

	return slash && base && !strncmp(top, base, (size_t)(slash + 1 - top));
}

/* Whoever wrote an image whose format is only guessed may have chosen the file
 * that would be written to. */
static int judge_guess(const struct commit *c, const struct image *top,
		       const struct image *base)
{
	if (!image_guessed(top) ||
	    is_beside(image_path(top), image_path(base)))
		return EXIT_OK;
	tool_error("%s: the format is only guessed, and it names a base in "
		   "another folder: '%s'", c->path, image_path(base));
	tool_suggest("-f", image_format(top));
	return EXIT_FAILED;
}

/* co. Sets c->depth. The chain is only looked at. */
static int find_base(struct commit *c)
{
	struct tool_common common = c->common;
	struct image *top, *img, *below;
	unsigned int depth = 1;
	int ret = EXIT_OK;

	common.share = true;
	top = tool_open(c->loop, c->path, &common, 0);
	if (!top)
		return EXIT_FAILED;
	c->common.guess_told = true;
	for (img = top; (below = image_backing(img)); img = below, depth++)
		if (!c->base_name || is_named(img, below, c->base_name))
			break;
	c->depth = depth;
	if (below)
		ret = judge_guess(c, top, below);
	else if (c->base_name)
		ret = tool_error("Did not find '%s' in the backing chain of "
				 "'%s'", c->base_name, c->path);
	else
		ret = tool_error("Image does not have a backing file");
	return tool_close(top) ? EXIT_FAILED : ret;
}

/* ---- copying ---- */

struct piece {
	struct commit *c;
	uint64_t off, len;		/* bytes */
	bool zero;
};

static int failed(struct commit *c, int ret, const char *at)
{
	if (ret && !c->failed)
		c->failed = at;
	return ret;
}

static int run_piece(void *arg)
{
	struct piece p = *(struct piece *)arg;
	struct commit *c = p.c;
	void *buf;
	int ret;

	if (p.zero) {
		ret = image_pwrite_zeroes(c->base, p.off, p.len,
					  IMAGE_ZERO_UNMAP);
		return failed(c, ret, "writing to the base");
	}
	buf = pieces_take(&c->pieces);
	ret = image_pread(c->img, p.off, p.len, buf);
	failed(c, ret, "reading the overlay");
	if (!ret) {
		ret = image_pwrite(c->base, p.off, p.len, buf);
		failed(c, ret, "writing to the base");
	}
	pieces_put(&c->pieces, buf);
	c->copied += ret ? 0 : p.len;
	return ret;
}

/* co. Waits until that much may have been copied. */
static void keep_rate(struct commit *c, uint64_t bytes)
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
static bool wanted(const struct commit *c, uint64_t off, struct image_extent *e)
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

static int start_pieces(struct commit *c, uint64_t off,
			const struct image_extent *e)
{
	uint64_t end = off + e->length;
	struct piece p = { .c = c, .zero = e->flags & IMAGE_EXTENT_ZERO };

	for (; off < end; off += p.len) {
		p.off = off;
		p.len = p.zero ? end - off :
			min(end - off, PIECE_SIZE - (off & (PIECE_SIZE - 1)));
		if (!p.zero)
			keep_rate(c, p.len);
		if (!co_group_start(&c->pieces.group, run_piece, &p))
			return -EIO;	/* waiting tells why */
		progress_set(off + p.len, image_size(c->img));
	}
	return 0;
}

static int copy_all(struct commit *c)
{
	uint64_t off, size = image_size(c->img);
	struct image_extent e;
	int ret = 0, wait;

	for (off = 0; !ret && off < size; off += e.length) {
		ret = image_block_status_chain(c->img, off, size - off, &e);
		failed(c, ret, "reading image metadata");
		if (!ret && wanted(c, off, &e))
			ret = start_pieces(c, off, &e);
	}
	wait = co_group_wait(&c->pieces.group);
	return wait ? wait : ret;
}

/* ---- the verb ---- */

static int grow_base(struct commit *c)
{
	struct error err = ERROR_INIT;
	int ret;

	c->base_size = image_size(c->base);
	if (c->base_size >= image_size(c->img))
		return EXIT_OK;
	ret = image_truncate(c->base, image_size(c->img), &err);
	return ret ? tool_error("Could not resize the base image: %s",
				error_text(&err, ret)) : EXIT_OK;
}

static int copy(struct commit *c)
{
	int ret;

	if (pieces_init(&c->pieces, 1, PIECE_SIZE))
		return tool_error("out of memory");
	progress_begin(c->common.progress && !c->common.quiet,
		       c->common.json);
	c->begin_ns = monotonic_ns();
	ret = copy_all(c);
	if (!ret)
		ret = failed(c, image_flush(c->base), "flushing the base");
	progress_end(!ret);
	pieces_deinit(&c->pieces);
	return ret ? tool_error("%s: %s: %s", c->path, c->failed,
				strerror(-ret)) : EXIT_OK;
}

static int empty_overlay(struct commit *c)
{
	struct error err = ERROR_INIT;
	int ret = c->keep ? 0 : image_make_empty(c->img, &err);

	if (ret == -ENOTSUP) {		/* then it keeps what it has */
		c->keep = true;
		ret = 0;
	}
	return ret ? tool_error("Could not empty %s: %s", c->path,
				error_text(&err, ret)) : EXIT_OK;
}

static int commit_image(struct commit *c)
{
	int ret;

	c->base = c->img;
	for (unsigned int i = 0; c->base && i < c->depth; i++)
		c->base = image_backing(c->base);
	if (!c->base)
		return tool_error("%s has lost its base meanwhile", c->path);
	ret = grow_base(c);
	if (!ret)
		ret = copy(c);
	return ret ? ret : empty_overlay(c);
}

static int report(const struct commit *c)
{
	if (c->common.json)
		return tool_json_print(json_pack(
			"{s:b, s:I, s:b}", "committed", true, "bytes-copied",
			(json_int_t)c->copied, "emptied", !c->keep));
	if (!c->common.quiet)
		puts("Image committed.");
	return EXIT_OK;
}

static int commit(struct commit *c)
{
	int ret = find_base(c);

	if (ret)
		return ret;
	c->common.writable_backing = c->depth;
	c->img = tool_open(c->loop, c->path, &c->common,
			   IMAGE_RDWR | IMAGE_UNMAP | IMAGE_READ_BESIDE);
	if (!c->img)
		return EXIT_FAILED;
	ret = commit_image(c);
	if (tool_close(c->img))
		ret = EXIT_FAILED;
	return ret ? ret : report(c);
}

static int parse_option(struct commit *c, int id, const char *arg)
{
	switch (id) {
	case 'b':
		c->base_name = arg;
		c->keep = true;		/* it would hide what it shows */
		return 0;
	case 'd':
		c->keep = true;
		return 0;
	case 'r':
		return tool_parse_size("rate limit", arg, 0, INT64_MAX,
				       &c->rate);
	default:
		return tool_common_option(&c->common, id, arg);
	}
}

static int run_commit(struct loop *loop, int argc, char **argv)
{
	struct commit c = {
		.loop = loop,
		.common.cache = IMAGE_CACHE_WRITEBACK,
	};
	int id;

	while ((id = tool_getopt(&verb_commit, argc, argv)) != -1)
		if (parse_option(&c, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_commit, "Expecting one image file name");
	c.path = argv[optind];
	return commit(&c);
}

const struct verb verb_commit = {
	.name = "commit",
	.summary = "write what an overlay holds into an image below it",
	.usage = "FILE",
	.more = "Without -b the base is the image right below FILE, and FILE "
		"is emptied afterwards\nunless -d is given. With -b the images "
		"between the two are of no use any more.",
	.options = options,
	.run = run_commit,
};
