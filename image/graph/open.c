/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.c: opens and closes block graphs.
 *
 *	overlay (qcow2) --backing--> base (raw)
 *	     | file                    | file
 *	"over.qcow2" (file)       "base.img" (file)
 *
 * Chains are judged here, for their length and for circles.
 */
#include "image/graph/open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/file-id.h"
#include "image/graph/chain.h"
#include "image/driver.h"
#include "image/graph/files.h"
#include "image/graph/format.h"
#include "image/graph/path.h"
#include "image/graph/protocol.h"
#include "io/loop.h"
#include "io/memory.h"
#include "opener/local.h"

/* What the tables of all of them may take of memory at opening, whatever the
 * loop's account: more than the largest that one image may have (200 MiB),
 * which no disk there is needs. */
#define MAX_TAKEN (256 * MiB)

/* ---- opening and closing ---- */

static struct image *node_new(struct loop *loop, const char *path,
			      const struct image_driver *driver,
			      const struct image_options *opts)
{
	struct image *img = calloc(1, sizeof(*img));

	if (!img)
		return NULL;
	img->loop = loop;
	img->driver = driver;
	img->flags = opts->flags;
	if (img->flags & IMAGE_NO_IO)	/* IMAGE_RDWR is for the locks below */
		img->flags &= ~(unsigned int)IMAGE_RDWR;
	img->cache = opts->cache;
	img->request_align = 1;
	img->mem_align = 1;
	list_init(&img->writes);
	co_mutex_init(&img->growing);
	img->path = strdup(path);
	img->state = calloc(1, driver->state_size ? driver->state_size : 1);
	if (!img->path || !img->state) {
		free(img->path);
		free(img->state);
		free(img);
		return NULL;
	}
	return img;
}

static void node_free(struct image *img)
{
	memory_give(loop_memory(img->loop), MEMORY_TABLES, img->held);
	free(img->named.path);
	free(img->named.format);
	free(img->path);
	free(img->state);
	free(img);
}

static int refuse_tables(const struct image *img, uint64_t sum, uint64_t most,
			 struct error *err)
{
	return error_set(err, EFBIG, "the tables of '%s'%s would take %" PRIu64
			 " bytes of memory, at most %" PRIu64, img->path,
			 img->overlay ? " and of the images that stand on it" :
					"", sum, most);
}

int image_take_later(struct image *img, uint64_t bytes, struct error *err)
{
	struct memory *memory = loop_memory(img->loop);
	uint64_t sum = memory->held[MEMORY_TABLES];

	if (!memory_try(memory, MEMORY_TABLES, bytes))
		return refuse_tables(img, sum + bytes,
				     memory_limit(memory, MEMORY_TABLES), err);
	img->held += bytes;
	return 0;
}

int image_take(struct image *img, uint64_t bytes, struct error *err)
{
	uint64_t sum = 0;

	img->taken += bytes;
	for (const struct image *i = img; i; i = i->overlay)
		sum += i->taken;
	return sum > MAX_TAKEN ? refuse_tables(img, sum, MAX_TAKEN, err) :
				 image_take_later(img, bytes, err);
}

/* ---- protocols ---- */

/* The one place where protocols for tests are let in or not. `opened`: of a file
 * of this host. */
static int open_protocol(struct loop *loop, const char *path,
			 const struct image_driver *driver,
			 const struct image_options *opts,
			 struct opened *opened, struct image **out,
			 struct error *err)
{
	struct image *img;
	int ret;

	if (driver->testing && !(opts->flags & IMAGE_TESTING))
		return error_set(err, EACCES, "%s: the protocol %s is for tests "
				 "and not opened here", path, driver->name);
	img = node_new(loop, path, driver, opts);
	if (!img)
		return error_set_errno(err, ENOMEM, "%s", path);
	if ((opts->flags & IMAGE_RDWR) && !driver->pwritev)
		ret = error_set(err, EROFS, "%s: the protocol %s can only be "
				"read", path, driver->name);
	else {
		img->opened = opened;
		ret = driver->open(img, opts, err);
		img->opened = NULL;
	}
	if (ret) {
		node_free(img);
		return ret;
	}
	*out = img;
	return 0;
}

static bool opens_to_write(const struct image_options *opts)
{
	return (opts->flags & IMAGE_RDWR) && !(opts->flags & IMAGE_NO_IO);
}

/* A file that a person names is opened first. */
static int open_by_name(struct loop *loop, const char *path,
			const struct image_driver *driver,
			const struct image_options *opts, struct image **out,
			struct error *err)
{
	const struct opener_ask ask = {
		.purpose = OPENER_IMAGE,
		.write = opens_to_write(opts),
		.name = path,
	};
	struct opened opened = OPENED_INIT;
	int ret = 0;

