/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.c: opens block graphs, judges requests, calls drivers.
 *
 *	overlay (qcow2) --backing--> base (raw)
 *	     | file                    | file
 *	"over.qcow2" (file)       "base.img" (file)
 *
 * Each request is judged here once: range, writability, and alignment. A
 * protocol may need requests and memory aligned (O_DIRECT); what is not goes
 * through a bounce buffer, unaligned writes as read-modify-write. Writes to a
 * protocol that needs alignment are tracked while in flight, so that a
 * read-modify-write never carries a stale copy over a neighbour's sectors.
 *
 * There is no retry and no caching here.
 */
#include "image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/chain.h"
#include "image/coroutine.h"
#include "image/driver.h"
#include "image/path.h"
#include "image/protocol.h"

/* Overlays on overlays: more than anybody stacks, less than any stack needs. */
#define MAX_CHAIN_DEPTH 256

#define BOUNCE_MAX ((uint64_t)1 << 20)

static const struct image_driver *const formats[] = {
	&image_bochs_driver,
	&image_cloop_driver,
	&image_dmg_driver,
	&image_luks_driver,
	&image_parallels_driver,
	&image_qcow_driver,
	&image_qcow2_driver,
	&image_qed_driver,
	&image_raw_driver,
	&image_vdi_driver,
	&image_vhdx_driver,
	&image_vmdk_driver,
	&image_vpc_driver,
};

static const char *const cache_names[] = {
	[IMAGE_CACHE_AUTO] = "auto",
	[IMAGE_CACHE_NONE] = "none",
	[IMAGE_CACHE_WRITEBACK] = "writeback",
	[IMAGE_CACHE_WRITETHROUGH] = "writethrough",
	[IMAGE_CACHE_DIRECTSYNC] = "directsync",
	[IMAGE_CACHE_UNSAFE] = "unsafe",
};

int image_parse_cache(const char *name, enum image_cache *cache)
{
	for (size_t i = 0; i < ARRAY_SIZE(cache_names); i++) {
		if (!strcmp(name, cache_names[i])) {
			*cache = (enum image_cache)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *image_cache_name(enum image_cache cache)
{
	return cache_names[cache];
}

static const struct image_driver *find_format(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(name, formats[i]->name))
			return formats[i];
	return NULL;
}

bool image_format_known(const char *name)
{
	return find_format(name);
}

const char *image_format_names(void)
{
	static char names[256];
	size_t len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(formats) && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len,
					"%s%s", i ? " " : "", formats[i]->name);
	return names;
}

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
	img->cache = opts->cache;
	img->request_align = 1;
	img->mem_align = 1;
	list_init(&img->writes);
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
	free(img->path);
	free(img->state);
	free(img);
}

/* A name out of an image (`foreign`) is a file's, whatever it looks like. */
static int open_file(struct loop *loop, const char *path, bool foreign,
		     const struct image_options *opts, struct image **out,
		     struct error *err)
{
	const struct image_driver *driver = &image_file_driver;
	struct image *img;
	int ret;

	if (!foreign)
		driver = protocol_of(&path, err);
	if (!driver)
		return -ENOTSUP;
	img = node_new(loop, path, driver, opts);
	if (!img)
		return error_set_errno(err, ENOMEM, "%s", path);
	if ((opts->flags & IMAGE_RDWR) && !driver->pwritev)
		ret = error_set(err, EROFS, "%s: the protocol %s can only be "
				"read", path, driver->name);
	else
		ret = driver->open(img, opts, err);
	if (ret) {
		node_free(img);
		return ret;
	}
	*out = img;
	return 0;
}

/* Opens what `overlay` (NULL: nothing) stands on, file and format. */
static int open_node(struct loop *loop, struct image *overlay,
		     const char *path, const struct image_driver *driver,
		     const struct image_options *opts, struct image **out,
		     struct error *err)
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
	ret = open_file(loop, path, overlay != NULL, opts, &img->file, err);
	if (ret)
		goto out;
	img->cache = img->file->cache;
	ret = driver->open(img, opts, err);
	if (ret) {
		error_reason(err, ret);
		image_close(img->file, NULL);
		image_close(img->data, NULL);
		image_close(img->backing, NULL);
	}
