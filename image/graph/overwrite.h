/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * overwrite.h: would something new overwrite a file that is in use?
 */
#ifndef XD_IMAGE_OVERWRITE_H
#define XD_IMAGE_OVERWRITE_H

#include <stdbool.h>

#include "common/error.h"

struct image;
struct image_create_option;
struct loop;

/*
 * Would image_create() with that path and options empty a file that `img`
 * stands on, by whatever name? -EINVAL, with a sentence.
 */
int image_judge_create(const struct image *img, const char *path,
		       const struct image_create_option *options,
		       unsigned int nr_options, struct error *err);
/* Is there anything that image_create() would empty? */
bool image_would_empty(const char *path,
		       const struct image_create_option *options,
		       unsigned int nr_options);

/* co. image_judge_create() of the backing file among the options. One that is not
 * there, or no file, or of no known format, is left to others. Errors as
 * image_open() besides. */
int image_judge_backing(struct loop *loop, const char *path,
			const struct image_create_option *options,
			unsigned int nr_options, struct error *err);

/* co. For verbs that change names in the header: could the image be opened with
 * them, and written to? The backing file is looked at as far as it can be opened.
 * NULL: no backing file; raw as its format; the data file as it is. -EINVAL */
int image_judge_names(const struct image *img, const char *backing,
		      const char *format, const char *data, struct error *err);

#endif
