/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * patched.h: a file as it would be after changes that are not made: reads get
 * the changes from memory, and all else from the file, which is not written.
 *
 * For formats that keep a journal, where an image that was not closed is looked
 * at only. Belongs to the thread of the file's loop.
 */
#ifndef XD_IMAGE_PATCHED_H
#define XD_IMAGE_PATCHED_H

#include "image/driver.h"

struct patch {
	uint64_t start, end;		/* bytes of the file, start < end */
	const uint8_t *data;		/* NULL: zeroes */
};

struct patched {
	struct image node;		/* protocol node, for reading alone */
	struct image *file;
	struct patch *patches;		/* sorted, none overlaps another */
	size_t nr;
};

/* `list` is in the order in which the changes would be made: later ones count
 * where they overlap. It stays the caller's; the data and the file must outlive
 * the patched file. size: bytes, what lies behind the file's end is zero.
 * -ENOMEM */
int patched_init(struct patched *p, struct image *file, uint64_t size,
		 const struct patch *list, size_t nr);
/* May be called twice, or on zeroed memory. */
void patched_deinit(struct patched *p);

/* Does a change lie in this range? */
bool patched_touches(const struct patched *p, uint64_t off, uint64_t len);

#endif
