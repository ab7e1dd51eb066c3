/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk bitmap: adds, removes, clears, enables, disables and merges dirty
 * bitmaps. Several actions of one call are carried out in their order; the
 * first that fails ends it, and those before it are kept.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "image/bitmaps.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/verbs/verbs.h"

#define MAX_ACTIONS 64

struct action {
	enum image_bitmap_op op;
	const char *source;		/* of a merge: the bitmap */
};

struct bitmap {
	struct loop *loop;
	struct tool_common common;
	const char *path, *name;
	struct action actions[MAX_ACTIONS];
	unsigned int nr;
	bool adds, merges;
	uint64_t granularity;		/* bytes, 0: not given */
	const char *source_path, *source_format;
	struct image *source;
};

static const struct tool_option options[] = {
	{ OPT_ADD, "add", NULL, "make a new bitmap, enabled and clear" },
	{ OPT_REMOVE, "remove", NULL, "delete it" },
	{ OPT_CLEAR, "clear", NULL, "mark nothing in it" },
	{ OPT_ENABLE, "enable", NULL, "let it record writes" },
	{ OPT_DISABLE, "disable", NULL, "let it keep its state" },
	{ OPT_MERGE, "merge", "NAME", "mark what bitmap NAME has marked" },
	{ 'g', "granularity", "SIZE", "bytes a bit stands for (--add)" },
	{ 'b', "source-file", "FILE", "the image with NAME (--merge)" },
	{ 'F', "source-format", "FMT", "its format" },
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	TOOL_OUTPUT,
	TOOL_CACHE,
	TOOL_QUIET,
	TOOL_END,
};

static const char *const op_names[] = {
	[IMAGE_BITMAP_ADD] = "add",
	[IMAGE_BITMAP_REMOVE] = "remove",
	[IMAGE_BITMAP_CLEAR] = "clear",
	[IMAGE_BITMAP_ENABLE] = "enable",
	[IMAGE_BITMAP_DISABLE] = "disable",
	[IMAGE_BITMAP_MERGE] = "merge",
};

/* ---- options ---- */

static int add_action(struct bitmap *b, enum image_bitmap_op op,
		      const char *source)
{
	if (b->nr == MAX_ACTIONS)
		return tool_error("more than %d actions", MAX_ACTIONS);
	b->actions[b->nr++] = (struct action){ op, source };
	b->adds |= op == IMAGE_BITMAP_ADD;
	b->merges |= op == IMAGE_BITMAP_MERGE;
	return 0;
}

static int bitmap_option(struct bitmap *b, int id, const char *arg)
{
	switch (id) {
	case OPT_ADD:
		return add_action(b, IMAGE_BITMAP_ADD, NULL);
	case OPT_REMOVE:
		return add_action(b, IMAGE_BITMAP_REMOVE, NULL);
	case OPT_CLEAR:
		return add_action(b, IMAGE_BITMAP_CLEAR, NULL);
	case OPT_ENABLE:
		return add_action(b, IMAGE_BITMAP_ENABLE, NULL);
	case OPT_DISABLE:
		return add_action(b, IMAGE_BITMAP_DISABLE, NULL);
	case OPT_MERGE:
		return add_action(b, IMAGE_BITMAP_MERGE, arg);
	case 'g':
		return tool_parse_size("granularity", arg, 1, INT64_MAX,
				       &b->granularity);
	case 'b':
		b->source_path = arg;
		return 0;
	case 'F':
		b->source_format = arg;
		return 0;
	default:
		return tool_common_option(&b->common, id, arg);
	}
}

static int validate_actions(const struct bitmap *b, int left)
{
	if (!b->nr)
		return tool_usage(&verb_bitmap,
				  "Need at least one of --add, "
				  "--remove, --clear, --enable, --disable, or "
				  "--merge");
	if (b->granularity && !b->adds)
		return tool_usage(&verb_bitmap, "granularity only supported "
				  "with --add");
	if (b->source_path && !b->merges)
		return tool_usage(&verb_bitmap, "Merge bitmap source file only "
				  "supported with --merge");
	if (b->source_format && !b->source_path)
		return tool_usage(&verb_bitmap, "source format (-F) without "
				  "source file (-b)");
	if (left != 2)
		return tool_usage(&verb_bitmap, "Expecting filename and bitmap "
				  "name");
	return 0;
}

/* ---- the images ---- */

static int run_actions(struct bitmap *b, struct image *img)
{
	struct error err = ERROR_INIT;
	int ret;

	for (unsigned int i = 0; i < b->nr; i++) {
		struct image_bitmap_args args = {
			.granularity = b->granularity,
			.source = b->source ? b->source : img,
			.source_name = b->actions[i].source,
		};

		ret = image_bitmap(img, b->actions[i].op, b->name, &args, &err);
		if (ret)
			return tool_error("Operation %s on bitmap %s failed: "
					  "%s", op_names[b->actions[i].op],
					  b->name, error_text(&err, ret));
	}
	return EXIT_OK;
}

static int print_bitmap_json(const struct bitmap *b)
{
	json_t *actions = json_array();

	for (unsigned int i = 0; i < b->nr; i++)
		json_array_append_new(actions,
				      json_string(op_names[b->actions[i].op]));
	return tool_json_print(json_pack("{s:o, s:o, s:o}", "filename",
					 tool_json_text(b->path), "bitmap",
					 tool_json_text(b->name), "actions",
					 actions));
}

static int open_merge_source(struct bitmap *b)
{
	struct tool_common common = b->common;

	if (!b->source_path)
		return EXIT_OK;
	common.format = b->source_format;
	common.image_opts = false;
	b->source = tool_open(b->loop, b->source_path, &common,
			      IMAGE_NO_BACKING);
	return b->source ? EXIT_OK : EXIT_FAILED;
}

static int bitmap(struct bitmap *b)
{
	struct image *img;
	int ret, closed;

	img = tool_open(b->loop, b->path, &b->common,
			IMAGE_RDWR | IMAGE_NO_BACKING);
	if (!img)
		return EXIT_FAILED;
	ret = open_merge_source(b);
	if (!ret)
		ret = run_actions(b, img);
	closed = tool_close(img);
	if (b->source)
		tool_close(b->source);
	ret = ret ? ret : closed;
	return ret || !b->common.json ? ret : print_bitmap_json(b);
}

static int run_bitmap(struct loop *loop, int argc, char **argv)
{
	struct bitmap b = {
		.loop = loop,
		.common.cache = IMAGE_CACHE_WRITEBACK,
	};
	int id, ret = 0;

	while (!ret && (id = tool_getopt(&verb_bitmap, argc, argv)) != -1)
		ret = bitmap_option(&b, id, optarg);
	if (!ret)
		ret = validate_actions(&b, argc - optind);
	if (ret)
		return EXIT_FAILED;
	b.path = argv[optind];
	b.name = argv[optind + 1];
	return bitmap(&b);
}

const struct verb verb_bitmap = {
	.name = "bitmap",
	.summary = "add, remove, clear, enable, disable, merge dirty bitmaps",
	.usage = "FILE BITMAP",
	.more = "Several actions are carried out in the order given. xdisk info "
		"lists bitmaps.",
	.options = options,
	.run = run_bitmap,
};