out:
	if (ret)
		node_free(img);
	else
		*out = img;
	return ret;
}

int image_open(struct loop *loop, const char *path, const char *format,
	       const struct image_options *opts, struct image **out,
	       struct error *err)
{
	const struct image_driver *driver;

	*out = NULL;
	if (!format)
		return error_set(err, EINVAL, "%s: no format given: it is never "
				 "guessed from the image", path);
	driver = find_format(format);
	if (!driver)
		return error_set(err, ENOTSUP, "%s: unknown format '%s' (known: "
				 "%s)", path, format, image_format_names());
	if (opts->snapshot && !driver->has_snapshots)
		return error_set(err, ENOTSUP, "%s: images of format '%s' have "
				 "no snapshots", path, format);
	if (opts->snapshot && (opts->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s: a snapshot cannot be opened "
				 "for writing", path);
	return open_node(loop, NULL, path, driver, opts, out, err);
}

/* Is `path` the file of `img` or of an image that stands on it? */
static int check_chain(struct image *img, const char *path, struct error *err)
{
	struct stat above, st;
	unsigned int depth = 0;

	if (stat(path, &st))
		return error_set_errno(err, errno, "Could not open backing "
				       "file: Could not open '%s'", path);
	for (; img; img = img->overlay) {
		if (!stat(img->path, &above) && above.st_dev == st.st_dev &&
		    above.st_ino == st.st_ino)
			return error_set(err, ELOOP, "backing file '%s' leads "
					 "back to '%s': the chain is a circle",
					 path, img->path);
		if (++depth >= MAX_CHAIN_DEPTH)
			return error_set(err, ELOOP, "more than %d images in "
					 "the backing chain", MAX_CHAIN_DEPTH);
	}
	return 0;
}

/* What the user says is the user's path, what the image says the image's. */
static int backing_path(const struct image *parent, const char *path,
			const struct image_node *node, char **full,
			struct error *err)
{
	if (!node || !node->path)
		return image_backing_path(parent->path, path, full, err);
	*full = strdup(node->path);
	return *full ? 0 : -ENOMEM;
}

int image_open_backing(struct image *parent, const char *path,
		       const char *format, struct error *err)
{
	struct image_options opts = parent->options;
	const struct image_node *node = opts.node ? opts.node->backing : NULL;
	const struct image_driver *driver;
	cleanup_free char *full = NULL;
	int ret;

	if (node && node->format)
		format = node->format;
	driver = find_format(format ? format : "raw");
	if (!driver)
		return error_set(err, ENOTSUP, "backing file '%s' has the "
				 "unknown format '%s' (known: %s)", path, format,
				 image_format_names());
	opts.node = node;
	ret = backing_path(parent, path, node, &full, err);
	if (!ret)
		ret = check_chain(parent, full, err);
	if (ret)
		return ret;
	opts.flags &= ~(unsigned int)(IMAGE_RDWR | IMAGE_REPAIR | IMAGE_UNMAP);
	if (opts.writable_backing && !--opts.writable_backing)
		opts.flags |= IMAGE_RDWR | IMAGE_UNMAP;
	opts.snapshot = NULL;
	ret = open_node(parent->loop, parent, full, driver, &opts,
			&parent->backing, err);
	return error_prefix(ret ? err : NULL, ret, "backing file '%s'", full);
}

int image_switch_backing(struct image *img, const char *path,
			 const char *format, enum image_cache cache,
			 struct image **old, struct error *err)
{
	struct image_options opts = img->options;
	int ret = 0;

	*old = img->backing;
	img->backing = NULL;
	img->options.node = NULL;	/* it tells of the old one */
	img->options.cache = cache;
	img->options.writable_backing = 0;
	if (path)
		ret = image_open_backing(img, path, format, err);
	img->options = opts;
	if (ret)
		img->backing = *old;
	else if (*old)
		(*old)->overlay = NULL;
	return ret;
}

/* Is it the file of `img` or of an image that stands on it? */
static int judge_data_file(const struct image *img, const char *path,
			   struct error *err)
{
	struct stat above, st;

