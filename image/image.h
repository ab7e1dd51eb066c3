/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image.h: disk images, whatever their format: the one way in.
 *
 * A `struct image` is a node of a graph: a format (raw, qcow2...) over a protocol
 * (file), with a backing image beside it. All of a graph belongs to one loop and
 * its thread. Offsets and lengths are bytes. Functions marked "co" run in a
 * coroutine; image_open() and image_close() do too, co_run() wraps them for
 * programs that have nothing else to do.
 *
 * image.c judges every request once (range, overflow, read-only, alignment: what
 * a driver needs aligned is bounced there) and then calls the driver's verb
 * (image/driver.h). Images are opened, and made, by image/graph/. What is done with
 * images as a whole has headers of its own: resize.h, snapshots.h, bitmaps.h,
 * compact.h, info.h, check.h.
 */
#ifndef XD_IMAGE_IMAGE_H
#define XD_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/io-modes.h"
#include "io/aio.h"
#include "io/iow.h"

struct image;
struct image_node;
struct loop;
struct opener;

enum image_open_flags {
	IMAGE_RDWR = 1 << 0,
	/* No image locks: the file may change under us. For looking only. */
	IMAGE_SHARE = 1 << 1,
	/* Do not open backing files (info, metadata check). */
	IMAGE_NO_BACKING = 1 << 2,
	/* Only the header: size and properties, no data, no locks needed, no
	 * write to the file whatever it says. */
	IMAGE_NO_IO = 1 << 3,
	/* Open a dirty or corrupt image for repair by image_check(). */
	IMAGE_REPAIR = 1 << 4,
	/* Discards give space back to the file system (unmap). */
	IMAGE_UNMAP = 1 << 5,
	/* Large reads do not keep this thread from writing: aio_read_beside(). */
	IMAGE_READ_BESIDE = 1 << 6,
	/* The format is a guess. Who can write an image's first bytes could name
	 * any file for its data there: it is refused (-EACCES). */
	IMAGE_GUESSED = 1 << 7,
	/* Refuse the old AES of qcow2: a guest can tell its sectors apart. */
	IMAGE_NO_LEGACY_AES = 1 << 8,
	/* It is empty and written once, mostly in large pieces. */
	IMAGE_WRITE_ONCE = 1 << 9,
	/* A person has asked for it: protocols that make errors for tests may
	 * be opened. Never given for an image that a guest is served from. */
	IMAGE_TESTING = 1 << 10,
	/* With IMAGE_NO_IO: -EAGAIN where the locks, those of a writer with
	 * IMAGE_RDWR, could not be had now. None is taken. */
	IMAGE_PROBE_LOCKS = 1 << 11,
	/* With IMAGE_NO_IO: external data files are opened, too, so that
	 * image_find_file() finds all files. */
	IMAGE_ALL_FILES = 1 << 12,
	/* The cache mode that is chosen for a file may be one of direct I/O. */
	IMAGE_DIRECT_IO_SAFE = 1 << 13,
};

/* How to open; zeroed = the defaults. Strings stay the caller's. */
struct image_options {
	unsigned int flags;		/* enum image_open_flags */
	enum image_cache cache;
	enum aio_kind aio;
	uint64_t l2_cache_size;		/* bytes, 0: QCOW2_L2_CACHE_DEFAULT */
	uint64_t refcount_cache_size;	/* bytes, 0: default */
	/* Judged as QEMU does; the cache keeps to slices of its own size. */
	uint64_t l2_cache_entry_size;	/* bytes, 0: not said */
	const struct image_node *node;	/* of the topmost image, NULL: nothing */
	/* Depth of the backing image that is opened writable too (1: the
	 * nearest); 0: none. */
	unsigned int writable_backing;
	/* Not the disk but this internal snapshot of it, read-only: an id, else
	 * a name, or "snapshot.id=ID,snapshot.name=NAME" (either or both).
	 * NULL: the disk. -ENOENT */
	const char *snapshot;
	struct opener *opener;		/* of files; NULL: by this process */
	int compression_level;		/* 0: the compressor's default */
};

/* co. Flushes, writes what is left, gives up locks. The image is gone
 * afterwards even on error. NULL is allowed. */
int image_close(struct image *img, struct error *err);

