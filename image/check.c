/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check.c: see check.h. */
#include "image/check.h"

#include "image/driver.h"
#include "image/require.h"

int image_check(struct image *img, enum image_repair repair,
		struct image_check *result, struct error *err)
{
	int ret = require_verb(img, img->driver->check,
			       "have no metadata to check", err);

	if (!ret && repair != IMAGE_REPAIR_NONE && !result->dry_run)
		ret = require_writable(img, err);
	if (!ret)
		ret = img->driver->check(img, repair, result, err);
	return error_where(err, ret, img->path);
}