	if (stat(path, &st))
		return error_set_errno(err, errno, "data file '%s'", path);
	for (; img; img = img->overlay)
		if (!stat(img->path, &above) && above.st_dev == st.st_dev &&
		    above.st_ino == st.st_ino)
			return error_set(err, ELOOP, "the data file '%s' is the "
					 "image '%s'", path, img->path);
	return 0;
}

/* What the user says is the user's path, what the image says the image's. */
static int data_path(const struct image *parent, const char *path, char **full,
		     struct error *err)
{
	const struct image_node *node = parent->options.node;

	if (node && node->data_file) {
		*full = strdup(node->data_file);
		return *full ? 0 : -ENOMEM;
	}
	if (!path)
		return error_set(err, EINVAL, "'data-file' is required for this "
				 "image: its data lies in another file, whose "
				 "name is not recorded");
	if (parent->flags & IMAGE_GUESSED)
		return error_set(err, EACCES, "the image's data is said to be "
				 "in '%.200s', which is not opened for an image "
				 "whose format is a guess (-f qcow2 says so)",
				 path);
	return image_backing_path(parent->path, path, full, err);
}

int image_open_data_file(struct image *parent, const char *path,
			 struct error *err)
{
	struct image_options opts = parent->options;
	cleanup_free char *full = NULL;
	int ret = data_path(parent, path, &full, err);

	if (!ret)
		ret = judge_data_file(parent, full, err);
	if (!ret)
		ret = open_file(parent->loop, full, true, &opts,
				&parent->data, err);
	return error_prefix(ret ? err : NULL, ret, "data file");
}

int image_open_part(struct image *parent, const char *name,
		    struct image **part, struct error *err)
{
	cleanup_free char *full = NULL;
	int ret;

	if ((parent->flags & IMAGE_GUESSED) && !(parent->flags & IMAGE_NO_IO))
		return error_set(err, EACCES, "the image's data is said to be "
				 "in '%.200s', which is not opened for an image "
				 "whose format is a guess (-f %s says so)", name,
				 parent->driver->name);
	if (strchr(name, '/'))
		return error_set(err, EINVAL, "the image names the file '%.200s' "
				 "in another folder: only files beside it are "
				 "opened on an image's word", name);
	ret = image_backing_path(parent->path, name, &full, err);
	return ret ? ret : open_file(parent->loop, full, true, &parent->options,
				     part, err);
}

int image_close(struct image *img, struct error *err)
{
	int ret = 0, r;

	if (!img)
		return 0;
	if (img->driver->close)
		ret = img->driver->close(img, err);
	chain_free(img);
	if (img->file) {
		r = image_close(img->file, ret ? NULL : err);
		ret = ret ? ret : r;
	}
	if (img->data) {
		r = image_close(img->data, ret ? NULL : err);
		ret = ret ? ret : r;
	}
	if (img->backing) {
		r = image_close(img->backing, ret ? NULL : err);
		ret = ret ? ret : r;
	}
	node_free(img);
	return ret;
}

static const char *guess_format(const char *name, const uint8_t *head,
				size_t len)
{
	const char *format = image_raw_driver.name;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i]->probe && formats[i]->probe(name, head, len))
			format = formats[i]->name;
	return format;
}

int image_probe(const char *file, const char **format, struct error *err)
{
	cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t head[IMAGE_PROBE_BYTES];
	ssize_t n;

	if (fd < 0)
		return error_set_errno(err, errno, "Could not open '%s'", file);
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return error_set_errno(err, errno, "Could not read '%s'", file);
	*format = guess_format(file, head, (size_t)n);
	return 0;
}

int image_probe_name(struct loop *loop, const char *name, const char **format,
		     struct error *err)
{
	const struct image_options opts = { .flags = IMAGE_SHARE };
	const char *path = name;
	const struct image_driver *protocol = protocol_of(&path, err);
	uint8_t head[IMAGE_PROBE_BYTES];
	struct image *file;
	size_t len;
	int ret;

