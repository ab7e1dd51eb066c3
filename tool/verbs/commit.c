/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk commit: writes what an overlay holds into an image below it.
 *
 * The base is opened for writing as part of the overlay's own chain. The
 * overlay is emptied when the base is on stable storage: until then it hides
 * what has already changed below it, so a crash loses nothing, and committing
 * again completes it.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/size.h"
#include "image/graph/backing.h"
#include "image/graph/files.h"
#include "image/jobs/commit.h"
#include "image/graph/path.h"
#include "image/resize.h"
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
	struct commit_job job;
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
static int validate_guess(const struct commit *c, const struct image *top,
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

/* co. Sets c->job.depth. The chain is only looked at. */
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
	c->job.depth = depth;
	if (below)
		ret = validate_guess(c, top, below);
	else if (c->base_name)
		ret = tool_error("Did not find '%s' in the backing chain of "
				 "'%s'", c->base_name, c->path);
	else
		ret = tool_error("Image does not have a backing file");
	return tool_close(top) ? EXIT_FAILED : ret;
}

/* ---- the verb ---- */

static int grow_base(struct commit *c)
{
	struct error err = ERROR_INIT;
	int ret;

	c->job.base_size = image_size(c->job.base);
	if (c->job.base_size >= image_size(c->job.img))
		return EXIT_OK;
	ret = image_truncate(c->job.base, image_size(c->job.img), &err);
	return ret ? tool_error("Could not resize the base image: %s",
				error_text(&err, ret)) : EXIT_OK;
}

static int copy_to_base(struct commit *c)
{
	struct error err = ERROR_INIT;
	int ret;

	progress_begin(c->common.progress && !c->common.quiet,
		       c->common.json);
	c->job.loop = c->loop;
	c->job.progress = &progress_of_engine;
	ret = commit_job_run(&c->job, &err);
	progress_end(!ret);
	return ret ? tool_error("%s: %s", c->path, error_text(&err, ret)) :
		     EXIT_OK;
}

static int empty_overlay(struct commit *c)
{
	struct error err = ERROR_INIT;
	int ret = c->keep ? 0 : image_make_empty(c->job.img, &err);

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

	c->job.base = c->job.img;
	for (unsigned int i = 0; c->job.base && i < c->job.depth; i++)
		c->job.base = image_backing(c->job.base);
	if (!c->job.base)
		return tool_error("%s has lost its base meanwhile", c->path);
	ret = grow_base(c);
	if (!ret)
		ret = copy_to_base(c);
	return ret ? ret : empty_overlay(c);
}

static int report_commit(const struct commit *c)
{
	if (c->common.json)
		return tool_json_print(json_pack(
			"{s:b, s:I, s:b}", "committed", true, "bytes-copied",
			(json_int_t)c->job.copied, "emptied", !c->keep));
	if (!c->common.quiet)
		puts("Image committed.");
	return EXIT_OK;
}

static int commit_chain(struct commit *c)
{
	int ret = find_base(c);

	if (ret)
		return ret;
	c->common.writable_backing = c->job.depth;
	c->job.img = tool_open(c->loop, c->path, &c->common,
			   IMAGE_RDWR | IMAGE_UNMAP | IMAGE_READ_BESIDE);
	if (!c->job.img)
		return EXIT_FAILED;
	ret = commit_image(c);
	if (tool_close(c->job.img))
		ret = EXIT_FAILED;
	return ret ? ret : report_commit(c);
}

static int commit_option(struct commit *c, int id, const char *arg)
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
				       &c->job.rate);
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
		if (commit_option(&c, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_commit,
				  "Expecting one image file name");
	c.path = argv[optind];
	return commit_chain(&c);
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
