/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parts.h: files that an image names besides its own.
 */
#ifndef XD_IMAGE_PARTS_H
#define XD_IMAGE_PARTS_H

#include "common/error.h"

struct image;

/* For drivers: where an opener judges data files, would it open `path` (NULL: none
 * is recorded) for `parent`? -EACCES, ... */
int image_judge_data_file(struct image *parent, const char *path,
			  struct error *err);
/* co. For drivers: opens `path` (NULL: none is recorded), or what the user named
 * instead, as parent->data, in the way that `parent` is open. */
int image_open_data_file(struct image *parent, const char *path,
			 struct error *err);

/* co. For drivers: opens a file that the image names, which has to be beside its
 * own; *part is a protocol node for image_close(). */
int image_open_part(struct image *parent, const char *name,
		    struct image **part, struct error *err);

#endif