	if (!protocol)
		return -ENOTSUP;
	if (protocol == &image_file_driver)
		return image_probe(path, format, err);
	ret = open_file(loop, name, false, &opts, &file, err);
	if (ret)
		return ret;
	len = (size_t)min((uint64_t)sizeof(head), file->size);
	ret = image_pread(file, 0, len, head);
	image_close(file, NULL);
	if (ret)
		return error_set_errno(err, -ret, "Could not read '%s'", name);
	*format = guess_format(name, head, len);
	return 0;
}

/* ---- properties ---- */

struct loop *image_loop(const struct image *img)
{
	return img->loop;
}

const char *image_path(const struct image *img)
{
	return img->path;
}

const char *image_format(const struct image *img)
{
	return img->driver->name;
}

uint64_t image_size(const struct image *img)
{
	return img->size;
}

bool image_guessed(const struct image *img)
{
	return img->flags & IMAGE_GUESSED;
}

bool image_writable(const struct image *img)
{
	return img->flags & IMAGE_RDWR;
}

struct image *image_backing(const struct image *img)
{
	return img->backing;
}

struct image *image_file(const struct image *img)
{
	return img->file;
}

bool image_is_file(const struct image *img, const char *path)
{
	struct stat st;

	while (img->file)
		img = img->file;
	return !stat(path, &st) && img->device == st.st_dev &&
	       img->inode == st.st_ino;
}

bool image_same_file(const struct image *a, const struct image *b)
{
	while (a->file)
		a = a->file;
	while (b->file)
		b = b->file;
	/* Protocols that have no files leave it at 0. */
	return a == b || (a->inode && a->device == b->device &&
			  a->inode == b->inode);
}

enum image_cache image_cache(const struct image *img)
{
	return img->cache;
}

void image_limits(const struct image *img, struct image_limits *out)
{
	*out = img->limits;
}

int image_allocated_size(struct image *img, uint64_t *bytes)
{
	if (img->file && !img->driver->allocated_size)
		img = img->file;
	return img->driver->allocated_size ?
		       img->driver->allocated_size(img, bytes) : -ENOTSUP;
}

/* ---- bounce buffers ---- */

static bool window_aligned(struct iow w, uint64_t len, uint32_t align)
{
	uintptr_t base;
	size_t n;

	for (; len; w = iow_advance(w, n), len -= n) {
		n = min(w.iov->iov_len - w.skip, (size_t)len);
		base = (uintptr_t)w.iov->iov_base + w.skip;
		if (!is_aligned(base, align) || !is_aligned(n, align))
			return false;
	}
	return true;
}

static bool needs_bounce(const struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	if (likely(img->request_align <= 1))
		return false;
	return !is_aligned(off | len, img->request_align) ||
	       !window_aligned(w, len, max(img->mem_align, 1u));
}

static void *bounce_alloc(const struct image *img, uint64_t len)
{
	void *buf;

	if (posix_memalign(&buf, max(img->mem_align, 4096u), len))
		return NULL;
	return buf;
}

static int read_into(struct image *img, uint64_t off, uint64_t len, void *buf)
{
	struct iovec iov = { buf, len };

	return img->driver->preadv(img, off, len, iow_of(&iov, 1));
}

static int write_from(struct image *img, uint64_t off, uint64_t len, void *buf)
{
	struct iovec iov = { buf, len };

	return img->driver->pwritev(img, off, len, iow_of(&iov, 1));
}

static int bounced_read(struct image *img, uint64_t off, uint64_t len,
			struct iow w)
{
	uint32_t align = img->request_align;

	while (len) {
		uint64_t n = min(len, BOUNCE_MAX);
		uint64_t start = align_down(off, align);
		uint64_t end = align_up(off + n, align);
		cleanup_free char *buf = bounce_alloc(img, end - start);
		int ret;

		if (!buf)
			return -ENOMEM;
		ret = read_into(img, start, end - start, buf);
		if (ret)
			return ret;
		iow_from_buf(w, buf + (off - start), n);
		w = iow_advance(w, n);
		off += n;
		len -= n;
	}
	return 0;
}

