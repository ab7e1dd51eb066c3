/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk resize: another virtual size.
 *
 * Shrinking throws data away and has to be asked for twice.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bits.h"
#include "common/size.h"
#include "image/resize.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

struct resize {
	struct tool_common common;
	const char *path;
	const char *text;		/* the size as given */
	bool shrink;
	enum image_preallocation mode;
	uint64_t old, new;		/* bytes */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ OPT_SHRINK, "shrink", NULL, "allow what is cut off to be lost" },
	{ OPT_PREALLOCATION, "preallocation", "MODE",
	  "of what is added: off, metadata, falloc, full" },
	TOOL_IMAGE_OPTS,
	TOOL_CACHE,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_END,
};

/* "+N" and "-N" count from the present size. */
static int parse_new_size(struct resize *r)
{
	bool relative = *r->text == '+' || *r->text == '-';
	uint64_t n;
	int ret = size_parse(r->text + relative, &n);

	if (ret == -ERANGE)
		return tool_error("Value '%s' is out of range for parameter "
				  "'size'", r->text);
	if (ret)
		return tool_error("Parameter 'size' expects a non-negative "
				  "number, not '%s'\nOptional suffix k, M, G, "
				  "T, P or E means kilo-, mega-, giga-, tera-, "
				  "peta-\nand exabytes, respectively.", r->text);
	r->new = n;
	if (*r->text == '+' && add_overflow(r->old, n, &r->new))
		r->new = UINT64_MAX;
	if (*r->text == '-')
		r->new = n < r->old ? r->old - n : 0;
	if (!r->new)
		return tool_error("New image size must be positive");
	if (r->new > INT64_MAX)
		return tool_error("Value '%s' is out of range for parameter "
				  "'size'", r->text);
	return 0;
}

static int validate_size(const struct resize *r)
{
	if (r->new <= r->old && r->mode != IMAGE_PREALLOC_OFF)
		return tool_error("Preallocation can only be used for growing "
				  "images");
	if (r->new >= r->old || r->shrink)
		return 0;
	tool_error("Use the --shrink option to perform a shrink operation.");
	return tool_error("warning: Shrinking an image will delete all data "
			  "beyond the shrunken image's end. Before performing "
			  "such an operation, make sure there is no important "
			  "data there.");
}

static int change_size(struct resize *r, struct image *img)
{
	struct error err = ERROR_INIT;
	int ret;

	progress_begin(r->common.progress, r->common.json);
	if (r->new < r->old)
		ret = image_truncate(img, r->new, &err);
	else
		ret = image_grow(img, r->new, r->mode, &progress_of_engine,
				 &err);
	if (!ret)
		progress_set(1, 1);
	progress_end(!ret);
	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

static int resize(struct resize *r, struct image *img)
{
	int ret;

	r->old = image_size(img);
	ret = parse_new_size(r);
	if (!ret)
		ret = validate_size(r);
	if (!ret)
		ret = change_size(r, img);
	r->new = image_size(img);
	return ret;
}

static int print_resize_json(const struct resize *r)
{
	json_t *json = json_object();

	json_object_set_new(json, "filename", tool_json_text(r->path));
	json_object_set_new(json, "format", tool_json_text(r->common.format));
	json_object_set_new(json, "previous-size",
			    json_integer((json_int_t)r->old));
	json_object_set_new(json, "virtual-size",
			    json_integer((json_int_t)r->new));
	return tool_json_print(json);
}

static int resize_option(struct resize *r, int id, const char *arg)
{
	if (id == OPT_SHRINK)
		r->shrink = true;
	else if (id != OPT_PREALLOCATION)
		return tool_common_option(&r->common, id, arg);
	else if (image_parse_preallocation(arg, &r->mode))
		return tool_error("Invalid preallocation mode '%s' (known: "
				  "off, metadata, falloc, full)", arg);
	return 0;
}

/* "-1G" is no option. It goes where getopt() will not find it. */
static int take_negative_size(struct resize *r, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || !isdigit((unsigned char)argv[i][1]))
			continue;
		r->text = argv[i];
		memmove(argv + i, argv + i + 1,
			(size_t)(argc - i - 1) * sizeof(*argv));
		argv[argc - 1] = NULL;
		return argc - 1;
	}
	return argc;
}

static int run_resize(struct loop *loop, int argc, char **argv)
{
	struct resize r = { .common.cache = IMAGE_CACHE_WRITEBACK };
	struct image *img;
	int id, ret, closed;

	argc = take_negative_size(&r, argc, argv);
	while ((id = tool_getopt(&verb_resize, argc, argv)) != -1)
		if (resize_option(&r, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != (r.text ? 1 : 2))
		return tool_usage(&verb_resize, "Expecting image file name and "
				  "size");
	r.path = argv[optind];
	if (!r.text)
		r.text = argv[optind + 1];
	img = tool_open(loop, r.path, &r.common, IMAGE_RDWR);
	if (!img)
		return EXIT_FAILED;
	r.common.format = image_format(img);
	ret = resize(&r, img);
	closed = tool_close(img);
	ret = ret ? EXIT_FAILED : closed;
	if (!ret && r.common.json)
		return print_resize_json(&r);
	if (!ret && !r.common.quiet)
		puts("Image resized.");
	return ret;
}

const struct verb verb_resize = {
	.name = "resize",
	.summary = "give an image another size",
	.usage = "FILE SIZE|+SIZE|-SIZE",
	.more = "What is added reads as zeroes. Partitions and file systems in "
		"the image do not\nchange: make them larger afterwards, "
		"smaller before.",
	.options = options,
	.run = run_resize,
};
