/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk rebase: puts an overlay on another backing image.
 *
 * What the overlay does not hold itself shows the backing image, so wherever
 * the new one differs from the old one the old content has to go into the
 * overlay first. Only then the name in the header changes, in one step: until
 * that, the overlay reads as it always did.
 *
 * -u changes the name and looks at nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/backing.h"
#include "image/graph/format.h"
#include "image/info.h"
#include "image/jobs/rebase.h"
#include "image/graph/path.h"
#include "tool/backing.h"
#include "tool/image-opts.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

struct rebase {
	struct loop *loop;
	const struct image_node *node;	/* the new one, if described */
	struct tool_common common;
	enum image_cache source_cache;
	const char *path;
	const char *backing, *format;	/* NULL: none */
	bool unsafe;
	struct rebase_job job;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'b', "backing", "FILE", "the new backing image; '' for none" },
	{ 'F', "backing-format", "FMT", "its format" },
	{ 'u', "unsafe", NULL, "only change the name in the header" },
	{ 'c', "compress", NULL, "what has to be written is compressed" },
	TOOL_CACHE,
	{ 'T', "source-cache", "MODE", "the same for the backing images" },
	TOOL_AIO,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_END,
};

/* ---- the verb ---- */

static int copy_differences(struct rebase *r)
{
	struct error err = ERROR_INIT;
	int ret;

	progress_begin(r->common.progress && !r->common.quiet,
		       r->common.json);
	r->job.progress = &progress_of_engine;
	ret = rebase_job_run(&r->job, &err);
	progress_end(!ret);
	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

static int settle_backing_format(struct rebase *r,
				 const struct image_info *info)
{
	struct error err = ERROR_INIT;
	cleanup_free char *full = NULL;
	int ret;

	if (r->backing && image_opts_is_name(r->backing)) {
		r->node = tool_describe(r->loop, r->backing, &r->format,
					r->common.quiet);
		return r->node ? EXIT_OK : EXIT_FAILED;
	}
	if (!r->backing || r->format)
		return EXIT_OK;
	ret = image_backing_path(image_path(r->job.img), r->backing, &full,
				 &err);
	if (ret)
		return tool_error("Could not change the backing file to '%s': "
				  "%s", r->backing, error_text(&err, ret));
	r->format = tool_backing_format(r->path, r->backing, full,
					info->backing_format,
					r->common.quiet);
	return r->format ? EXIT_OK : EXIT_FAILED;
}

/* co. Puts the new backing image under the overlay, in memory. */
static int switch_backing(struct rebase *r)
{
	struct error err = ERROR_INIT;
	int ret = image_switch_backing(r->job.img, r->backing, r->format,
				       r->node, r->source_cache,
				       &r->job.old.img, &err);

	if (ret)
		return tool_error("Could not open new backing file '%s': %s",
				  r->backing, error_text(&err, ret));
	r->job.new.img = image_backing(r->job.img);
	return EXIT_OK;
}

static int change_name(struct rebase *r)
{
	struct error err = ERROR_INIT;
	int ret = image_change_backing(r->job.img, r->backing, r->format, &err);

	if (ret == -ENOSPC)
		return tool_error("Could not change the backing file to '%s': "
				  "No space left in the file header: %s",
				  r->backing, error_text(&err, ret));
	if (ret)
		return tool_error("Could not change the backing file to '%s': "
				  "%s", r->backing ? r->backing : "",
				  error_text(&err, ret));
	return EXIT_OK;
}

static int rebase_image(struct rebase *r)
{
	struct error err = ERROR_INIT;
	struct image_info info;
	int ret = image_get_info(r->job.img, &info, &err);

	if (ret)
		return tool_error("%s: %s", r->path, error_text(&err, ret));
	r->job.cluster_size = max(info.cluster_size, SECTOR_SIZE);
	r->job.grain = r->job.cluster_size;
	if (info.kind == IMAGE_INFO_QCOW2 && info.qcow2.extended_l2)
		r->job.grain /= 32;
	ret = settle_backing_format(r, &info);
	image_info_free(&info);
	if (ret || r->unsafe)
		return ret ? ret : change_name(r);
	ret = switch_backing(r);
	if (ret)
		return ret;
	ret = copy_differences(r);
	if (!ret)
		ret = change_name(r);
	if (r->job.old.img && tool_close(r->job.old.img))
		ret = EXIT_FAILED;
	return ret;
}

static int print_rebase_json(const struct rebase *r)
{
	json_t *json = json_pack("{s:b, s:I}", "rebased", true,
				 "bytes-written", (json_int_t)r->job.written);

	if (json && r->backing) {
		json_object_set_new(json, "backing-filename",
				    tool_json_text(r->backing));
		json_object_set_new(json, "backing-filename-format",
				    json_string(r->format));
	}
	return tool_json_print(json);
}

static int rebase(struct rebase *r, struct loop *loop)
{
	int ret;

	r->loop = loop;
	r->job.img = tool_open(loop, r->path, &r->common,
			   IMAGE_RDWR | IMAGE_READ_BESIDE |
			   (r->unsafe ? IMAGE_NO_BACKING : 0));
	if (!r->job.img)
		return EXIT_FAILED;
	ret = rebase_image(r);
	if (tool_close(r->job.img))
		ret = EXIT_FAILED;
	return ret || !r->common.json ? ret : print_rebase_json(r);
}

static int rebase_option(struct rebase *r, int id, const char *arg)
{
	switch (id) {
	case 'b':
		r->backing = arg;
		return 0;
	case 'F':
		r->format = arg;
		return image_backing_format(arg) ? 0 :
			tool_error("Invalid format name: '%s'", arg);
	case 'u':
		r->unsafe = true;
		return 0;
	case 'c':
		r->job.compress = true;
		return 0;
	case 'T':
		return tool_source_cache(&r->source_cache, arg);
	default:
		return tool_common_option(&r->common, id, arg);
	}
}

static int run_rebase(struct loop *loop, int argc, char **argv)
{
	struct rebase r = {
		.common.cache = IMAGE_CACHE_WRITEBACK,
		.source_cache = IMAGE_CACHE_WRITEBACK,
	};
	int id;

	while ((id = tool_getopt(&verb_rebase, argc, argv)) != -1)
		if (rebase_option(&r, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_rebase,
				  "Expecting one image file name");
	if (!r.unsafe && !r.backing)
		return tool_usage(&verb_rebase, "Must specify backing file (-b) "
				  "or use unsafe mode (-u)");
	r.path = argv[optind];
	if (r.backing && !*r.backing)
		r.backing = r.format = NULL;
	return rebase(&r, loop);
}

const struct verb verb_rebase = {
	.name = "rebase",
	.summary = "put an overlay on another backing image",
	.usage = "FILE",
	.more = "FILE shows the same disk afterwards: what differs between the "
		"old and the new\nbacking image is copied into it. With -u it "
		"shows what the new one holds; use it\nwhen a backing image "
		"was moved. -b '' makes FILE stand on its own. FILE of -b is\n"
		"relative to the overlay.",
	.options = options,
	.run = run_rebase,
};