/* One piece: [off, off + len), blown up to whole blocks. */
static int bounced_write(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	uint32_t align = img->request_align;
	uint64_t start = align_down(off, align);
	uint64_t end = align_up(off + len, align);
	cleanup_free char *buf = bounce_alloc(img, end - start);
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	if (start != off)
		ret = read_into(img, start, align, buf);
	if (!ret && end != off + len && (end - start > align || start == off))
		ret = read_into(img, end - align, align,
				buf + (end - align - start));
	if (ret)
		return ret;
	iow_to_buf(buf + (off - start), w, len);
	return write_from(img, start, end - start, buf);
}

/* ---- writes in flight, where alignment matters ---- */

struct tracked_write {
	struct list link;		/* in image.writes */
	uint64_t start, end;		/* bytes, aligned outwards */
	bool rmw;
	struct co_queue waiters;
};

static void track_begin(struct image *img, struct tracked_write *t)
{
	struct tracked_write *o;

	co_queue_init(&t->waiters);
again:
	list_for_each(o, &img->writes, link) {
		if ((t->rmw || o->rmw) && o->start < t->end &&
		    t->start < o->end) {
			co_queue_wait(&o->waiters);
			goto again;
		}
	}
	list_add_tail(&img->writes, &t->link);
}

static void track_end(struct tracked_write *t)
{
	list_del(&t->link);
	co_queue_wake_all(&t->waiters);
}

static int write_piece(struct image *img, uint64_t off, uint64_t len,
		       struct iow w, bool bounce)
{
	uint32_t align = img->request_align;
	struct tracked_write t = {
		.start = align_down(off, align),
		.end = align_up(off + len, align),
		.rmw = !is_aligned(off | len, align),
	};
	int ret;

	track_begin(img, &t);
	ret = bounce ? bounced_write(img, off, len, w) :
		       img->driver->pwritev(img, off, len, w);
	track_end(&t);
	return ret;
}

static int tracked_write(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	bool bounce = needs_bounce(img, off, len, w);
	int ret = 0;

	if (!bounce)
		return write_piece(img, off, len, w, false);
	while (len && !ret) {
		uint64_t n = min(len, BOUNCE_MAX - (off & (BOUNCE_MAX - 1)));

		ret = write_piece(img, off, n, w, true);
		w = iow_advance(w, n);
		off += n;
		len -= n;
	}
	return ret;
}

/* ---- data ---- */

int image_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	/* Protocols read zeroes beyond their end (a table cut short). */
	if (unlikely(img->file && !range_within(off, len, img->size)))
		return -EINVAL;
	if (unlikely(!len))
		return 0;
	if (unlikely(needs_bounce(img, off, len, w)))
		return bounced_read(img, off, len, w);
	return img->driver->preadv(img, off, len, w);
}

/* Writes of a whole image are durable one by one in these modes. */
static int write_done(struct image *img, int ret)
{
	if (!ret && img->file && !img->overlay &&
	    (img->cache == IMAGE_CACHE_WRITETHROUGH ||
	     img->cache == IMAGE_CACHE_DIRECTSYNC))
		ret = img->driver->flush ? img->driver->flush(img) :
					   image_flush(img->file);
	return ret;
}

/* A protocol grows where it is written to; an image has its size. */
static int judge_write(const struct image *img, uint64_t off, uint64_t len)
{
	if (!(img->flags & IMAGE_RDWR))
		return -EROFS;
	if (img->file && !range_within(off, len, img->size))
		return -EINVAL;
	return off > INT64_MAX || len > INT64_MAX - off ? -EFBIG : 0;
}

int image_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	int ret = judge_write(img, off, len);

	if (unlikely(ret || !len))
		return ret;
	if (likely(img->request_align <= 1))
		ret = img->driver->pwritev(img, off, len, w);
	else
		ret = tracked_write(img, off, len, w);
	return unlikely(ret) ? ret : write_done(img, 0);
}

