/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files.h: which files an open image stands on, so that none is overwritten.
 */
#ifndef XD_IMAGE_FILES_H
#define XD_IMAGE_FILES_H

#include <stdbool.h>

#include "common/error.h"

struct file_id;
struct image;

/* Does it stand on the file at `path`? */
bool image_is_file(const struct image *img, const char *path);
/* Are they, or do they stand on, one and the same file? */
bool image_same_file(const struct image *a, const struct image *b);

/* The node of the graph of `img` (NULL: of nothing) that is that file, be it
 * below it, its data file, a part, or any of these of its chain. NULL: none. */
const struct image *image_find_file(const struct image *img,
				    const struct file_id *id);
/* The node of the graph of `img` that is one of the files which writing to
 * `written` changes, which are not those of its chain. NULL: none. */
const struct image *image_find_written(const struct image *img,
				       const struct image *written);

/* No file that an image of this chain is written to is one of another image of
 * it. -EINVAL */
int image_judge_writable(const struct image *top, struct error *err);

#endif
