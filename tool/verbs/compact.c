/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk compact: gives back what an image file does not need, in place.
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
#include "image/compact.h"
#include "image/info.h"
#include "image/jobs/pieces.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

#define READ_AT_ONCE MiB

struct compact {
	struct tool_common common;
	const char *path;
	bool dry_run, zeroes;
	uint64_t dropped;		/* bytes of zeroes */
	uint64_t allocated;		/* bytes, before */
	struct image_compact result;
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ OPT_DRY_RUN, "dry-run", NULL, "only tell what would be given back" },
	{ OPT_ZEROES, "zeroes", NULL, "let go of clusters full of zeroes, too" },
	TOOL_CACHE,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_END,
};

/* ---- zeroes ---- */

/* co. The clusters of [off, off + len), which is mapped, that are all zeroes. */
static int drop_in(struct compact *c, struct image *img, uint64_t off,
		   uint64_t len, uint64_t cluster, uint8_t *buf)
{
	uint64_t n;
	int ret = image_pread(img, off, len, buf);

	for (uint64_t o = 0; !ret && o < len; o += n) {
		n = min(cluster - ((off + o) & (cluster - 1)), len - o);
		if (!is_all_zero(buf + o, n) ||
		    (n < cluster && off + o + n != image_size(img)))
			continue;
		ret = image_pwrite_zeroes(img, off + o, n, IMAGE_ZERO_UNMAP);
		c->dropped += cluster;
	}
	return ret;
}

/* co */
static int drop_zeroes(struct compact *c, struct image *img, uint64_t cluster)
{
	const unsigned int mapped = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_OFFSET;
	cleanup_free uint8_t *buf = malloc(max(READ_AT_ONCE, cluster));
	uint64_t most = max(READ_AT_ONCE, cluster), size = image_size(img), n;
	struct image_extent e;
	int ret = buf ? 0 : -ENOMEM;

	for (uint64_t off = 0; !ret && off < size; off += n) {
		n = min(most - (off & (cluster - 1)), size - off);
		ret = image_block_status(img, off, n, &e);
		if (ret)
			break;
		n = e.length;
		if ((e.flags & mapped) == mapped)
			ret = drop_in(c, img, off, n, cluster, buf);
		progress_set(off + n, size);
	}
	return ret ? tool_error("%s: letting go of zeroes: %s", c->path,
				strerror(-ret)) : 0;
}

static int judge_zeroes(const struct compact *c, const struct image_info *i)
{
	if (!i->cluster_size)
		return 0;		/* image_compact() will say */
	if (i->nr_snapshots)
		return tool_error("%s: --zeroes is not for images with "
				  "snapshots", c->path);
	if (i->kind == IMAGE_INFO_QCOW2 && i->qcow2.version < 3 &&
	    i->backing_file)
		return tool_error("%s: an overlay of version 2 cannot let go of "
				  "zeroes", c->path);
	return 0;
}

static int find_zeroes(struct compact *c, struct image *img)
{
	struct error err = ERROR_INIT;
	struct image_info info;
	int ret;

	ret = image_get_info(img, &info, &err);
	if (ret)
		ret = tool_error("%s", error_text(&err, ret));
	else
		ret = judge_zeroes(c, &info);
	if (!ret && info.cluster_size)
		ret = drop_zeroes(c, img, info.cluster_size);
	image_info_free(&info);
	return ret;
}

/* ---- output ---- */

static void set_file_bytes(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer((json_int_t)v));
}

