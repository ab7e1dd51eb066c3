/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* require.c: see require.h. */
#include "image/require.h"

#include <errno.h>

#include "image/driver.h"

int require_verb(const struct image *img, bool has, const char *lack,
		 struct error *err)
{
	return has ? 0 : error_set(err, ENOTSUP, "images of format '%s' %s",
				   img->driver->name, lack);
}

int require_writable(const struct image *img, struct error *err)
{
	return img->flags & IMAGE_RDWR ? 0 :
		error_set(err, EROFS, "%s is opened read-only", img->path);
}

int require_change(const struct image *img, bool has, const char *lack,
		   struct error *err)
{
	int ret = require_verb(img, has, lack, err);

	return ret ? ret : require_writable(img, err);
}