int image_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w)
{
	int ret = judge_write(img, off, len);

	if (ret || !len)
		return ret;
	if (!img->driver->pwritev_compressed)
		return -ENOTSUP;
	return write_done(img, img->driver->pwritev_compressed(img, off, len,
							       w));
}

bool image_can_have_bitmaps(const char *format)
{
	const struct image_driver *driver = find_format(format);

	return driver && driver->bitmap;
}

int image_copy_range(struct image *img, uint64_t off, struct image *from,
		     uint64_t from_off, uint64_t len)
{
	int ret = judge_write(img, off, len);

	if (ret)
		return ret;
	if (!range_within(from_off, len, from->size))
		return -EINVAL;
	if (img->driver != from->driver || !img->driver->copy_range ||
	    !is_aligned(off | len, img->request_align))
		return -EOPNOTSUPP;
	return write_done(img, img->driver->copy_range(img, off, from, from_off,
						       len));
}

bool image_can_compress(const char *format)
{
	const struct image_driver *driver = find_format(format);

	return driver && driver->pwritev_compressed;
}

/* Zeroes out of a small buffer, again and again. */
static int write_zero_buffer(struct image *img, uint64_t off, uint64_t len)
{
	uint64_t size = min(len, (uint64_t)256 * KiB);
	cleanup_free void *buf = bounce_alloc(img, align_up(size, 4096));
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	memset(buf, 0, size);
	while (len && !ret) {
		struct iovec iov = { buf, min(len, size) };

		ret = img->request_align <= 1 ?
			img->driver->pwritev(img, off, iov.iov_len,
					     iow_of(&iov, 1)) :
			tracked_write(img, off, iov.iov_len, iow_of(&iov, 1));
		off += iov.iov_len;
		len -= iov.iov_len;
	}
	return ret;
}

static int zero_middle(struct image *img, uint64_t off, uint64_t len,
		       unsigned int flags)
{
	int ret = -EOPNOTSUPP;

	if (img->driver->pwrite_zeroes)
		ret = img->driver->pwrite_zeroes(img, off, len, flags);
	if (ret == -EOPNOTSUPP && !(flags & IMAGE_ZERO_FAST))
		ret = write_zero_buffer(img, off, len);
	return ret;
}

int image_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags)
{
	uint32_t align = img->request_align;
	uint64_t start = align_up(off, align);
	uint64_t end;
	int ret = judge_write(img, off, len);

	if (ret || !len)
		return ret;
	end = align_down(off + len, align);
	if (start >= end) {
		if (flags & IMAGE_ZERO_FAST)
			return -EOPNOTSUPP;
		return write_done(img, write_zero_buffer(img, off, len));
	}
	ret = zero_middle(img, start, end - start, flags);
	if (!ret && start > off)
		ret = write_zero_buffer(img, off, start - off);
	if (!ret && off + len > end)
		ret = write_zero_buffer(img, end, off + len - end);
	return write_done(img, ret);
}

int image_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	uint32_t align = img->request_align;
	uint64_t start = align_up(off, align);
	uint64_t end;
	int ret = judge_write(img, off, len);

	if (ret || !img->driver->pdiscard)
		return ret;
	end = align_down(off + len, align);
	if (start >= end)
		return 0;
	ret = img->driver->pdiscard(img, start, end - start);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

int image_flush(struct image *img)
{
	if (!(img->flags & IMAGE_RDWR) || img->cache == IMAGE_CACHE_UNSAFE)
		return 0;
	if (img->driver->flush)
		return img->driver->flush(img);
	return img->file ? image_flush(img->file) : 0;
}

int image_truncate(struct image *img, uint64_t size, struct error *err)
{
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	if (!img->driver->truncate)
		return error_set(err, ENOTSUP, "images of format '%s' cannot be "
				 "resized", img->driver->name);
	chain_forget(img);
	return img->driver->truncate(img, size, err);
}

static const char *const preallocation_names[] = {
	[IMAGE_PREALLOC_OFF] = "off",
	[IMAGE_PREALLOC_METADATA] = "metadata",
	[IMAGE_PREALLOC_FALLOC] = "falloc",
	[IMAGE_PREALLOC_FULL] = "full",
};

