/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* beside.h: files in the folder of the image that names them. */
#ifndef XD_OPENER_BESIDE_H
#define XD_OPENER_BESIDE_H

#include "common/error.h"

/* Is `name`, which leads to `real`, a regular file in the folder of the image
 * called image_name, and no link out of it? real NULL: not known, and not
 * beside. Opens nothing. -EACCES with the sentence: it is not; errors of
 * stat(2). */
int judge_beside(const char *image_name, const char *name, const char *real,
		 struct error *err);

#endif
