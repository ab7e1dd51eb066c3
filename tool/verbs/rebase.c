/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk rebase: puts an overlay on another backing image.
 *
 * What the overlay does not hold itself shows the backing image, so wherever
 * the new one differs from the old one the old content has to go into the
 * overlay first. Both chains are walked side by side; holes, and what both take
 * from the same place of the same file, are not read. Only then the name in the
 * header changes, in one step: until that, the overlay reads as it always did.
 *
 * The overlay is switched to the new backing image while the old content is
 * written, whole clusters at a time: so nothing of the new one is copied into
 * it, and zeroes that hide the new one's data are recorded as such.
 *
 * -u changes the name and looks at nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/backing.h"
#include "image/format.h"
#include "image/info.h"
#include "image/jobs/pieces.h"
#include "image/jobs/walk.h"
#include "image/path.h"
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
	bool unsafe, compress;
	struct image *img;
	struct walk old, new;		/* the two chains */
	uint64_t grain, cluster_size;	/* bytes */
	uint64_t done;			/* bytes, for the progress */
	struct pieces pieces;
	const char *failed;		/* at what a piece failed, or NULL */
	uint64_t written;		/* bytes */
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

/* ---- what has to be written ---- */

enum content { SAME, ZEROES, DATA };

static enum content judge(const char *old, const char *new, uint64_t len)
{
	if (!memcmp(old, new, len))
		return SAME;
	return is_all_zero(old, len) ? ZEROES : DATA;
}

/* co. Whole clusters compressed; what is only part of one as it is. */
static int write_compressed(struct rebase *r, uint64_t off, uint64_t len,
			    const char *buf)
{
	uint64_t size = image_size(r->img), n;
	int ret = 0;

	for (; !ret && len; off += n, buf += n, len -= n) {
		n = min(len, r->cluster_size - (off & (r->cluster_size - 1)));
		if (is_aligned(off, r->cluster_size) &&
		    (n == r->cluster_size || off + n == size))
			ret = image_pwrite_compressed(r->img, off, n, buf);
		else
			ret = image_pwrite(r->img, off, n, buf);
	}
	return ret;
}

static int write_run(struct rebase *r, enum content content, uint64_t off,
		     uint64_t len, const char *buf)
{
	if (content == SAME)
		return 0;
	r->written += len;
	if (content == ZEROES)
		return image_pwrite_zeroes(r->img, off, len, IMAGE_ZERO_UNMAP);
	return r->compress ? write_compressed(r, off, len, buf) :
			     image_pwrite(r->img, off, len, buf);
}

/* co. Runs of clusters that have the same to be done with them. */
static int write_differences(struct rebase *r, uint64_t off, uint64_t len,
			     const char *old, const char *new)
{
	enum content run = SAME, content;
	uint64_t start = 0, n;
	int ret = 0;

	for (uint64_t o = 0; !ret && o < len; o += n) {
		n = min(len - o, r->grain);
		content = judge(old + o, new + o, n);
		if (content == run)
			continue;
		ret = write_run(r, run, off + start, o - start, old + start);
		start = o;
		run = content;
	}
	return ret ? ret : write_run(r, run, off + start, len - start,
				     old + start);
}

struct piece {
	struct rebase *r;
	uint64_t off, len;		/* bytes */
};

static int run_piece(void *arg)
{
	struct piece p = *(struct piece *)arg;
	struct rebase *r = p.r;
	char *old = pieces_take(&r->pieces), *new = pieces_take(&r->pieces);
	const char *failed = "error while reading from old backing file";
	int ret;

	ret = walk_read(&r->old, p.off, p.len, old);
	if (!ret) {
		failed = "error while reading from new backing file";
		ret = walk_read(&r->new, p.off, p.len, new);
	}
	if (!ret) {
		failed = "Error while writing to COW image";
		ret = write_differences(r, p.off, p.len, old, new);
	}
	pieces_put(&r->pieces, old);
	pieces_put(&r->pieces, new);
	if (ret && !r->failed)
		r->failed = failed;
	r->done += p.len;
	progress_set(r->done, image_size(r->img));
	return ret;
}

/* ---- the walk ---- */

/* co. Are the two chains known to be the same at `off`, and for how long are
 * they, or are they not? */
static int look(struct rebase *r, uint64_t off, uint64_t end, bool *same,
		uint64_t *len)
{
	int ret = walk_to(&r->old, off, end);

	if (!ret)
		ret = walk_to(&r->new, off, end);
	if (ret) {
		r->failed = "error while reading image metadata";
		return ret;
	}
	*same = (walk_is_zero(&r->old) && walk_is_zero(&r->new)) ||
		walk_same_place(&r->old, &r->new, off);
	*len = min(end - off, min(walk_left(&r->old, off),
				  walk_left(&r->new, off)));
	return 0;
}

/* co. The end of what is all the same, or all perhaps not, from `off` on; whole
 * clusters of which any part may differ count as different. */
