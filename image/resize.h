/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.h: other sizes of disks, and space for them.
 */
#ifndef XD_IMAGE_RESIZE_H
#define XD_IMAGE_RESIZE_H

#include <stdint.h>

#include "common/error.h"
#include "image/progress.h"

struct image;

/* co. New virtual size; growing reads as zeroes, what shrinking cuts off is
 * gone. Nothing else may be in flight. -ENOTSUP, -EFBIG... */
int image_truncate(struct image *img, uint64_t size, struct error *err);

/* What of the new space is taken at once. metadata: formats with tables lay
 * them out; falloc: the host has reserved the space; full: it has been written.
 * Each includes those before it. */
enum image_preallocation {
	IMAGE_PREALLOC_OFF, IMAGE_PREALLOC_METADATA, IMAGE_PREALLOC_FALLOC,
	IMAGE_PREALLOC_FULL,
};
/* "off", "metadata", "falloc", "full"; -EINVAL */
int image_parse_preallocation(const char *name,
			      enum image_preallocation *mode);

/* co. image_truncate() to at least the present size, with the new space
 * preallocated. When that fails the image keeps its old size. progress: of the
 * preallocation, bytes; may be NULL. -ENOTSUP: the format or file does not have
 * that mode; -ENOSPC... */
int image_grow(struct image *img, uint64_t size, enum image_preallocation mode,
	       const struct image_progress *progress, struct error *err);

/* co. For drivers: takes the space for a range that reads as zeroes. */
int image_preallocate(struct image *img, uint64_t off, uint64_t len,
		      enum image_preallocation mode, struct error *err);

#endif
