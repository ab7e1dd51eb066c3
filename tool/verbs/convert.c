/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xdisk convert: images into a new one, of any format, compressed or not.
 *
 * Here: the options, opening the sources, making and opening the target. The
 * copying is copy.c's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/clock.h"
#include "common/file-id.h"
#include "common/size.h"
#include "image/bitmaps.h"
#include "image/graph/files.h"
#include "image/graph/format.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/graph/overwrite.h"
#include "image/info.h"
#include "image/jobs/copy.h"
#include "image/node.h"
#include "io/loop.h"
#include "tool/backing.h"
#include "tool/create-opts.h"
#include "tool/image-opts.h"
#include "tool/json.h"
#include "tool/message.h"
#include "tool/open.h"
#include "tool/opener.h"
#include "tool/option.h"
#include "tool/progress.h"
#include "tool/verbs/verbs.h"

#define DEFAULT_PARTS 8
#define DEFAULT_SPARSE 4096

struct convert {
	struct tool_common from, to;
	struct loop *loop;
	const char *const *paths;	/* of the sources */
	unsigned int nr_paths;
	const char *target;
	bool compressed, no_create, target_is_zero, salvage, copy_range;
	bool has_sparse, bitmaps, skip_broken_bitmaps;
	uint64_t parts, rate, min_sparse;
	int level;

	struct create_opts opts;	/* of the target */

	bool in_stream, out_stream;
	uint64_t begin_ns;
	struct copy_job copy;
	struct image_node node;		/* of a target that was made */
};

static const struct tool_option options[] = {
	TOOL_FORMAT,
	TOOL_IMAGE_OPTS,
	{ 'O', "output-format", "FMT", "format of the target [raw]" },
	{ 'o', "options", "NAME=VALUE,...", "of the target; -o help lists them" },
	{ 'B', "backing", "FILE", "the target's backing image" },
	{ 'F', "backing-format", "FMT", "format of the backing image" },
	{ 'c', "compress", NULL, "write compressed clusters" },
	{ OPT_COMPRESSION_LEVEL, "compression-level", "N",
	  "zlib 1 to 9 [6], zstd 1 to 22 [3]" },
	{ 'n', "no-create", NULL, "the target is there already" },
	{ OPT_TARGET_IS_ZERO, "target-is-zero", NULL,
	  "and reads as zeroes (with -n)" },
	{ OPT_TARGET_IMAGE_OPTS, "target-image-opts", NULL,
	  "the target is options (with -n)" },
	{ 'l', "snapshot", "SNAPSHOT", "of the source: a name or id, or "
	  "snapshot.id=ID,snapshot.name=NAME" },
	{ 'S', "sparse", "SIZE", "zeroes left out if that many [4k]; 0: none" },
	{ 'm', "parallel", "N", "requests side by side, 1 to 16 [8]" },
	{ 'W', "out-of-order", NULL, "write out of order (it does anyway)" },
	{ 'C', "copy-range", NULL, "let the host copy, not looking for zeroes" },
	{ 'r', "rate", "RATE", "bytes to write a second at most" },
	{ OPT_SALVAGE, "salvage", NULL, "zeroes for what cannot be read" },
	{ 't', "cache", "MODE",
	  "of the target: " IMAGE_CACHE_MODES(", ") " [unsafe]" },
	{ 'T', "source-cache", "MODE", "of the sources [writeback]" },
	{ OPT_BITMAPS, "bitmaps", NULL, "copy dirty bitmaps, too" },
	{ OPT_SKIP_BROKEN_BITMAPS, "skip-broken-bitmaps", NULL,
	  "but those that are inconsistent" },
	TOOL_AIO,
	TOOL_OUTPUT,
	TOOL_PROGRESS,
	TOOL_QUIET,
	TOOL_SHARE,
	TOOL_END,
};

/* ---- the target's options ---- */

static const char *target_option(const struct convert *c, const char *name)
{
	return create_opts_value(&c->opts, name);
}

static const char *target_format(const struct convert *c)
{
	return c->to.format ? c->to.format : "raw";
}

/* ---- are the options good together? ---- */

/* With -n the backing image only says what the target has below it already. */
static bool has_create_options(const struct convert *c)
{
	unsigned int n = c->opts.nr;

	n -= target_option(c, "backing_file") != NULL;
	n -= target_option(c, "backing_fmt") != NULL;
	return n;
}