/* Overlays on overlays: more than anybody stacks, less than any stack needs. */
#define IMAGE_MAX_CHAIN 256
/* May a backing chain have so many images? -ELOOP */
int image_judge_depth(unsigned int nr, struct error *err);

/* ---- properties ---- */

struct loop *image_loop(const struct image *img);
const char *image_path(const struct image *img);
const char *image_format(const struct image *img);
uint64_t image_size(const struct image *img);		/* virtual, bytes */
bool image_writable(const struct image *img);
bool image_guessed(const struct image *img);	/* IMAGE_GUESSED */
struct image *image_backing(const struct image *img);	/* NULL: none */
struct image *image_file(const struct image *img);	/* below, NULL: none */
enum image_cache image_cache(const struct image *img);	/* as it turned out */

struct image_limits {
	uint32_t logical_block;		/* bytes; requests may be finer */
	uint32_t physical_block;	/* bytes */
	uint32_t discard_granularity;	/* bytes; what a discard can free */
	bool discard;			/* discards can free something */
};
void image_limits(const struct image *img, struct image_limits *out);

/* Bytes the host has allocated for the file. -errno */
int image_allocated_size(struct image *img, uint64_t *bytes);

/* ---- data; all co; 0 or -errno ---- */

/* Beyond the end: -EINVAL (the ring and the tool check before). */
int image_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w);
/* Read-only: -EROFS. A failed metadata write has stopped the image: -EIO. */
int image_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w);

/* The same, stored compressed where that makes it smaller. Whole clusters, the
 * last may end with the disk; -EINVAL if not. -ENOTSUP: the format, or this
 * image, has no compressed clusters. */
int image_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w);

enum image_zero_flags {
	IMAGE_ZERO_UNMAP = 1 << 0,	/* may free the space */
	IMAGE_ZERO_FAST = 1 << 1,	/* -EOPNOTSUPP rather than write zeroes */
};
int image_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags);
/* A hint: contents of the range are zeroes or unchanged afterwards; never
 * those of a backing file. Unaligned ends are left alone. */
int image_pdiscard(struct image *img, uint64_t off, uint64_t len);
/* Everything answered before is on stable storage. */
int image_flush(struct image *img);

static inline int image_pread(struct image *img, uint64_t off, uint64_t len,
			      void *buf)
{
	struct iovec iov = { buf, len };

	return image_preadv(img, off, len, iow_of(&iov, 1));
}

static inline int image_pwrite(struct image *img, uint64_t off, uint64_t len,
			       const void *buf)
{
	struct iovec iov = { (void *)buf, len };

	return image_pwritev(img, off, len, iow_of(&iov, 1));
}

/* co. Copies within the host, which may share the bytes instead. -EOPNOTSUPP
 * where that is not possible: not between raw images, not one file system... */
int image_copy_range(struct image *img, uint64_t off, struct image *from,
		     uint64_t from_off, uint64_t len);

static inline int image_pwrite_compressed(struct image *img, uint64_t off,
					  uint64_t len, const void *buf)
{
	struct iovec iov = { (void *)buf, len };

	return image_pwritev_compressed(img, off, len, iow_of(&iov, 1));
}

/* ---- where the bytes are ---- */

enum image_extent_flags {
	IMAGE_EXTENT_DATA = 1 << 0,	  /* has content of its own */
	IMAGE_EXTENT_ZERO = 1 << 1,	  /* reads as zeroes */
	IMAGE_EXTENT_ALLOCATED = 1 << 2,  /* decided in this layer */
	IMAGE_EXTENT_COMPRESSED = 1 << 3,
	IMAGE_EXTENT_OFFSET = 1 << 4,	  /* host_offset holds */
};

struct image_extent {
	uint64_t length;		/* > 0, <= asked for */
	unsigned int flags;
	uint64_t host_offset;		/* in `file`, bytes */
	const struct image *file;	/* the protocol node with the bytes */
	unsigned int depth;		/* layer, 0 = img itself */
};

/* co. The state of the first bytes of [off, off + len): this layer alone... */
int image_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out);
/* ...or through the backing chain: depth says which layer decided. */
int image_block_status_chain(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out);
/* co. For drivers: of the data at e's host_offset in `file`, what is a
 * hole there is known to be zero; e->length is as far as that holds. */
void image_look_below(struct image *file, struct image_extent *e);

#endif
