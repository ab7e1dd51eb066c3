/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk measure: how large a file a new image needs.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/size.h"
#include "image/graph/make.h"
#include "tool/create-opts.h"
#include "tool/json.h"
#include "tool/keyval.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/verbs/verbs.h"

#define MAX_OPTIONS 64

struct measure {
	struct tool_common common;
	const char *path;		/* NULL: a size was given */
	const char *out_format;
	uint64_t size;			/* bytes, UINT64_MAX: not given */
	bool list;
	struct keyvals texts;
	struct image_create_option options[MAX_OPTIONS];
	unsigned int nr;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'O', "output-format", "FMT", "format of the new image [raw]" },
	{ 'o', "options", "NAME=VALUE,...", "of the new image; -o help lists "
	  "them" },
	{ OPT_SIZE, "size", "SIZE", "of the disk, instead of an image" },
	{ 'l', "snapshot", "SNAPSHOT", "of that snapshot of the image" },
	TOOL_OUTPUT,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

/* The disk's size is the image's or --size's. */
static int parse_new_options(struct measure *m, const char *text)
{
	keyval_free(&m->texts);
	m->nr = 0;
	if (!strcmp(text, "help") || !strcmp(text, "?")) {
		m->list = true;
		return 0;
	}
	if (keyval_parse(&m->texts, text, NULL) ||
	    m->texts.nr > MAX_OPTIONS)
		return tool_error("too many options");
	for (unsigned int i = 0; i < m->texts.nr; i++)
		if (strcmp(m->texts.v[i].key, "size"))
			m->options[m->nr++] = (struct image_create_option){
				m->texts.v[i].key, m->texts.v[i].value,
			};
	return 0;
}

static int report_measure(const struct measure *m,
			  const struct image_measure *result)
{
	json_t *json;

	if (!m->common.json) {
		printf("required size: %" PRIu64 "\n"
		       "fully allocated size: %" PRIu64 "\n",
		       result->required, result->fully_allocated);
		if (result->has_bitmaps)
			printf("bitmaps size: %" PRIu64 "\n", result->bitmaps);
		return EXIT_OK;
	}
	json = json_object();
	if (result->has_bitmaps)
		json_object_set_new(json, "bitmaps", json_integer(
					    (json_int_t)result->bitmaps));
	json_object_set_new(json, "required",
			    json_integer((json_int_t)result->required));
	json_object_set_new(json, "fully-allocated",
			    json_integer((json_int_t)result->fully_allocated));
	return tool_json_print(json);
}

static int measure(struct measure *m, struct loop *loop)
{
	struct image_measure result;
	struct error err = ERROR_INIT;
	struct image *from = NULL;
	int ret;

	if (m->list)
		return create_opts_list(m->out_format);
	if (m->path) {
		from = tool_open(loop, m->path, &m->common, 0);
		if (!from)
			return EXIT_FAILED;
	}
	ret = image_measure(m->out_format, m->size, m->options, m->nr, from,
			    &result, &err);
	if (ret)
		ret = tool_error("%s", error_text(&err, ret));
	else
		ret = report_measure(m, &result);
	return from && tool_close(from) ? EXIT_FAILED : ret;
}

static int validate_source(const struct measure *m)
{
	bool has_size = m->size != UINT64_MAX;

	if (m->list)
		return 0;
	if (!m->path && (m->common.format || m->common.image_opts ||
			 m->common.snapshot))
		return tool_error("--image-opts, -f, and -l require a filename "
				  "argument.");
	if (!m->path && !has_size)
		return tool_error("Either --size N or one filename must be "
				  "specified.");
	if (m->path && has_size)
		return tool_error("--size N cannot be used together with a "
				  "filename.");
	return 0;
}

static int measure_option(struct measure *m, int id, const char *arg)
{
	switch (id) {
	case 'O':
		m->out_format = arg;
		return 0;
	case 'o':
		return parse_new_options(m, arg);
	case 'l':
		m->common.snapshot = arg;
		return 0;
	case OPT_SIZE:
		return tool_parse_size("image size", arg, 0, INT64_MAX,
				       &m->size);
	default:
		return tool_common_option(&m->common, id, arg);
	}
}

static int run_measure(struct loop *loop, int argc, char **argv)
{
	struct measure m = {
		.common.cache = IMAGE_CACHE_WRITEBACK,
		.out_format = "raw",
		.size = UINT64_MAX,
	};
	int id, ret = 0;

	while (!ret && (id = tool_getopt(&verb_measure, argc, argv)) != -1)
		ret = measure_option(&m, id, optarg);
	if (!ret && argc - optind > 1)
		ret = tool_error("At most one filename argument is allowed.");
	if (!ret && optind < argc)
		m.path = argv[optind];
	if (!ret)
		ret = validate_source(&m);
	ret = ret ? EXIT_FAILED : measure(&m, loop);
	keyval_free(&m.texts);
	return ret;
}

const struct verb verb_measure = {
	.name = "measure",
	.summary = "tell how large a file a new image needs",
	.usage = "FILE | --size SIZE",
	.more = "With a FILE: to hold what that shows. Compression is not "
		"foreseen.",
	.options = options,
	.run = run_measure,
};