int image_parse_preallocation(const char *name, enum image_preallocation *mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(preallocation_names); i++) {
		if (!strcmp(name, preallocation_names[i])) {
			*mode = (enum image_preallocation)i;
			return 0;
		}
	}
	return -EINVAL;
}

int image_preallocate(struct image *img, uint64_t off, uint64_t len,
		      enum image_preallocation mode, struct error *err)
{
	if (mode == IMAGE_PREALLOC_OFF || !len)
		return 0;
	if (!img->driver->preallocate)
		return error_set(err, ENOTSUP, "images of format '%s' cannot be "
				 "preallocated", img->driver->name);
	return img->driver->preallocate(img, off, len, mode, err);
}

#define PREALLOCATE_AT_ONCE (64 * MiB)

int image_grow(struct image *img, uint64_t size, enum image_preallocation mode,
	       const struct image_progress *progress, struct error *err)
{
	uint64_t old = img->size, off = old, n;
	int ret;

	if (size < old)
		return error_set(err, EINVAL, "%s would shrink", img->path);
	ret = image_truncate(img, size, err);
	if (ret || mode == IMAGE_PREALLOC_OFF)
		return ret;
	for (; !ret && off < img->size; off += n) {
		n = min(img->size - off, PREALLOCATE_AT_ONCE -
						 off % PREALLOCATE_AT_ONCE);
		ret = image_preallocate(img, off, n, mode, err);
		if (progress)
			progress->set(progress->arg, off + n - old,
				       img->size - old);
	}
	if (ret)
		image_truncate(img, old, NULL);
	return ret;
}

/* ---- the backing image ---- */

static int judge_change(const struct image *img, bool can, const char *what,
			struct error *err)
{
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	if (!can)
		return error_set(err, ENOTSUP, "images of format '%s' %s",
				 img->driver->name, what);
	return 0;
}

int image_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err)
{
	int ret = judge_change(img, img->driver->change_backing,
			       "have no backing file", err);

	return ret ? ret : img->driver->change_backing(img, file, format, err);
}

int image_make_empty(struct image *img, struct error *err)
{
	int ret = judge_change(img, img->driver->make_empty,
			       "cannot be emptied", err);

	return ret ? ret : img->driver->make_empty(img, err);
}

/* ---- internal snapshots ---- */

static int judge_snapshots(const struct image *img, struct error *err)
{
	if (!img->driver->snapshot_create)
		return error_set(err, ENOTSUP, "images of format '%s' have no "
				 "snapshots", img->driver->name);
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	return 0;
}

int image_snapshot_create(struct image *img, const char *name,
			  struct error *err)
{
	int ret = judge_snapshots(img, err);

	return ret ? ret : img->driver->snapshot_create(img, name, err);
}

int image_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err)
{
	int ret = judge_snapshots(img, err);

	return ret ? ret : img->driver->snapshot_apply(img, id_or_name, err);
}

int image_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err)
{
	int ret = judge_snapshots(img, err);

	return ret ? ret : img->driver->snapshot_delete(img, name_or_id, err);
}

