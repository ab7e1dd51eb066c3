/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk create: a new image, with or without a backing image.
 *
 * A backing image whose format is not given is never recorded as guessed: a
 * guest may have written whatever we would recognise. It is recorded as raw
 * when nothing is recognised in it, and refused when something is.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/size.h"
#include "image/graph/format.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/graph/path.h"
#include "tool/backing.h"
#include "tool/create-opts.h"
#include "tool/image-opts.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/opener.h"
#include "tool/option.h"
#include "tool/verbs/verbs.h"

struct create {
	struct loop *loop;
	struct tool_common common;
	const char *path;
	uint64_t size;			/* UINT64_MAX: not given */
	bool unsafe;			/* do not look at the backing image */
	struct create_opts opts;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	{ 'o', "options", "NAME=VALUE,...", "format options; -o help lists them" },
	{ 'b', "backing", "FILE", "the backing image" },
	{ 'F', "backing-format", "FMT", "format of the backing image" },
	{ 'u', "unsafe", NULL, "do not open the backing image" },
	TOOL_QUIET,
	TOOL_END,
};

/* ---- the backing image ---- */

static int settle_guessed_format(struct create *c, const char *name,
				 const char *full)
{
	const char *format =
		tool_backing_format(c->path, name, full, NULL, c->common.quiet);

	return format ? create_opts_add(&c->opts, "backing_fmt", format) :
			EXIT_FAILED;
}

/* Opens it, takes its size if none was given. */
static int look_at_backing(struct create *c, const char *full)
{
	struct image_options opts = {
		.flags = IMAGE_NO_IO | IMAGE_NO_BACKING | IMAGE_SHARE,
		.cache = IMAGE_CACHE_WRITEBACK,
		.opener = tool_opener(),
	};
	const char *format = create_opts_value(&c->opts, "backing_fmt");
	struct error err = ERROR_INIT;
	struct image *img;
	int ret;

	ret = image_open(c->loop, full, image_backing_format(format) ?: format,
			 &opts, &img, &err);
	if (ret)
		return tool_error("%s: Could not open '%s': %s\nCould not open "
				  "backing image.", c->path, full,
				  error_text(&err, ret));
	if (c->size == UINT64_MAX)
		c->size = image_size(img);
	return tool_close(img);
}

/* What a person has described is looked at. As a name in an image it will be
 * opened by QEMU, but not by us: image/graph/path.h. */
static int look_at_described(struct create *c, const char *name)
{
	const struct tool_common common = {
		.format = create_opts_value(&c->opts, "backing_fmt"),
		.quiet = c->common.quiet,
		.share = true,
		.cache = IMAGE_CACHE_WRITEBACK,
		.format_option = "-F",
	};
	struct image *img = tool_open(c->loop, name, &common,
				      IMAGE_NO_IO | IMAGE_NO_BACKING);
	const char *format;
	int ret = EXIT_OK;

	if (!img)
		return tool_error("Could not open backing image.");
	if (c->size == UINT64_MAX)
		c->size = image_size(img);
	format = image_format(img);
	if (!common.format)
		ret = create_opts_add(&c->opts, "backing_fmt",
				 image_format_known(format) ? format : "raw");
	if (!c->common.quiet)
		fprintf(stderr, "xdisk: %s: xdisk opens no such backing image "
			"on an image's word, but where --image-opts "
			"backing.driver=... say what it is\n", c->path);
	return tool_close(img) ?: ret;
}

static int settle_backing(struct create *c)
{
	const char *name = create_opts_value(&c->opts, "backing_file");
	struct error err = ERROR_INIT;
	cleanup_free char *full = NULL;
	int ret;

	if (!name || !*name)
		return 0;
	if (c->unsafe)
		return create_opts_value(&c->opts, "backing_fmt") ? 0 :
			tool_error("%s: -u needs the backing format: -F FMT",
				   c->path);
	if (image_opts_is_name(name))
		return look_at_described(c, name);
	ret = image_backing_path(c->path, name, &full, &err);
	if (ret)
		return tool_error("%s: %s", c->path, error_text(&err, ret));
	if (!create_opts_value(&c->opts, "backing_fmt"))
		ret = settle_guessed_format(c, name, full);
	return ret ? ret : look_at_backing(c, full);
}

/* ---- what is about to be made ---- */

/* In qemu-img's order. format: NULL is all; def: NULL is only if given. */
static const struct {
	const char *format, *name, *def;
	bool size;
} shown[] = {
	{ "qcow2", "encryption", NULL, false },
	{ "qcow2", "encrypt.format", NULL, false },
	{ "qcow2", "encrypt.key-secret", NULL, false },
	{ "qcow2", "encrypt.cipher-alg", NULL, false },
	{ "qcow2", "encrypt.cipher-mode", NULL, false },
	{ "qcow2", "encrypt.ivgen-alg", NULL, false },
	{ "qcow2", "encrypt.ivgen-hash-alg", NULL, false },
	{ "qcow2", "encrypt.hash-alg", NULL, false },
	{ "qcow2", "encrypt.iter-time", NULL, false },
	{ "qcow2", "cluster_size", "65536", true },
	{ "qcow2", "extended_l2", "off", false },
	{ "qcow2", "preallocation", NULL, false },
	{ "qcow2", "compression_type", "zlib", false },
	{ NULL, "size", NULL, true },
	{ "raw", "nocow", NULL, false },
	{ "raw", "preallocation", NULL, false },
	{ "raw", "extent_size_hint", NULL, true },
	{ "luks", "key-secret", NULL, false },
	{ "luks", "cipher-alg", NULL, false },
	{ "luks", "cipher-mode", NULL, false },
	{ "luks", "ivgen-alg", NULL, false },
	{ "luks", "ivgen-hash-alg", NULL, false },
	{ "luks", "hash-alg", NULL, false },
	{ "luks", "iter-time", NULL, false },
	{ "vdi", "static", "off", false },
	{ "vmdk", "adapter_type", NULL, false },
	{ "vmdk", "compat6", "off", false },
	{ "vmdk", "hwversion", "undefined", false },
	{ "vmdk", "subformat", NULL, false },
	{ "vmdk", "zeroed_grain", NULL, false },
	{ "vpc", "subformat", NULL, false },
	{ "vpc", "force_size", NULL, false },
	{ NULL, "compat", NULL, false },
	{ NULL, "backing_file", NULL, false },
	{ NULL, "backing_fmt", NULL, false },
	{ "qcow2", "data_file", NULL, false },
	{ "qcow2", "data_file_raw", NULL, false },
	{ "qcow2", "lazy_refcounts", "off", false },
	{ "qcow2", "refcount_bits", "16", false },
	{ "qcow2", "nocow", NULL, false },
	{ "qcow2", "extent_size_hint", NULL, true },
};