static int validate_combinations(const struct convert *c)
{
	const struct {
		bool wrong;
		const char *reason;
	} rules[] = {
		{ c->no_create && has_create_options(c),
		  "-o has no effect when skipping image creation" },
		{ c->target_is_zero && !c->no_create,
		  "--target-is-zero requires use of -n flag" },
		{ c->to.image_opts && !c->no_create,
		  "--target-image-opts requires use of -n flag" },
		{ c->copy_range && c->compressed,
		  "Cannot enable copy offloading when -c is used" },
		{ c->copy_range && c->has_sparse,
		  "Cannot enable copy offloading when -S is used" },
		{ c->copy_range && c->salvage,
		  "Cannot use copy offloading in salvaging mode" },
		{ c->from.snapshot && c->nr_paths > 1,
		  "No support for concatenating multiple snapshot" },
		{ c->skip_broken_bitmaps && !c->bitmaps,
		  "Use of --skip-broken-bitmaps requires --bitmaps" },
		{ c->bitmaps && c->nr_paths > 1,
		  "Copying bitmaps only possible with single source" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].wrong)
			return tool_error("%s", rules[i].reason);
	return EXIT_OK;
}

/* What the target's format has to be able to do. */
static int validate_format(const struct convert *c)
{
	const char *format = target_format(c);

	if (c->bitmaps && !image_can_have_bitmaps(format))
		return tool_error("Format driver '%s' does not support bitmaps",
				  format);
	if (!image_create_options(format))
		return tool_error(image_format_known(format) ?
				  "Format driver '%s' does not support image "
				  "creation" : "Unknown file format '%s'",
				  format);
	if (c->compressed && !image_can_compress(format))
		return tool_error("Compression not supported for this file "
				  "format");
	if (c->out_stream && strcmp(format, "raw"))
		return tool_error("Only raw images can be written to a stream, "
				  "not '%s'", format);
	return EXIT_OK;
}

/* What a new target is made with. */
static int validate_create_options(const struct convert *c)
{
	const char *backing = target_option(c, "backing_file");
	const char *prealloc = target_option(c, "preallocation");

	if (c->compressed && (target_option(c, "encryption") ||
			      target_option(c, "encrypt.format")))
		return tool_error("Compression and encryption not supported at "
				  "the same time");
	if (c->compressed && prealloc && strcmp(prealloc, "off"))
		return tool_error("Compression and preallocation not supported "
				  "at the same time");
	if (backing && c->nr_paths > 1)
		return tool_error("Having a backing file for the target makes "
				  "no sense when concatenating multiple input "
				  "images");
	if (backing && !strcmp(target_format(c), "raw"))
		return tool_error("Backing file not supported for file format "
				  "'%s'", target_format(c));
	if (backing && !target_option(c, "backing_fmt"))
		return tool_error("Use of backing file requires explicit "
				  "backing format");
	return EXIT_OK;
}

static int validate_options(const struct convert *c)
{
	int ret = validate_combinations(c);

	if (!ret)
		ret = validate_format(c);
	return ret || c->no_create ? ret : validate_create_options(c);
}

/* "-" is a stream; as a source a regular file is nothing special. */
static int take_streams(struct convert *c, char **argv)
{
	struct stat st;

	for (unsigned int i = 0; i < c->nr_paths; i++) {
		if (strcmp(argv[i], "-"))
			continue;
		if (fstat(STDIN_FILENO, &st))
			return tool_error("stdin: %s", strerror(errno));
		if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
			argv[i] = "/dev/stdin";
		else
			c->in_stream = true;
	}
	c->out_stream = !strcmp(c->target, "-");
	if (c->in_stream && (c->nr_paths > 1 || c->out_stream || c->no_create ||
			     c->from.snapshot ||
			     target_option(c, "backing_file")))
		return tool_error("What comes from a stream becomes a new image "
				  "by itself: no other source, no -B, -n or -l");
	if (c->in_stream && c->from.format && strcmp(c->from.format, "raw"))
		return tool_error("Only raw images can be read from a stream, "
				  "not '%s'", c->from.format);
	if (c->out_stream && (c->compressed || c->opts.nr || c->no_create ||
			      c->from.json))
		return tool_error("A stream takes no -B, -c, -n or -o, nor "
				  "--output=json");
	if (c->out_stream && isatty(STDOUT_FILENO))
		return tool_error("An image is not written to a terminal");
	return 0;
}

/* ---- sources ---- */

