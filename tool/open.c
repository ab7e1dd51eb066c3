/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open.c: see open.h. */
#include "tool/open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "image/graph/format.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/graph/probe.h"
#include "image/graph/protocol.h"
#include "tool/image-opts.h"
#include "tool/message.h"
#include "tool/opener.h"

/* Says by which option the format that was guessed is said for sure. NULL:
 * printed that it may not be guessed. */
static const char *accept_guess(const char *path, const char *format,
				const char *option, bool quiet)
{
	if (tool_strict_format()) {
		tool_error("%s: no format given, and none may be guessed; it "
			   "looks like %s.", path, format);
		tool_suggest(option, format);
		return NULL;
	}
	if (!quiet)
		fprintf(stderr, "xdisk: %s: no format given, guessed %s (%s %s "
			"says so for sure)\n", path, format, option, format);
	return format;
}

const char *tool_format(struct loop *loop, const char *path, const char *given,
			const char *option, bool quiet)
{
	struct error err = ERROR_INIT;
	const char *format;
	int ret;

	if (given)
		return given;
	ret = image_probe_name(loop, path, &format, &err);
	if (!ret)
		return accept_guess(path, format, option ?: "-f", quiet);
	tool_error("%s", error_text(&err, ret));
	return NULL;
}

static void could_not_open(const char *name, const char *why)
{
	tool_error("Could not open '%s': %s", name, why);
}

bool tool_is_described(const struct tool_common *c, const char *name)
{
	return c->image_opts || image_opts_is_name(name);
}

/* Takes apart what describes an image: "-f file" is "driver=file" as well. */
static int described(struct loop *loop, const struct tool_common *c,
		     struct image_options *opts, const char **path,
		     const char **format, struct error *err)
{
	cleanup_free char *driver = NULL;
	const char *name = *path;

	if (c->image_opts)
		return image_opts_parse(loop, name, c->beside, opts, path,
					format, err);
	if (c->format && !image_format_known(c->format) &&
	    image_protocol_known(c->format) &&
	    asprintf(&driver, "driver=%s", c->format) < 0) {
		driver = NULL;
		return -ENOMEM;
	}
	return driver || image_opts_is_name(name) ?
		image_opts_parse(loop, driver, name, opts, path, format, err) :
		0;
}

/* co. By the common options. Results as those of tool_open_image(). */
static int guess_named_format(struct loop *loop, const char *path,
			      const struct image_options *opts,
			      const struct tool_common *c, const char **format,
			      struct error *err)
{
	bool quiet = c->quiet || c->guess_told;
	int ret;

	if (!opts->node) {
		*format = tool_format(loop, path, NULL, c->format_option,
				      quiet);
		return *format ? 0 : EXIT_FAILED;
	}
	ret = image_probe_node(loop, opts->node, format, err);
	if (ret)
		return ret;
	*format = accept_guess(path, *format, c->format_option ?: "-f", quiet);
	return *format ? 0 : EXIT_FAILED;
}

/* co. *path: as typed, then what that led to. */
static int open_path(struct loop *loop, const char **path,
		     const struct tool_common *c, unsigned int flags,
		     struct image **img, struct error *err)
{
	struct image_options opts = {
		.flags = flags | (c->share ? IMAGE_SHARE : 0),
		.cache = c->cache,
		.aio = c->aio,
		.snapshot = c->snapshot,
		.writable_backing = c->writable_backing,
		.opener = tool_opener(),
	};
	const char *format = NULL, *at = *path;
	int ret = described(loop, c, &opts, &at, &format, err);

	if (ret)
		return ret;
	*path = at;
	format = format ? format : c->format;
	if (!format) {
		opts.flags |= IMAGE_GUESSED;
		ret = guess_named_format(loop, at, &opts, c, &format, err);
	}
	return ret ? ret : image_open(loop, at, format, &opts, img, err);
}

int tool_open_image(struct loop *loop, const char *path,
		    const struct tool_common *c, unsigned int flags,
		    struct image **img, struct error *err)
{
	return open_path(loop, &path, c, flags, img, err);
}

struct image *tool_open(struct loop *loop, const char *path,
			const struct tool_common *c, unsigned int flags)
{
	struct error err = ERROR_INIT;
	struct image *img;
	int ret = open_path(loop, &path, c, flags, &img, &err);

	if (ret < 0)
		could_not_open(path, error_text(&err, ret));
	return ret ? NULL : img;
}

const struct image_node *tool_describe(struct loop *loop, const char *name,
				       const char **format, bool quiet)
{
	const struct tool_common c = { .quiet = quiet, .format_option = "-F" };
	struct image_options opts = { 0 };
	struct error err = ERROR_INIT;
	const char *path = name, *said = NULL;
	int ret = image_opts_parse(loop, NULL, name, &opts, &path, &said, &err);

	if (!ret && said)
		*format = said;
	else if (!ret && !*format)
		ret = guess_named_format(loop, path, &opts, &c, format, &err);
	if (ret < 0)
		could_not_open(path, error_text(&err, ret));
	return ret ? NULL : opts.node;
}

int tool_close(struct image *img)
{
	struct error err = ERROR_INIT;
	int ret = image_close(img, &err);

	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}