int image_compact(struct image *img, struct image_compact *result,
		  struct error *err)
{
	if (!img->driver->compact)
		return error_set(err, ENOTSUP, "images of format '%s' cannot be "
				 "compacted", img->driver->name);
	if (!result->dry_run && !(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	return img->driver->compact(img, result, err);
}

/* ---- where the bytes are ---- */

int image_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out)
{
	int ret;

	if (!range_within(off, len, img->size) || !len)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	if (img->driver->block_status) {
		ret = img->driver->block_status(img, off, len, out);
	} else {
		*out = (struct image_extent){
			.length = len,
			.flags = IMAGE_EXTENT_DATA | IMAGE_EXTENT_ALLOCATED,
		};
		ret = 0;
	}
	if (!ret)
		out->length = min(out->length, len);
	return ret;
}

int image_block_status_chain(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out)
{
	unsigned int depth = 0;
	int ret;

	for (;; img = img->backing, depth++) {
		ret = image_block_status(img, off, len, out);
		if (ret)
			return ret;
		out->depth = depth;
		if ((out->flags & IMAGE_EXTENT_ALLOCATED) || !img->backing)
			break;
		len = out->length;
		if (off >= img->backing->size) {
			out->flags |= IMAGE_EXTENT_ZERO;
			break;
		}
		len = min(len, img->backing->size - off);
	}
	if (!(out->flags & IMAGE_EXTENT_ALLOCATED))
		out->flags |= IMAGE_EXTENT_ZERO;
	return 0;
}

/* ---- info, check, create ---- */

int image_get_info(struct image *img, struct image_info *info,
		   struct error *err)
{
	memset(info, 0, sizeof(*info));
	if (!img->driver->get_info)
		return 0;
	return img->driver->get_info(img, info, err);
}

void image_info_free(struct image_info *info)
{
	for (unsigned int i = 0; i < info->nr_snapshots; i++) {
		free(info->snapshots[i].id);
		free(info->snapshots[i].name);
	}
	free(info->snapshots);
	for (unsigned int i = 0; i < info->nr_bitmaps; i++)
		free(info->bitmaps[i].name);
	free(info->bitmaps);
	free(info->backing_file);
	free(info->backing_format);
	free(info->data_file);
	for (unsigned int i = 0; i < info->nr_extents; i++)
		free(info->extents[i].filename);
	free(info->extents);
	free(info->create_type);
	memset(info, 0, sizeof(*info));
}

int image_check(struct image *img, enum image_repair repair,
		struct image_check *result, struct error *err)
{
	if (!img->driver->check)
		return error_set(err, ENOTSUP, "images of format '%s' have no "
				 "metadata to check", img->driver->name);
	if (repair != IMAGE_REPAIR_NONE && !result->dry_run &&
	    !(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	return img->driver->check(img, repair, result, err);
}

int image_create(struct loop *loop, const char *path, const char *format,
		 uint64_t size, const struct image_create_option *options,
		 unsigned int nr_options, struct error *err)
{
	const struct image_driver *driver = find_format(format);
	const struct image_driver *protocol;

	if (!driver)
		return error_set(err, ENOTSUP, "unknown format '%s' (known: "
				 "%s)", format, image_format_names());
	if (!driver->create)
		return error_set(err, ENOTSUP, "images of format '%s' can be "
				 "read but not created", format);
	protocol = protocol_of(&path, err);
	if (!protocol)
		return -ENOTSUP;
	if (protocol != &image_file_driver)
		return error_set(err, ENOTSUP, "'%s': nothing can be created "
				 "by the protocol %s, only written to what is "
				 "there (convert -n)", path, protocol->name);
	return driver->create(loop, path, size, options, nr_options, err);
}

int image_measure(const char *format, uint64_t size,
		  const struct image_create_option *options,
		  unsigned int nr_options, struct image *from,
		  struct image_measure *out, struct error *err)
{
	const struct image_driver *driver = find_format(format);

	if (!driver)
		return error_set(err, ENOTSUP, "Unknown file format '%s'",
				 format);
	if (!driver->measure)
		return error_set(err, ENOTSUP, "Block driver '%s' does not "
				 "support size measurement", format);
	memset(out, 0, sizeof(*out));
	return driver->measure(from ? from->size : size, options, nr_options,
			       from, out, err);
}

const struct image_create_help *image_create_options(const char *format)
{
	const struct image_driver *driver = find_format(format);

	return driver ? driver->create_help : NULL;
}

int image_amend(struct image *img, const struct image_create_option *options,
		unsigned int nr_options, unsigned int flags,
		const struct image_progress *progress, struct error *err)
{
	if (!img->driver->amend)
		return error_set(err, ENOTSUP, "Format driver '%s' does not "
				 "support option amendment", img->driver->name);
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	return img->driver->amend(img, options, nr_options, flags, progress,
				  err);
}

const struct image_create_help *image_amend_options(const char *format)
{
	const struct image_driver *driver = find_format(format);

	return driver ? driver->amend_help : NULL;
}