static int open_source(struct convert *c, unsigned int i)
{
	struct copy_job *copy = &c->copy;
	/* Compressing has the other processors at work already. */
	unsigned int flags = c->compressed ? 0 : IMAGE_READ_BESIDE;
	struct image *img;

	img = tool_open(c->loop, c->paths[i], &c->from, flags);
	if (!img)
		return EXIT_FAILED;
	copy->sources[i] = (struct copy_source){ img, copy->total };
	copy->nr_sources++;
	if (image_size(img) > (uint64_t)INT64_MAX - copy->total)
		return tool_error("The sources together are too large");
	copy->total += image_size(img);
	return 0;
}

static int open_sources(struct convert *c)
{
	int ret = 0;

	c->copy.sources = calloc(c->nr_paths, sizeof(*c->copy.sources));
	if (!c->copy.sources)
		return tool_error("out of memory");
	for (unsigned int i = 0; i < c->nr_paths && !ret; i++)
		ret = open_source(c, i);
	return ret;
}

static int validate_bitmap(const struct convert *c,
			   const struct image_info_bitmap *b)
{
	if (!b->in_use)
		return 0;
	if (!c->skip_broken_bitmaps)
		return tool_error("Cannot copy inconsistent bitmap '%s'\nTry "
				  "--skip-broken-bitmaps, or use 'xdisk bitmap "
				  "--remove' to delete it", b->name);
	fprintf(stderr, "xdisk: warning: Skipping inconsistent bitmap '%s'\n",
		b->name);
	return 0;
}

/* Before anything is made. */
static int validate_bitmaps(const struct convert *c)
{
	struct image *img = c->in_stream ? NULL : c->copy.sources[0].img;
	struct error err = ERROR_INIT;
	struct image_info info;
	int ret;

	if (!c->bitmaps)
		return 0;
	if (!img || !image_can_have_bitmaps(image_format(img)))
		return tool_error("Source lacks bitmap support");
	ret = image_get_info(img, &info, &err);
	if (ret)
		ret = tool_error("%s", error_text(&err, ret));
	for (unsigned int i = 0; !ret && i < info.nr_bitmaps; i++)
		ret = validate_bitmap(c, &info.bitmaps[i]);
	image_info_free(&info);
	return ret;
}

static int close_sources(struct convert *c)
{
	int ret = EXIT_OK;

	for (unsigned int i = 0; i < c->copy.nr_sources; i++)
		ret |= tool_close(c->copy.sources[i].img);
	free(c->copy.sources);
	return ret;
}

/* ---- is the target one of them? ---- */

/* What is about to be made at `path`, or written to if it is there. */
static int validate_created(const struct convert *c, const char *path)
{
	struct error err = ERROR_INIT;
	int ret = 0;

	for (unsigned int i = 0; i < c->copy.nr_sources && !ret; i++)
		ret = image_judge_create(c->copy.sources[i].img, path,
					 c->opts.v, c->opts.nr, &err);
	return ret ? tool_error("%s", error_text(&err, ret)) : 0;
}

/* What was there is open now, with its data file. */
static int validate_written(const struct convert *c)
{
	const struct image *img, *found;

	for (unsigned int i = 0; i < c->copy.nr_sources; i++) {
		img = c->copy.sources[i].img;
		found = image_find_written(img, c->copy.target);
		if (found)
			return tool_error("'%s' cannot be written to: the file "
					  "'%s' belongs to the source '%s', too",
					  c->target, image_path(found),
					  image_path(img));
	}
	return 0;
}

/* Where stdout leads to. */
static int prepare_stream(struct convert *c)
{
	struct file_id id;
	struct stat st;

	if (fstat(STDOUT_FILENO, &st))
		return tool_error("stdout: %s", strerror(errno));
	file_id_set(&id, &st);
	for (unsigned int i = 0; i < c->copy.nr_sources; i++)
		if (image_find_file(c->copy.sources[i].img, &id))
			return tool_error("stdout is a file of the source '%s', "
					  "which would be overwritten: send it "
					  "elsewhere", image_path(
						c->copy.sources[i].img));
	c->copy.stream = STDOUT_FILENO;
	return 0;
}

/* ---- the target ---- */

