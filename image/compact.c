/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compact.c: see compact.h. */
#include "image/compact.h"

#include "image/driver.h"
#include "image/require.h"

int image_compact(struct image *img, struct image_compact *result,
		  struct error *err)
{
	int ret = require_verb(img, img->driver->compact,
			       "cannot be compacted", err);

	if (!ret && !result->dry_run)
		ret = require_writable(img, err);
	if (!ret)
		ret = img->driver->compact(img, result, err);
	return error_where(err, ret, img->path);
}
