/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmaps.h: dirty bitmaps.
 */
#ifndef XD_IMAGE_BITMAPS_H
#define XD_IMAGE_BITMAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct image;
struct image_info;

enum image_bitmap_op {
	IMAGE_BITMAP_ADD, IMAGE_BITMAP_REMOVE, IMAGE_BITMAP_CLEAR,
	IMAGE_BITMAP_ENABLE, IMAGE_BITMAP_DISABLE, IMAGE_BITMAP_MERGE,
};

struct image_bitmap_args {
	/* ADD: bytes, a power of two from 512 to 2 GiB; 0: a cluster, 4 to 64
	 * KiB */
	uint64_t granularity;
	/* MERGE: marks what is marked in that one, which may be of the image
	 * itself, of another granularity too, but not of another disk size */
	struct image *source;
	const char *source_name;
};

/* co. Does that to the bitmap `name` of an image that is open for writing with
 * nothing in flight. It is on disk when the image is closed. args may be NULL
 * where nothing in it is wanted. -ENOENT, -EEXIST, -EINVAL (the bitmap is
 * inconsistent: it can only be removed), -ENOTSUP (not in such an image),
 * -EFBIG (the bitmap would be too large). */
int image_bitmap(struct image *img, enum image_bitmap_op op, const char *name,
		 const struct image_bitmap_args *args, struct error *err);

/* co. Gives `to` all bitmaps of `from`, with their contents, granularities and
 * whether they are enabled. Inconsistent ones are left out (skip_broken) or
 * refused before anything is done: -EINVAL. */
int image_copy_bitmaps(struct image *from, struct image *to, bool skip_broken,
		       struct error *err);
/* What `info`'s bitmaps of a disk of `size` bytes take at most in an image with
 * clusters of cluster_size; bytes. */
uint64_t image_bitmaps_space(const struct image_info *info, uint64_t size,
			     uint32_t cluster_size);

#endif