static int create_target(struct convert *c)
{
	const char *format = target_format(c);
	const char *backing = target_option(c, "backing_file");
	struct error err = ERROR_INIT;
	int ret = validate_created(c, c->target);

	if (!ret && backing && image_opts_is_name(backing))
		ret = tool_judge_described(c->loop, backing,
					   target_option(c, "backing_fmt"),
					   c->target, c->opts.v, c->opts.nr);
	if (ret)
		return ret;
	ret = image_create(c->loop, c->target, format, c->copy.total,
			   c->opts.v, c->opts.nr, &err);
	return ret ? tool_error("%s: error while converting %s: %s", c->target,
				format, error_text(&err, ret)) : 0;
}

/* As tool_open(), but for what only a target has. */
static int open_convert_target(struct convert *c)
{
	struct image_options opts = {
		.flags = IMAGE_RDWR | (c->min_sparse ? IMAGE_UNMAP : 0) |
			 (c->no_create ? 0 : IMAGE_WRITE_ONCE),
		.cache = c->to.cache,
		.aio = c->from.aio,
		.compression_level = c->level,
		.opener = tool_opener(),
	};
	const char *backing = target_option(c, "backing_file");
	const char *backing_format = target_option(c, "backing_fmt");
	const char *path = c->target, *format = NULL;
	struct error err = ERROR_INIT;
	int ret = 0;

	/* What it was made with opens it. */
	c->node.key_secret = target_option(c, "encrypt.key-secret") ?:
			     target_option(c, "key-secret");
	if (!c->no_create)
		opts.node = &c->node;
	if (backing && image_opts_is_name(backing)) {
		c->node.backing = tool_describe(c->loop, backing,
						&backing_format,
						c->from.quiet);
		if (!c->node.backing)
			return EXIT_FAILED;
		opts.flags |= IMAGE_TESTING;
		opts.node = &c->node;
	}
	if (tool_is_described(&c->to, path))
		ret = image_opts_parse(c->loop, c->to.image_opts ? path : NULL,
				       c->to.image_opts ? NULL : path, &opts,
				       &path, &format, &err);
	if (!ret && c->no_create && validate_created(c, path))
		return EXIT_FAILED;
	if (!ret)
		ret = image_open(c->loop, path,
				 format ? format : target_format(c), &opts,
				 &c->copy.target, &err);
	return ret ? tool_error("Could not open '%s': %s", c->target,
				error_text(&err, ret)) : 0;
}

static int settle_compression(struct convert *c)
{
	struct image *target = c->copy.target;
	struct error err = ERROR_INIT;
	struct image_info info;
	int ret;

	ret = image_get_info(target, &info, &err);
	if (ret)
		return tool_error("%s", error_text(&err, ret));
	/* A streamOptimized vmdk has nothing else. */
	if (info.kind == IMAGE_INFO_VMDK && info.vmdk.nr_extents &&
	    info.vmdk.extents[0].compressed)
		c->compressed = true;
	if (c->compressed)
		c->copy.cluster = info.cluster_size;
	if (c->level > 9 && info.kind == IMAGE_INFO_QCOW2 &&
	    !strcmp(info.qcow2.compression_type, "zlib"))
		ret = tool_error("Invalid compression level %d: zlib has 1 to "
				 "9", c->level);
	image_info_free(&info);
	return ret;
}

/* Files do, but for encrypted ones; what a device held before may show in raw
 * images and preallocated clusters. */
static bool new_is_zero(const struct convert *c)
{
	const char *prealloc = target_option(c, "preallocation");
	struct stat st;

	if (!strcmp(target_format(c), "luks"))
		return false;
	if (stat(c->target, &st) || S_ISREG(st.st_mode))
		return true;
	return strcmp(target_format(c), "raw") &&
	       (!prealloc || !strcmp(prealloc, "off"));
}

/* co. What does not read as zeroes already. */
static int make_zero(struct image *img)
{
	uint64_t off, size = image_size(img);
	struct image_extent e;
	int ret = 0;

	for (off = 0; !ret && off < size; off += e.length) {
		ret = image_block_status_chain(img, off, size - off, &e);
		if (!ret && !(e.flags & IMAGE_EXTENT_ZERO))
			ret = image_pwrite_zeroes(img, off, e.length,
						  IMAGE_ZERO_UNMAP |
						  IMAGE_ZERO_FAST);
	}
	return ret;
}