	if (driver->host_file)
		ret = opener_open(opts->opener, &ask, &opened, err);
	if (!ret)
		ret = open_protocol(loop, path, driver, opts, &opened, out,
				    err);
	opened_clear(&opened);
	return ret ? error_reason(err, ret) : 0;
}

int image_open_file(struct loop *loop, const char *path, bool plain,
		    const struct image_options *opts, struct image **out,
		    struct error *err)
{
	const struct image_driver *driver;
	struct image_options own = *opts;

	own.node = NULL;		/* it tells of what stands on the file */
	driver = plain ? protocol_named("file", err) : protocol_of(&path, err);
	return driver ? open_by_name(loop, path, driver, &own, out, err) :
			-ENOTSUP;
}

int image_open_opened(struct loop *loop, struct opened *opened,
		      const struct image_options *opts, struct image **out,
		      struct error *err)
{
	struct image_options own = *opts;

	own.node = NULL;
	return open_protocol(loop, opened->name, protocol_named("file", err),
			     &own, opened, out, err);
}

/* "file" and "host_device" are one driver, but who says one means it. */
static int judge_kind(const struct image_node *node, unsigned int flags,
		      struct error *err)
{
	struct stat st;
	bool device;

	if (!node->driver || stat(node->path, &st))
		return 0;
	if (S_ISDIR(st.st_mode) && (flags & IMAGE_RDWR))
		return error_set_errno(err, EISDIR, "Could not open '%s'",
				       node->path);
	device = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode);
	if (!strcmp(node->driver, "file") && !S_ISREG(st.st_mode))
		return error_set(err, EINVAL, "'file' driver requires '%s' to "
				 "be a regular file", node->path);
	if (!strncmp(node->driver, "host_", 5) && !device)
		return error_set(err, EINVAL, "'%s' driver requires '%s' to be "
				 "either a character or block device",
				 node->driver, node->path);
	return 0;
}

static int open_node(struct loop *loop, const char *path,
		     const struct image_driver *driver,
		     const struct image_options *opts, struct image **out,
		     struct error *err);

/* raw has its file's answer already; others grow by what reads as zeroes, unless
 * a backing image shows through. */
static void serve_as_file(struct image *img)
{
	img->below = true;
	if (!img->driver->grows_as_file)
		img->zero_beyond_end = img->driver->truncate &&
				       !img->backing && !img->data;
}

/* A look at the header of the image above reads what this one holds; nor is it
 * this one that is repaired or whose format was guessed. */
static unsigned int flags_below(unsigned int flags)
{
	if (flags & IMAGE_NO_IO)
		flags |= IMAGE_SHARE;
	if ((flags & IMAGE_NO_IO) && !(flags & IMAGE_PROBE_LOCKS))
		flags &= ~(unsigned int)IMAGE_RDWR;
	return flags & ~(unsigned int)(IMAGE_NO_IO | IMAGE_NO_BACKING |
				       IMAGE_REPAIR | IMAGE_GUESSED);
}

int image_open_described(struct loop *loop, const struct image_node *node,
			 const struct image_options *opts, struct image **out,
			 struct error *err)
{
	const char *path = image_node_path(node);
	const struct image_driver *driver;
	struct image_options own = *opts;
	int ret;

	own.node = node;
	own.snapshot = NULL;
	own.writable_backing = 0;
	driver = node->driver ? image_find_format(node->driver) : NULL;
	if (driver) {
		own.flags = flags_below(own.flags);
		ret = open_node(loop, path, driver, &own, out, err);
		if (!ret)
			serve_as_file(*out);
		return ret;
	}
	driver = node->driver ? protocol_named(node->driver, err) :
				protocol_of(&path, err);
	if (!driver)
		return -ENOTSUP;
	ret = driver->host_file ? judge_kind(node, own.flags, err) : 0;
	return ret ? ret : open_by_name(loop, path, driver, &own, out, err);
}

int image_open_child(struct image *parent, const struct image_node *node,
		     const struct image_options *opts, struct image **child,
		     struct error *err)
{
	return image_open_described(parent->loop, node, opts, child, err);
}

static int open_below(struct image *img, struct opened *opened,
		      const struct image_options *opts, struct error *err)
{
	const struct image_node *node = opts->node ? opts->node->file : NULL;

	if (node)
		return image_open_described(img->loop, node, opts, &img->file,
					    err);
	if (opened)
		return image_open_opened(img->loop, opened, opts, &img->file,
					 err);
	return image_open_file(img->loop, img->path, false, opts, &img->file,
			       err);
}

