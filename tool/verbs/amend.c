/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk amend: other options for an existing image.
 *
 * The backing image is only opened where the disk may grow over it: what an
 * amendment writes is metadata.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "image/graph/make.h"
#include "tool/create-opts.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

struct amend {
	struct loop *loop;
	struct tool_common common;
	const char *path;
	unsigned int flags;		/* enum image_amend_flags */
	struct create_opts opts;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'o', "options", "NAME=VALUE,...", "what to change; -o help lists it" },
	{ OPT_FORCE, "force", NULL, "even what may lock you out for good" },
	TOOL_OUTPUT,
	TOOL_CACHE,
	TOOL_QUIET,
	TOOL_PROGRESS,
	TOOL_END,
};

/* ---- options ---- */

static int amend_option(struct amend *a, int id, const char *arg)
{
	switch (id) {
	case 'o':
		return create_opts_parse(&a->opts, arg);
	case OPT_FORCE:
		a->flags |= IMAGE_AMEND_FORCE;
		return 0;
	default:
		return tool_common_option(&a->common, id, arg);
	}
}

static int list_options(const char *format)
{
	const struct image_create_help *help = image_amend_options(format);

	if (!help)
		return tool_error("Format driver '%s' does not support option "
				  "amendment", format);
	printf("Amend options for '%s':\n", format);
	for (; help->name; help++)
		printf("  %s=%s\n", help->name, help->help);
	return EXIT_OK;
}

/* ---- the image ---- */

static int amend_image(struct amend *a, struct image *img)
{
	struct error err = ERROR_INIT;
	int ret, closed;

	progress_begin(a->common.progress && !a->common.quiet,
		       a->common.json);
	ret = image_amend(img, a->opts.v, a->opts.nr, a->flags,
			  &progress_of_engine, &err);
	progress_end(!ret);
	if (ret)
		tool_error("%s", error_text(&err, ret));
	closed = tool_close(img);
	return ret ? EXIT_FAILED : closed;
}

static int print_amend_json(const struct amend *a, const char *format)
{
	json_t *amended = json_object();

	for (unsigned int i = 0; i < a->opts.nr; i++)
		json_object_set_new(amended, a->opts.v[i].name,
				    tool_json_text(a->opts.v[i].value));
	return tool_json_print(json_pack("{s:o, s:s, s:o}", "filename",
					 tool_json_text(a->path), "format",
					 format, "amended", amended));
}

static int amend(struct amend *a)
{
	unsigned int flags = IMAGE_RDWR;
	struct image *img;
	const char *format;
	int ret;

	if (a->opts.help && a->common.format)
		return list_options(a->common.format);
	if (!a->path)
		return tool_usage(&verb_amend, "expecting one image file name");
	if (!a->opts.nr && !a->opts.help)
		return tool_usage(&verb_amend, "Must specify options (-o)");
	if (!create_opts_value(&a->opts, "size"))
		flags |= IMAGE_NO_BACKING;
	if (a->opts.help)
		flags = IMAGE_NO_IO | IMAGE_NO_BACKING;
	img = tool_open(a->loop, a->path, &a->common, flags);
	if (!img)
		return EXIT_FAILED;
	format = image_format(img);
	if (a->opts.help) {
		tool_close(img);
		return list_options(format);
	}
	ret = amend_image(a, img);
	return ret || !a->common.json ? ret : print_amend_json(a, format);
}

static int run_amend(struct loop *loop, int argc, char **argv)
{
	struct amend a = {
		.loop = loop,
		.common.cache = IMAGE_CACHE_WRITEBACK,
	};
	int id, ret = 0;

	while (!ret && (id = tool_getopt(&verb_amend, argc, argv)) != -1)
		ret = amend_option(&a, id, optarg);
	if (!ret && optind < argc)
		a.path = argv[optind++];
	if (!ret && optind < argc)
		ret = tool_usage(&verb_amend, "unexpected argument: %s",
				 argv[optind]);
	ret = ret ? EXIT_FAILED : amend(&a);
	create_opts_free(&a.opts);
	return ret;
}

const struct verb verb_amend = {
	.name = "amend",
	.summary = "change options of an image",
	.usage = "FILE",
	.more = "All options are judged before the first is carried out.",
	.options = options,
	.run = run_amend,
};