/* Is there a way to know that what is not written reads as zeroes? */
static int settle_zeroes(struct convert *c)
{
	struct image *target = c->copy.target;
	struct copy_job *copy = &c->copy;
	int ret;

	copy->shares_backing = target_option(c, "backing_file") &&
			       image_backing(target);
	copy->target_is_zero = c->target_is_zero;
	if (!c->no_create && !image_backing(target))
		copy->target_is_zero = new_is_zero(c);
	if (copy->target_is_zero || copy->shares_backing || !c->min_sparse)
		return 0;
	ret = make_zero(target);
	if (ret && ret != -EOPNOTSUPP)
		return tool_error("error while zeroing '%s': %s", c->target,
				  strerror(-ret));
	copy->target_is_zero = !ret;
	return 0;
}

static int prepare_target(struct convert *c)
{
	int ret;

	if (c->out_stream)
		return prepare_stream(c);
	ret = c->no_create ? 0 : create_target(c);
	if (!ret)
		ret = open_convert_target(c);
	if (!ret)
		ret = validate_written(c);
	if (!ret && image_size(c->copy.target) < c->copy.total)
		ret = tool_error("output file is smaller than input file");
	if (!ret)
		ret = settle_compression(c);
	return ret ? ret : settle_zeroes(c);
}

static int copy_bitmaps(const struct convert *c)
{
	struct error err = ERROR_INIT;
	int ret = 0;

	if (c->bitmaps)
		ret = image_copy_bitmaps(c->copy.sources[0].img, c->copy.target,
					 c->skip_broken_bitmaps, &err);
	return ret ? tool_error("%s: %s", c->target, error_text(&err, ret)) : 0;
}

static int finish_target(struct convert *c)
{
	int ret;

	if (!c->copy.target)
		return EXIT_OK;
	ret = image_flush(c->copy.target);
	if (ret)
		tool_error("error while flushing '%s': %s", c->target,
			   strerror(-ret));
	return tool_close(c->copy.target) || ret ? EXIT_FAILED : EXIT_OK;
}

/* ---- the verb ---- */

static int report_convert(const struct convert *c)
{
	const struct copy_job *copy = &c->copy;
	double ns = (double)(monotonic_ns() - c->begin_ns);
	struct stat st;
	json_t *json;

	if (!c->from.json)
		return EXIT_OK;
	if (stat(c->target, &st))
		st.st_blocks = 0;
	json = json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}",
			 "filename", tool_json_text(c->target),
			 "format", target_format(c),
			 "virtual-size", (json_int_t)copy->total,
			 "actual-size", (json_int_t)st.st_blocks * 512,
			 "bytes-read", (json_int_t)copy->read,
			 "bytes-written", (json_int_t)copy->written,
			 "bytes-zero", (json_int_t)copy->zeroed,
			 "bytes-unreadable", (json_int_t)copy->unreadable,
			 "seconds", ns / 1e9);
	return tool_json_print(json);
}

static void warn_unreadable(void *arg, uint64_t off, int errnum)
{
	fprintf(stderr, "xdisk: warning: error while reading at byte %" PRIu64
		": %s\n", off, strerror(errnum));
}

static int copy_all(struct convert *c)
{
	struct copy_job *copy = &c->copy;
	struct error err = ERROR_INIT;
	int ret;

	copy->loop = c->loop;
	copy->parts = (unsigned int)c->parts;
	copy->min_sparse = c->min_sparse;
	copy->no_scan = c->copy_range;
	copy->in_host = c->copy_range && copy->target;
	copy->rate = c->rate;
	copy->salvage = c->salvage;
	copy->unreadable_sector = c->from.quiet ? NULL : warn_unreadable;
	copy->progress = &progress_of_engine;
	progress_begin(c->from.progress && !c->from.quiet,
		       c->from.json || c->out_stream);
	ret = c->in_stream ? copy_job_from_stream(copy, STDIN_FILENO, &err) :
			     copy_job_run(copy, &err);
	progress_end(!ret);
	return ret ? tool_error("%s", error_text(&err, ret)) : EXIT_OK;
}

static int convert(struct convert *c)
{
	int ret = c->in_stream ? 0 : open_sources(c);

	c->begin_ns = monotonic_ns();
	if (!ret)
		ret = validate_bitmaps(c);
	if (!ret)
		ret = prepare_target(c);
	if (!ret)
		ret = copy_all(c);
	if (!ret)
		ret = copy_bitmaps(c);
	if (finish_target(c))
		ret = EXIT_FAILED;
	if (close_sources(c))
		ret = EXIT_FAILED;
	return ret ? EXIT_FAILED : report_convert(c);
}

/* ---- the command line ---- */