static int find_run(struct rebase *r, uint64_t off, uint64_t end, bool *same,
		    uint64_t *run)
{
	uint64_t at = off, len;
	bool first;
	int ret;

	ret = look(r, off, end, &first, &len);
	for (*same = first; !ret && *same == first && at < end;) {
		at += len;
		if (at < end)
			ret = look(r, at, end, same, &len);
	}
	*same = first;
	if (first && at < end && align_down(at, r->grain) <= off) {
		*same = false;
		at = align_down(off, r->grain) + r->grain;
	} else if (at < end) {
		at = first ? align_down(at, r->grain) : align_up(at, r->grain);
	}
	*run = min(at, end);
	return ret;
}

/* co. [off, end) of what is not in the overlay. */
static int rebase_range(struct rebase *r, uint64_t off, uint64_t end)
{
	uint64_t size = max(PIECE_SIZE, r->cluster_size), run;
	struct piece p = { .r = r };
	bool same;
	int ret;

	while (off < end) {
		ret = find_run(r, off, end, &same, &run);
		if (ret)
			return ret;
		if (same) {
			r->done += run - off;
			progress_set(r->done, image_size(r->img));
			off = run;
			continue;
		}
		for (; off < run; off += p.len) {
			p.off = off;
			p.len = min(run - off, size - (off & (size - 1)));
			if (!co_group_start(&r->pieces.group, run_piece, &p))
				return 0;	/* waiting tells why */
		}
	}
	return 0;
}

static int rebase_all(struct rebase *r)
{
	uint64_t off, size = image_size(r->img);
	struct image_extent e;
	int ret;

	for (off = 0; off < size; off += e.length) {
		ret = image_block_status(r->img, off, size - off, &e);
		if (ret) {
			r->failed = "error while reading image metadata";
			return ret;
		}
		if (e.flags & IMAGE_EXTENT_ALLOCATED) {
			r->done += e.length;
			continue;
		}
		ret = rebase_range(r, off, off + e.length);
		if (ret || r->pieces.group.ret)
			return ret;
	}
	return 0;
}

static int copy_differences(struct rebase *r)
{
	int ret, wait;

	if (pieces_init(&r->pieces, 2, max(PIECE_SIZE, r->cluster_size)))
		return tool_error("out of memory");
	progress_begin(r->common.progress && !r->common.quiet,
		       r->common.json);
	ret = rebase_all(r);
	wait = co_group_wait(&r->pieces.group);
	ret = wait ? wait : ret;
	if (!ret) {
		r->failed = "Error while writing to COW image";
		ret = image_flush(r->img);
	}
	progress_end(!ret);
	pieces_deinit(&r->pieces);
	if (ret)
		return tool_error("%s: %s", r->failed, strerror(-ret));
	return EXIT_OK;
}

/* ---- the verb ---- */

static int settle_format(struct rebase *r, const struct image_info *info)
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
	ret = image_backing_path(image_path(r->img), r->backing, &full, &err);
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
	int ret = image_switch_backing(r->img, r->backing, r->format, r->node,
				       r->source_cache, &r->old.img, &err);

	if (ret)
		return tool_error("Could not open new backing file '%s': %s",
				  r->backing, error_text(&err, ret));
	r->new.img = image_backing(r->img);
	return EXIT_OK;
}

static int change_name(struct rebase *r)
{
	struct error err = ERROR_INIT;
	int ret = image_change_backing(r->img, r->backing, r->format, &err);

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
	int ret = image_get_info(r->img, &info, &err);

	if (ret)
		return tool_error("%s: %s", r->path, error_text(&err, ret));
	r->cluster_size = max(info.cluster_size, SECTOR_SIZE);
	r->grain = r->cluster_size;
	if (info.kind == IMAGE_INFO_QCOW2 && info.qcow2.extended_l2)
		r->grain /= 32;
	ret = settle_format(r, &info);
	image_info_free(&info);
	if (ret || r->unsafe)
		return ret ? ret : change_name(r);
	ret = switch_backing(r);
	if (ret)
		return ret;
	ret = copy_differences(r);
	if (!ret)
		ret = change_name(r);
	if (r->old.img && tool_close(r->old.img))
		ret = EXIT_FAILED;
	return ret;
}

static int print_json(const struct rebase *r)
{
	json_t *json = json_pack("{s:b, s:I}", "rebased", true,
				 "bytes-written", (json_int_t)r->written);

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
	r->img = tool_open(loop, r->path, &r->common,
			   IMAGE_RDWR | IMAGE_READ_BESIDE |
			   (r->unsafe ? IMAGE_NO_BACKING : 0));
	if (!r->img)
		return EXIT_FAILED;
	ret = rebase_image(r);
	if (tool_close(r->img))
		ret = EXIT_FAILED;
	return ret || !r->common.json ? ret : print_json(r);
}

static int parse_option(struct rebase *r, int id, const char *arg)
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
		r->compress = true;
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
		if (parse_option(&r, id, optarg))
			return EXIT_FAILED;
	if (argc - optind != 1)
		return tool_usage(&verb_rebase, "Expecting one image file name");
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
