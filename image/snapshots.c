/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshots.c: see snapshots.h. */
#include "image/snapshots.h"

#include <errno.h>

#include "image/driver.h"
#include "image/require.h"

static int require_snapshots(const struct image *img, struct error *err)
{
	return require_change(img, img->driver->snapshot_create,
			      "have no snapshots", err);
}

int image_snapshot_create(struct image *img, const char *name,
			  struct error *err)
{
	int ret = require_snapshots(img, err);

	if (!ret)
		ret = img->driver->snapshot_create(img, name, err);
	return error_where(err, ret, img->path);
}

int image_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err)
{
	int ret = require_snapshots(img, err);

	if (!ret)
		ret = img->driver->snapshot_apply(img, id_or_name, err);
	return error_where(err, ret, img->path);
}

int image_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err)
{
	int ret = require_snapshots(img, err);

	if (!ret)
		ret = img->driver->snapshot_delete(img, name_or_id, err);
	return error_where(err, ret, img->path);
}

int image_vmstate_preadv(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	if (!img->driver->vmstate_preadv)
		return -ENOTSUP;
	return len ? img->driver->vmstate_preadv(img, off, len, w) : 0;
}

int image_vmstate_pwritev(struct image *img, uint64_t off, uint64_t len,
			  struct iow w)
{
	if (!img->driver->vmstate_pwritev)
		return -ENOTSUP;
	if (!(img->flags & IMAGE_RDWR))
		return -EROFS;
	return len ? img->driver->vmstate_pwritev(img, off, len, w) : 0;
}