static int parse_sparse(struct convert *c, const char *arg)
{
	c->has_sparse = true;
	if (tool_parse_size("buffer size for sparse output", arg, 0, INT64_MAX,
			    &c->min_sparse))
		return EXIT_FAILED;
	if (is_aligned(c->min_sparse, SECTOR_SIZE) &&
	    c->min_sparse <= COPY_SPARSE_MAX)
		return 0;
	return tool_error("Invalid buffer size for sparse output specified. "
			  "Valid sizes are multiples of %d up to %" PRIu64
			  ". Select 0 to disable sparse detection (fully "
			  "allocates output).", SECTOR_SIZE, COPY_SPARSE_MAX);
}

static int parse_level(struct convert *c, const char *arg)
{
	uint64_t level;

	if (number_parse(arg, 22, &level) || !level)
		return tool_error("Invalid compression level '%s': zlib has 1 "
				  "to 9, zstd 1 to 22", arg);
	c->level = (int)level;
	return 0;
}

static int flag_option(struct convert *c, int id)
{
	switch (id) {
	case 'c': c->compressed = true; return 0;
	case 'n': c->no_create = true; return 0;
	case 'C': c->copy_range = true; return 0;
	case 'W': return 0;
	case OPT_TARGET_IS_ZERO: c->target_is_zero = true; return 0;
	case OPT_TARGET_IMAGE_OPTS: c->to.image_opts = true; return 0;
	case OPT_SALVAGE: c->salvage = true; return 0;
	case OPT_BITMAPS: c->bitmaps = true; return 0;
	case OPT_SKIP_BROKEN_BITMAPS: c->skip_broken_bitmaps = true; return 0;
	default: return EXIT_FAILED;
	}
}

static int convert_option(struct convert *c, int id, const char *arg)
{
	switch (id) {
	case 'O':
		c->to.format = arg;
		return 0;
	case 'o':
		return create_opts_parse(&c->opts, arg);
	case 'B':
		return create_opts_add(&c->opts, "backing_file", arg);
	case 'F':
		return create_opts_add(&c->opts, "backing_fmt", arg);
	case 'l':
		c->from.snapshot = arg;
		return 0;
	case 'm':
		return tool_parse_number("number of coroutines", arg, 1,
					 COPY_PARTS_MAX, &c->parts);
	case 'S':
		return parse_sparse(c, arg);
	case 'r':
		return tool_parse_size("rate limit", arg, 0, INT64_MAX,
				       &c->rate);
	case OPT_COMPRESSION_LEVEL:
		return parse_level(c, arg);
	case 't':
		return tool_common_option(&c->to, id, arg);
	case 'T':
		return tool_source_cache(&c->from.cache, arg);
	default:
		if (!flag_option(c, id))
			return 0;
		return tool_common_option(&c->from, id, arg);
	}
}

static int settle_paths(struct convert *c, int argc, char **argv)
{
	int ret;

	if (c->opts.help)
		return create_opts_list(target_format(c));
	if (argc < 2) {
		tool_usage(&verb_convert, "Must specify image file name");
		return EXIT_FAILED;
	}
	c->nr_paths = (unsigned int)argc - 1;
	c->target = argv[argc - 1];
	c->paths = (const char *const *)argv;
	/* The target is as large as the sources. */
	create_opts_remove(&c->opts, "size");
	ret = take_streams(c, argv);
	if (!ret)
		ret = validate_options(c);
	return ret ? EXIT_FAILED : convert(c);
}

static int run_convert(struct loop *loop, int argc, char **argv)
{
	struct convert c = {
		.loop = loop,
		.from.cache = IMAGE_CACHE_WRITEBACK,
		.to.cache = IMAGE_CACHE_UNSAFE,
		.parts = DEFAULT_PARTS,
		.min_sparse = DEFAULT_SPARSE,
	};
	int id, ret = 0;

	while (!ret && (id = tool_getopt(&verb_convert, argc, argv)) != -1)
		ret = convert_option(&c, id, optarg);
	if (!ret)
		ret = settle_paths(&c, argc - optind, argv + optind);
	create_opts_free(&c.opts);
	return ret;
}

const struct verb verb_convert = {
	.name = "convert",
	.summary = "copy an image into another format, or compress it",
	.usage = "SOURCE... TARGET",
	.more = "Several sources are put one behind the other. '-' is a "
		"stream, of which only raw\nimages can be read or made. What "
		"reads as zeroes takes no space in the target.",
	.options = options,
	.run = run_convert,
};
