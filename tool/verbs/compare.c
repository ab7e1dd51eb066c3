/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xdisk compare: do two images show the same disk? */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/jobs/compare.h"
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

struct compare {
	struct tool_common common;
	const char *path[2];
	const char *format[2];		/* NULL: not given */
	struct compare_job job;
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

static void print_line(const struct compare *c, const char *text)
{
	if (!c->common.quiet && !c->common.json)
		puts(text);
}

static void print_difference(const struct compare *c)
{
	const struct compare_job *job = &c->job;
	char text[80] = "Images are identical.";

	if (job->finding == COMPARE_CONTENT)
		snprintf(text, sizeof(text), "Content mismatch at offset %"
			 PRIu64 "!", job->offset);
	else if (job->finding == COMPARE_STATUS)
		snprintf(text, sizeof(text), "Strict mode: Offset %" PRIu64
			 " block status mismatch!", job->offset);
	else if (job->finding == COMPARE_SIZE)
		snprintf(text, sizeof(text), "Strict mode: Image size "
			 "mismatch!");
	print_line(c, text);
}

static void print_difference_json(const struct compare_job *job)
{
	static const char *const reasons[] = {
		[COMPARE_CONTENT] = "content",
		[COMPARE_STATUS] = "status",
		[COMPARE_SIZE] = "size",
	};
	bool same = job->finding == COMPARE_SAME;
	json_t *json = json_pack("{s:b, s:b}", "identical", same,
				 "size-mismatch", job->sizes_differ);

	if (json && !same) {
		json_object_set_new(json, "reason",
				    json_string(reasons[job->finding]));
		json_object_set_new(json, "offset",
				    json_integer((json_int_t)job->offset));
	}
	tool_json_print(json);
}

static int report_difference(const struct compare *c)
{
	const struct compare_job *job = &c->job;

	if (job->sizes_differ && job->common_same)
		print_line(c, "Warning: Image size mismatch!");
	if (job->finding == COMPARE_NO_STATUS) {
		tool_error("Sector allocation test failed for %s",
			   c->path[job->side]);
		return EXIT_NO_STATUS;
	}
	if (job->finding == COMPARE_NOT_READ) {
		tool_error("Error while reading offset %" PRIu64 " of %s: %s",
			   job->offset, c->path[job->side],
			   strerror(job->errnum));
		return EXIT_NOT_READ;
	}
	if (c->common.json)
		print_difference_json(job);
	else
		print_difference(c);
	return job->finding == COMPARE_SAME ? EXIT_SAME : EXIT_DIFFERS;
}

/* ---- the verb ---- */

static int open_sides(struct compare *c, struct loop *loop)
{
	struct tool_common common = c->common;

	for (int i = 0; i < 2; i++) {
		common.format = c->format[i];
		common.format_option = i ? "-F" : NULL;
		/* While one is copied out of the page cache the other is. */
		c->job.img[i] = tool_open(loop, c->path[i], &common,
					  IMAGE_READ_BESIDE);
		if (!c->job.img[i])
			return EXIT_NOT_OPENED;
	}
	return EXIT_SAME;
}

static int compare_sides(struct compare *c)
{
	int ret;

	progress_begin(c->common.progress && !c->common.quiet,
		       c->common.json);
	c->job.progress = &progress_of_engine;
	ret = compare_job_run(&c->job);
	progress_end(!ret && c->job.finding == COMPARE_SAME);
	if (!ret)
		return report_difference(c);
	tool_error("out of memory");
	return EXIT_NOT_READ;
}

static int compare_images(struct compare *c, struct loop *loop)
{
	int ret = open_sides(c, loop);

	if (ret == EXIT_SAME)
		ret = compare_sides(c);
	for (int i = 0; i < 2; i++)
		if (c->job.img[i] && tool_close(c->job.img[i]) &&
		    ret == EXIT_SAME)
			ret = EXIT_NOT_READ;
	return ret;
}

static int compare_option(struct compare *c, int id, const char *arg)
{
	switch (id) {
	case 'f':
		c->format[0] = arg;
		return 0;
	case 'F':
		c->format[1] = arg;
		return 0;
	case 's':
		c->job.strict = true;
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
		ret = compare_option(&c, id, optarg);
		if (ret)
			return id == 'T' ? EXIT_NOT_OPENED : ret;
	}
	if (argc - optind != 2)
		return tool_usage(&verb_compare,
				  "Expecting two image file names");
	c.path[0] = argv[optind];
	c.path[1] = argv[optind + 1];
	return compare_images(&c, loop);
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