static int print_compact_json(const struct compact *c, uint64_t allocated)
{
	json_t *o = json_object();

	json_object_set_new(o, "filename", tool_json_text(c->path));
	json_object_set_new(o, "format", tool_json_text(c->common.format));
	json_object_set_new(o, "dry-run", json_boolean(c->dry_run));
	set_file_bytes(o, "previous-file-size", c->result.before);
	set_file_bytes(o, "file-size", c->result.after);
	set_file_bytes(o, "moved", c->result.moved);
	set_file_bytes(o, "staying", c->result.staying);
	if (c->zeroes)
		set_file_bytes(o, "dropped-zeroes", c->dropped);
	if (!c->dry_run) {
		set_file_bytes(o, "previous-actual-size", c->allocated);
		set_file_bytes(o, "actual-size", allocated);
	}
	return tool_json_print(o);
}

static int print_compact(const struct compact *c, uint64_t allocated)
{
	char before[SIZE_TEXT_MAX], after[SIZE_TEXT_MAX];

	printf("file size: %s -> %s\n", size_format(c->result.before, before),
	       size_format(c->result.after, after));
	if (!c->dry_run)
		printf("disk size: %s -> %s\n",
		       size_format(c->allocated, before),
		       size_format(allocated, after));
	if (c->zeroes)
		printf("zeroes let go: %s\n", size_format(c->dropped, before));
	printf("%s: %s\n", c->dry_run ? "to be moved" : "moved",
	       size_format(c->result.moved, before));
	if (c->result.staying)
		printf("cannot be moved: %s\n",
		       size_format(c->result.staying, before));
	return EXIT_OK;
}

/* ---- the verb ---- */

static int compact_image(struct compact *c, struct image *img)
{
	struct error err = ERROR_INIT;
	int ret = 0;

	c->common.format = image_format(img);
	image_allocated_size(img, &c->allocated);
	progress_begin(c->common.progress, c->common.json);
	if (c->zeroes)
		ret = find_zeroes(c, img);
	if (!ret) {
		c->result.dry_run = c->dry_run;
		c->result.progress = &progress_of_engine;
		ret = image_compact(img, &c->result, &err);
		if (ret)
			tool_error("%s: %s", c->path, error_text(&err, ret));
	}
	if (!ret)
		progress_set(1, 1);
	progress_end(!ret);
	return ret ? EXIT_FAILED : EXIT_OK;
}

static int compact_option(struct compact *c, int id, const char *arg)
{
	switch (id) {
	case OPT_DRY_RUN:
		c->dry_run = true;
		return 0;
	case OPT_ZEROES:
		c->zeroes = true;
		return 0;
	default:
		return tool_common_option(&c->common, id, arg);
	}
}

/* Nothing of the backing images is needed. */
static int compact_file(struct loop *loop, struct compact *c)
{
	unsigned int flags = c->dry_run ? IMAGE_NO_BACKING :
			     IMAGE_RDWR | IMAGE_UNMAP |
			     (c->zeroes ? 0 : IMAGE_NO_BACKING);
	uint64_t allocated = 0;
	struct image *img;
	int ret, closed;

	img = tool_open(loop, c->path, &c->common, flags);
	if (!img)
		return EXIT_FAILED;
	ret = compact_image(c, img);
	image_allocated_size(img, &allocated);
	closed = tool_close(img);
	ret = ret ? ret : closed;
	if (ret || (c->common.quiet && !c->common.json))
		return ret;
	return c->common.json ? print_compact_json(c, allocated) :
				print_compact(c, allocated);
}

static int run_compact(struct loop *loop, int argc, char **argv)
{
	struct compact c = { 0 };
	int id;

	while ((id = tool_getopt(&verb_compact, argc, argv)) != -1)
		if (compact_option(&c, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_compact, "Expecting one image file "
				  "name");
	if (c.dry_run && c.zeroes)
		return tool_usage(&verb_compact, "--zeroes changes the image: "
				  "not with --dry-run");
	c.path = argv[optind];
	return compact_file(loop, &c);
}

const struct verb verb_compact = {
	.name = "compact",
	.summary = "give back what an image file does not need",
	.usage = "FILE",
	.more = "Works in place. Compressed clusters and lost clusters are not "
		"moved.",
	.options = options,
	.run = run_compact,
};