static void print_settings(const struct create *c, const char *format)
{
	uint64_t bytes;

	printf("Formatting '%s', fmt=%s", c->path, format);
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		const char *value = create_opts_value(&c->opts, shown[i].name);

		if (shown[i].format && strcmp(shown[i].format, format))
			continue;
		if (!strcmp(shown[i].name, "size"))
			printf(" size=%" PRIu64, c->size);
		else if (value && shown[i].size && !size_parse(value, &bytes))
			printf(" %s=%" PRIu64, shown[i].name, bytes);
		else if (value || shown[i].def)
			printf(" %s=%s", shown[i].name,
			       value ? value : shown[i].def);
	}
	putchar('\n');
	fflush(stdout);
}

/* The size stands behind the file or among the options. */
static int settle_size(struct create *c)
{
	const char *option = create_opts_value(&c->opts, "size");

	if (!option)
		return 0;
	if (c->size != UINT64_MAX)
		return tool_error("%s: The image size must be specified only "
				  "once", c->path);
	if (size_parse(option, &c->size))
		return tool_error("%s: Parameter 'size' expects a non-negative "
				  "number below 2^64\nOptional suffix k, M, G, "
				  "T, P or E means kilo-, mega-, giga-, tera-, "
				  "peta-\nand exabytes, respectively.",
				  c->path);
	create_opts_remove(&c->opts, "size");
	return 0;
}

static int create_image(struct create *c)
{
	const char *format = c->common.format ? c->common.format : "raw";
	const char *backing = create_opts_value(&c->opts, "backing_file");
	struct error err = ERROR_INIT;
	int ret;

	if (c->opts.help)
		return create_opts_list(format);
	if (!c->path)
		return tool_usage(&verb_create, "which file?");
	if (!image_format_known(format))
		return tool_error("%s: Unknown file format '%s'", c->path,
				  format);
	if (!image_create_options(format))
		return tool_error("%s: Format driver '%s' does not support "
				  "image creation", c->path, format);
	if (backing && !*backing)
		return tool_error("%s: Expected backing file name, got empty "
				  "string", c->path);
	ret = settle_size(c);
	if (!ret)
		ret = settle_backing(c);
	if (!ret && backing && image_opts_is_name(backing))
		ret = tool_judge_described(
			c->loop, backing,
			create_opts_value(&c->opts, "backing_fmt"), c->path,
			c->opts.v, c->opts.nr);
	if (ret)
		return EXIT_FAILED;
	if (c->size == UINT64_MAX)
		return tool_error("%s: Image creation needs a size parameter",
				  c->path);
	if (!c->common.quiet)
		print_settings(c, format);
	ret = image_create(c->loop, c->path, format, c->size, c->opts.v,
			   c->opts.nr, &err);
	return ret ? tool_error("%s: %s", c->path, error_text(&err, ret)) :
		     EXIT_OK;
}

static int create_option(struct create *c, int id, const char *arg)
{
	switch (id) {
	case 'o':
		return create_opts_parse(&c->opts, arg);
	case 'b':
		return create_opts_add(&c->opts, "backing_file", arg);
	case 'F':
		return create_opts_add(&c->opts, "backing_fmt", arg);
	case 'u':
		c->unsafe = true;
		return 0;
	default:
		return tool_common_option(&c->common, id, arg);
	}
}

static int run_create(struct loop *loop, int argc, char **argv)
{
	struct create c = {
		.loop = loop,
		.size = UINT64_MAX,
	};
	int id, ret = 0;

	while (!ret && (id = tool_getopt(&verb_create, argc, argv)) != -1)
		ret = create_option(&c, id, optarg);
	if (!ret && optind < argc)
		c.path = argv[optind++];
	if (!ret && optind < argc)
		ret = tool_parse_size("image size", argv[optind++], 0,
				      INT64_MAX, &c.size);
	if (!ret && optind < argc)
		ret = tool_usage(&verb_create, "unexpected argument: %s",
				 argv[optind]);
	ret = ret ? EXIT_FAILED : create_image(&c);
	create_opts_free(&c.opts);
	return ret;
}

const struct verb verb_create = {
	.name = "create",
	.summary = "make a new image",
	.usage = "FILE [SIZE]",
	.more = "Without -f the image is raw. Without SIZE it is as large as "
		"its backing image.\nA backing image is named relative to FILE.",
	.options = options,
	.run = run_create,
};
