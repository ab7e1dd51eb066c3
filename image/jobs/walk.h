/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * walk.h: going through the extents of an image, side by side with another's.
 *
 * Beyond its end, and where there is no image at all, there are zeroes.
 *
 * An extent is what the image had when it was asked for. Where a guest may
 * write meanwhile it holds until the next waiting point only: a walk that has
 * waited asks again, or works on a layer that nobody writes to.
 */
#ifndef XD_IMAGE_JOBS_WALK_H
#define XD_IMAGE_JOBS_WALK_H

#include "image/image.h"

struct walk {
	struct image *img;		/* NULL: nothing but zeroes */
	uint64_t start;			/* of `extent`, bytes */
	struct image_extent extent;	/* the last one asked for */
};

/* co. Sees to it that w->extent holds `off` < `end`. -errno */
int walk_to(struct walk *w, uint64_t off, uint64_t end);
/* co. Those bytes of the disk. -errno */
int walk_read(const struct walk *w, uint64_t off, uint64_t len, void *buf);
/* Do both take `off` from the same place of the same file? */
bool walk_same_place(const struct walk *a, const struct walk *b, uint64_t off);

/* What the extent has from `off` on, bytes. */
static inline uint64_t walk_left(const struct walk *w, uint64_t off)
{
	return w->start + w->extent.length - off;
}

static inline bool walk_is_zero(const struct walk *w)
{
	return w->extent.flags & IMAGE_EXTENT_ZERO;
}

#endif
