/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backing.h: another backing image, or nothing in front of it.
 */
#ifndef XD_IMAGE_BACKING_H
#define XD_IMAGE_BACKING_H

#include "common/error.h"
#include "image/image.h"

struct image_node;

/*
 * co. Records another backing file in the image: after a crash the old or the
 * new name is there. file NULL: none; format NULL: not recorded. What is open
 * as backing image stays so. -ENOTSUP: the format has none; -EINVAL, -ENOSPC
 * (the name is too long): nothing has changed.
 */
int image_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err);

/*
 * co. Reads and copies through another backing image from now on; the file is
 * not changed. path NULL: none; node NULL: it is what path says. *old (NULL: there
 * was none) is the caller's to close. Nothing may be in flight. Errors as
 * image_open(): all is as before.
 */
int image_switch_backing(struct image *img, const char *path,
			 const char *format, const struct image_node *node,
			 enum image_cache cache, struct image **old,
			 struct error *err);

/* co. Lets go of all that is in this layer, which then shows its backing image;
 * without one, zeroes. Snapshots keep theirs. Nothing may be in flight.
 * -ENOTSUP */
int image_make_empty(struct image *img, struct error *err);

#endif