/* ---- formats ---- */

/* Opens what `overlay` (NULL: nothing) stands on, file and format, but nothing
 * that this one stands on. `opened`: its file, NULL: not yet. */
static int open_alone(struct loop *loop, struct image *overlay,
		      const char *path, const struct image_driver *driver,
		      const struct image_options *opts, struct opened *opened,
		      struct image **out, struct error *err)
{
	struct image *img;
	int ret;

	if ((opts->flags & IMAGE_RDWR) && !driver->pwritev)
		return error_set(err, EROFS, "%s: images of format '%s' can "
				 "only be read", path, driver->name);
	img = node_new(loop, path, driver, opts);
	if (!img)
		return error_set_errno(err, ENOMEM, "%s", path);
	img->overlay = overlay;
	img->options = *opts;
	if (opts->node && opts->node->no_backing)
		img->flags |= IMAGE_NO_BACKING;
	ret = open_below(img, opened, opts, err);
	if (ret)
		goto out;
	img->cache = img->file->cache;
	ret = driver->open(img, opts, err);
	if (ret) {
		error_reason(err, ret);
		image_close(img->file, NULL);
		image_close(img->data, NULL);
	}
out:
	if (ret)
		node_free(img);
	else
		*out = img;
	return ret;
}

void image_give_up(struct image *img)
{
	for (struct image *i = img; i; i = i->backing)
		i->flags &= ~(unsigned int)IMAGE_RDWR;
	image_close(img, NULL);
}

/* Opens an image with all that it stands on. */
static int open_node(struct loop *loop, const char *path,
		     const struct image_driver *driver,
		     const struct image_options *opts, struct image **out,
		     struct error *err)
{
	struct image *img;
	int ret = open_alone(loop, NULL, path, driver, opts, NULL, &img, err);

	if (ret)
		return ret;
	ret = image_open_chain(img, err);
	if (ret)
		image_give_up(img);
	else
		*out = img;
	return ret;
}

int image_open(struct loop *loop, const char *path, const char *format,
	       const struct image_options *opts, struct image **out,
	       struct error *err)
{
	const struct image_driver *driver;
	int ret;

	*out = NULL;
	if (!format)
		return error_set(err, EINVAL, "%s: no format given: it is never "
				 "guessed from the image", path);
	driver = image_find_format(format);
	if (!driver)
		return error_set(err, ENOTSUP, "%s: unknown format '%s' (known: "
				 "%s)", path, format, image_format_names());
	if (opts->snapshot && !driver->has_snapshots)
		return error_set(err, ENOTSUP, "%s: images of format '%s' have "
				 "no snapshots", path, format);
	if (opts->snapshot && (opts->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s: a snapshot cannot be opened "
				 "for writing", path);
	ret = open_node(loop, path, driver, opts, out, err);
	if (!ret)
		ret = image_judge_writable(*out, err);
	if (ret) {
		image_give_up(*out);
		*out = NULL;
	}
	return ret;
}

int image_judge_depth(unsigned int nr, struct error *err)
{
	return nr <= IMAGE_MAX_CHAIN ? 0 :
		error_set(err, ELOOP, "more than %d images in the backing "
			  "chain", IMAGE_MAX_CHAIN);
}

/* `id`, `path`: of what `img` is to stand on. Is it the file of an image that
 * stands on it? */
static int check_chain(struct image *img, const struct file_id *id,
		       const char *path, struct error *err)
{
	unsigned int depth = 0;

	for (; img; img = img->overlay) {
		if (image_find_file(img->file, id))
			return error_set(err, ELOOP, "backing file '%s' leads "
					 "back to '%s': the chain is a circle",
					 path, img->path);
		depth++;
	}
	return image_judge_depth(depth + 1, err);
}

/* Opens the file that `img` names as its backing image. */
static int open_backing_file(struct image *img, const char *path,
			     const struct image_options *opts,
			     struct opened *opened, struct error *err)
{
	const struct opener_ask ask = {
		.purpose = OPENER_BACKING,
		.write = opens_to_write(opts),
		.by = img->path,
		.name = path,
	};
	struct error why = ERROR_INIT;
	struct file_id id;
	int ret = opener_open(opts->opener, &ask, opened, &why);

