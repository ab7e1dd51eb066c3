/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk dd: copies blocks of an image into a new one, with dd's operands.
 *
 * What reads as zeroes is left out of the new image, which is large enough for
 * what is copied and no larger.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bits.h"
#include "common/size.h"
#include "image/graph/format.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/graph/overwrite.h"
#include "image/jobs/copy.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/opener.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

#define DEFAULT_BLOCK 512
#define MIN_SPARSE 4096

struct dd {
	struct loop *loop;
	struct tool_common common;
	const char *in, *out;
	const char *out_format;
	uint64_t block, skip, count;	/* bytes; blocks; UINT64_MAX: all */
	struct copy_source source;
	struct copy_job copy;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'O', "output-format", "FMT", "format of the new image [raw]" },
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

/* ---- operands ---- */

static int parse_operand(struct dd *d, char *text)
{
	char *value = strchr(text, '=');

	if (value)
		*value++ = '\0';
	else
		value = text + strlen(text);
	if (!strcmp(text, "if"))
		d->in = value;
	else if (!strcmp(text, "of"))
		d->out = value;
	else if (!strcmp(text, "bs"))
		return tool_parse_size(text, value, 1, INT_MAX, &d->block);
	else if (!strcmp(text, "count"))
		return tool_parse_size(text, value, 0, INT64_MAX, &d->count);
	else if (!strcmp(text, "skip"))
		return tool_parse_size(text, value, 0, INT64_MAX, &d->skip);
	else
		return tool_error("unrecognized operand %s", text);
	return 0;
}

/* ---- the copy ---- */

/* Which bytes: what is beyond the end of the input is not there. */
static void settle_range(struct dd *d)
{
	uint64_t size = image_size(d->source.img), len;

	if (mul_overflow(d->skip, d->block, &d->source.skip) ||
	    d->source.skip > size) {
		tool_error("%s: cannot skip to specified offset", d->in);
		d->source.skip = size;
	}
	d->copy.total = size - d->source.skip;
	if (d->count != UINT64_MAX && !mul_overflow(d->count, d->block, &len))
		d->copy.total = min(d->copy.total, len);
}

static int create_output(struct dd *d)
{
	struct error err = ERROR_INIT;
	struct image_options opts = {
		.flags = IMAGE_RDWR | IMAGE_UNMAP,
		.cache = IMAGE_CACHE_WRITEBACK,
		.opener = tool_opener(),
	};
	int ret;

	ret = image_judge_create(d->source.img, d->out, NULL, 0, &err);
	if (ret)
		return tool_error("%s", error_text(&err, ret));
	ret = image_create(d->loop, d->out, d->out_format,
			   align_up(d->copy.total, SECTOR_SIZE), NULL, 0, &err);
	if (ret)
		return tool_error("%s: error while creating output image: %s",
				  d->out, error_text(&err, ret));
	ret = image_open(d->loop, d->out, d->out_format, &opts, &d->copy.target,
			 &err);
	return ret ? tool_error("Could not open '%s': %s", d->out,
				error_text(&err, ret)) : EXIT_OK;
}

/* A device keeps what it has where nothing is written. */
static bool is_new_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

static int copy_blocks(struct dd *d)
{
	struct error err = ERROR_INIT;
	int ret;

	d->copy.loop = d->loop;
	d->copy.sources = &d->source;
	d->copy.nr_sources = 1;
	d->copy.parts = PIECES_AT_ONCE;
	d->copy.min_sparse = MIN_SPARSE;
	d->copy.target_is_zero = is_new_file(d->out);
	d->copy.progress = &progress_of_engine;
	progress_begin(d->common.progress && !d->common.quiet,
		       d->common.json);
	ret = copy_job_run(&d->copy, &err);
	progress_end(!ret);
	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

static int report_copy(const struct dd *d)
{
	if (!d->common.json)
		return EXIT_OK;
	return tool_json_print(json_pack(
		"{s:I, s:I, s:I}", "bytes-copied", (json_int_t)d->copy.total,
		"bytes-written", (json_int_t)d->copy.written,
		"blocks", (json_int_t)div_round_up(d->copy.total, d->block)));
}

static int dd(struct dd *d)
{
	int ret;

	d->source.img = tool_open(d->loop, d->in, &d->common, 0);
	if (!d->source.img)
		return EXIT_FAILED;
	settle_range(d);
	ret = create_output(d);
	if (!ret)
		ret = copy_blocks(d);
	if (d->copy.target && tool_close(d->copy.target))
		ret = EXIT_FAILED;
	if (tool_close(d->source.img))
		ret = EXIT_FAILED;
	return ret ? ret : report_copy(d);
}

static int validate_operands(const struct dd *d)
{
	if (!d->in || !d->out)
		return tool_error("Must specify both input and output files");
	if (!image_format_known(d->out_format))
		return tool_error("Unknown file format '%s'", d->out_format);
	if (!image_create_options(d->out_format))
		return tool_error("Format driver '%s' does not support image "
				  "creation", d->out_format);
	return EXIT_OK;
}

static int dd_option(struct dd *d, int id, const char *arg)
{
	if (id == 'O') {
		d->out_format = arg;
		return 0;
	}
	return tool_common_option(&d->common, id, arg);
}

static int run_dd(struct loop *loop, int argc, char **argv)
{
	struct dd d = {
		.loop = loop,
		.common.cache = IMAGE_CACHE_WRITEBACK,
		.out_format = "raw",
		.block = DEFAULT_BLOCK,
		.count = UINT64_MAX,
	};
	int id, ret = 0;

	while (!ret && (id = tool_getopt(&verb_dd, argc, argv)) != -1)
		ret = dd_option(&d, id, optarg);
	for (; !ret && optind < argc; optind++)
		ret = parse_operand(&d, argv[optind]);
	if (!ret)
		ret = validate_operands(&d);
	return ret ? EXIT_FAILED : dd(&d);
}

const struct verb verb_dd = {
	.name = "dd",
	.summary = "copy blocks of an image into a new one",
	.usage = "[bs=BYTES] [count=BLOCKS] [skip=BLOCKS] if=FILE of=FILE",
	.more = "bs is 512 unless given; skip leaves out blocks at the "
		"beginning of the input.",
	.options = options,
	.run = run_dd,
};
