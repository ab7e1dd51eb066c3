/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * require.h: what an image must be for a verb on it as a whole.
 */
#ifndef XD_IMAGE_REQUIRE_H
#define XD_IMAGE_REQUIRE_H

#include <stdbool.h>

#include "common/error.h"

struct image;

/* Its driver has the verb: -ENOTSUP, "images of format 'x' `lack`". */
int require_verb(const struct image *img, bool has, const char *lack,
		 struct error *err);
/* It is open for writing: -EROFS. */
int require_writable(const struct image *img, struct error *err);
/* Both. */
int require_change(const struct image *img, bool has, const char *lack,
		   struct error *err);

#endif
