/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file-limits.h: what an open file or device can do. */
#ifndef XD_IMAGE_FILE_LIMITS_H
#define XD_IMAGE_FILE_LIMITS_H

#include <sys/stat.h>

#include "image/driver.h"

bool file_is_direct(enum image_cache cache);	/* means O_DIRECT */
/* Fills in cache, request_align and mem_align; sets O_DIRECT. -EINVAL */
int file_set_cache(struct image *img, enum image_cache wanted,
		   struct error *err);
/* Fills in img->limits, when request_align is known. */
void file_find_limits(struct image *img, const struct stat *st);

#endif