	if (ret && why.msg[0])
		return error_set(err, -ret, "%s", why.msg);
	if (!ret)
		ret = file_id_of_fd(opened->fd, &id);
	if (ret)
		return error_set_errno(err, -ret, "Could not open backing "
				       "file: Could not open '%s'", path);
	return check_chain(img, &id, path, err);
}

/* A described backing image has its own path; a recorded one is relative to the
 * image. */
static int backing_path(const struct image *parent, const char *path,
			const struct image_node *node, char **full,
			struct error *err)
{
	if (!node || !node->file)
		return image_backing_path(parent->path, path, full, err);
	*full = strdup(image_node_path(node));
	return *full ? 0 : -ENOMEM;
}

int image_name_backing(struct image *img, const char *path, const char *format)
{
	img->named.path = strdup(path);
	img->named.format = format ? strdup(format) : NULL;
	return img->named.path && (!format || img->named.format) ? 0 : -ENOMEM;
}

/* How the next image below is opened. */
static struct image_options options_below(const struct image *img)
{
	struct image_options opts = img->options;

	opts.node = opts.node ? opts.node->backing : NULL;
	opts.flags &= ~(unsigned int)(IMAGE_RDWR | IMAGE_REPAIR | IMAGE_UNMAP);
	if (opts.writable_backing && !--opts.writable_backing)
		opts.flags |= IMAGE_RDWR | IMAGE_UNMAP;
	opts.snapshot = NULL;
	return opts;
}

static int open_backing(struct image *img, const char *path,
			const char *format, const struct image_options *opts,
			struct opened *opened, struct error *err)
{
	int ret = open_alone(img->loop, img, path, image_find_format(format),
			     opts, opened, &img->backing, err);

	return error_prefix(ret ? err : NULL, ret, "backing file '%s'", path);
}

static int open_recorded_backing(struct image *img, const char *path,
				 const char *format,
				 const struct image_options *opts,
				 struct error *err)
{
	struct opened opened = OPENED_INIT;
	int ret = open_backing_file(img, path, opts, &opened, err);

	if (!ret)
		ret = open_backing(img, path, format, opts, &opened, err);
	opened_clear(&opened);
	return ret;
}

/* It need not be a file: opening it will tell. */
static int open_described_backing(struct image *img, const char *path,
				  const char *format,
				  const struct image_options *opts,
				  struct error *err)
{
	struct file_id id;
	int ret = file_id_find(path, &id) ? 0 : check_chain(img, &id, path, err);

	return ret ? ret : open_backing(img, path, format, opts, NULL, err);
}

/* Opens what `img` has named as its backing image. */
static int open_named_backing(struct image *img, struct error *err)
{
	struct image_options opts = options_below(img);
	const struct image_node *node = opts.node;
	cleanup_free char *path = steal_ptr(&img->named.path);
	cleanup_free char *recorded = steal_ptr(&img->named.format);
	const char *format = node && node->driver ? node->driver : recorded;
	const char *known = image_backing_format(format ? format : "raw");
	cleanup_free char *full = NULL;
	int ret;

	if (!known)
		return error_set(err, ENOTSUP, "backing file '%s' has the "
				 "unknown format '%s' (known: %s)", path, format,
				 image_format_names());
	ret = backing_path(img, path, node, &full, err);
	if (ret)
		return ret;
	ret = node && node->file ?
		      open_described_backing(img, full, known, &opts, err) :
		      open_recorded_backing(img, full, known, &opts, err);
	if (ret)
		return ret;
	return img->driver->judge_backing ?
		       img->driver->judge_backing(img, err) : 0;
}

/* How many these are is an image's word, so none is opened from within the open
 * of another. The one that leads on is named in errors, not all above it. */
int image_open_chain(struct image *first, struct error *err)
{
	struct image *img = first;
	int ret;

	while (img->named.path) {
		ret = open_named_backing(img, err);
		if (ret)
			return img == first ? ret :
			       error_prefix(err, ret, "backing file '%s'",
					    img->path);
		img = img->backing;
	}
	return 0;
}

/* One with its files, but not its backing image. */
static int close_alone(struct image *img, struct error *err)
{
	int ret = 0, r;

	if (img->driver->close)
		ret = img->driver->close(img, err);
	chain_free(img);
	r = image_close(img->file, ret ? NULL : err);
	ret = ret ? ret : r;
	r = image_close(img->data, ret ? NULL : err);
	ret = ret ? ret : r;
	node_free(img);
	return ret;
}

int image_close(struct image *img, struct error *err)
{
	struct image *below;
	int ret = 0, r;

	for (; img; img = below) {
		below = img->backing;
		if (below)
			below->overlay = NULL;
		r = close_alone(img, ret ? NULL : err);
		ret = ret ? ret : r;
	}
	return ret;
}
