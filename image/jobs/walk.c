/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* walk.c: see walk.h. */
#include "image/jobs/walk.h"

#include <string.h>

#include "common/bits.h"
#include "image/graph/files.h"

int walk_to(struct walk *w, uint64_t off, uint64_t end)
{
	uint64_t size = w->img ? image_size(w->img) : 0;

	if (off >= w->start && off - w->start < w->extent.length)
		return 0;
	w->start = off;
	if (off < size)
		return image_block_status_chain(w->img, off,
						min(end, size) - off,
						&w->extent);
	w->extent = (struct image_extent){
		.length = end - off,
		.flags = IMAGE_EXTENT_ZERO,
	};
	return 0;
}

int walk_read(const struct walk *w, uint64_t off, uint64_t len, void *buf)
{
	uint64_t size = w->img ? image_size(w->img) : 0;
	uint64_t there = off < size ? min(len, size - off) : 0;

	memset((char *)buf + there, 0, len - there);
	return there ? image_pread(w->img, off, there, buf) : 0;
}

bool walk_same_place(const struct walk *a, const struct walk *b, uint64_t off)
{
	const struct image_extent *x = &a->extent, *y = &b->extent;
	unsigned int both = x->flags & y->flags;

	return (both & IMAGE_EXTENT_OFFSET) && (both & IMAGE_EXTENT_DATA) &&
	       x->host_offset + (off - a->start) ==
		       y->host_offset + (off - b->start) &&
	       image_same_file(x->file, y->file);
}
