/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.c: see backing.h. */
#include "tool/backing.h"

#include <stdio.h>
#include <string.h>

#include "image/graph/overwrite.h"
#include "image/graph/probe.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"

static void refuse_guess(const char *image, const char *name,
			 const char *format)
{
	tool_error("%s: Backing file specified without backing format\n'%s' "
		   "looks like %s, but a guest may have made it look so.",
		   image, name, format);
	tool_suggest("-F", format);
}

const char *tool_backing_format(const char *image, const char *name,
				const char *full, const char *recorded,
				bool quiet)
{
	struct error err = ERROR_INIT;
	const char *format;
	int ret = image_probe(full, &format, &err);
	bool raw;

	if (ret) {
		tool_error("%s: %s\nCould not open backing image.", image,
			   error_text(&err, ret));
		return NULL;
	}
	raw = !strcmp(format, "raw");
	if (tool_strict_format() ||
	    (!raw && (!recorded || strcmp(format, recorded)))) {
		refuse_guess(image, name, format);
		return NULL;
	}
	if (!quiet && raw)
		fprintf(stderr, "xdisk: %s: recorded as raw, no other format "
			"was recognised in it\n", name);
	else if (!quiet)
		fprintf(stderr, "xdisk: %s: recorded as %s, as the backing "
			"file before it was\n", name, format);
	return format;
}

int tool_judge_described(struct loop *loop, const char *name,
			 const char *format, const char *path,
			 const struct image_create_option *options,
			 unsigned int nr_options)
{
	const struct tool_common common = {
		.format = format,
		.quiet = true,
		.share = true,
		.cache = IMAGE_CACHE_WRITEBACK,
		.format_option = "-F",
	};
	struct error err = ERROR_INIT;
	struct image *img;
	int ret;

	if (!image_would_empty(path, options, nr_options))
		return EXIT_OK;
	img = tool_open(loop, name, &common, IMAGE_NO_IO | IMAGE_ALL_FILES);
	if (!img)
		return tool_error("Could not open backing image.");
	ret = image_judge_create(img, path, options, nr_options, &err);
	if (ret)
		tool_error("%s", error_text(&err, ret));
	return tool_close(img) || ret ? EXIT_FAILED : EXIT_OK;
}
