/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.c: see resize.h. */
#include "image/resize.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/driver.h"
#include "image/require.h"

int image_truncate(struct image *img, uint64_t size, struct error *err)
{
	int ret = require_change(img, img->driver->truncate,
				 "cannot be resized", err);

	if (!ret)
		ret = img->driver->truncate(img, size, err);
	return error_where(err, ret, img->path);
}

static const char *const preallocation_names[] = {
	[IMAGE_PREALLOC_OFF] = "off",
	[IMAGE_PREALLOC_METADATA] = "metadata",
	[IMAGE_PREALLOC_FALLOC] = "falloc",
	[IMAGE_PREALLOC_FULL] = "full",
};

int image_parse_preallocation(const char *name, enum image_preallocation *mode)
{
	for (size_t i = 0; i < ARRAY_SIZE(preallocation_names); i++) {
		if (!strcmp(name, preallocation_names[i])) {
			*mode = (enum image_preallocation)i;
			return 0;
		}
	}
	return -EINVAL;
}

int image_preallocate(struct image *img, uint64_t off, uint64_t len,
		      enum image_preallocation mode, struct error *err)
{
	if (mode == IMAGE_PREALLOC_OFF || !len)
		return 0;
	if (!img->driver->preallocate)
		return error_set(err, ENOTSUP, "images of format '%s' cannot be "
				 "preallocated", img->driver->name);
	return img->driver->preallocate(img, off, len, mode, err);
}

#define PREALLOCATE_AT_ONCE (64 * MiB)

int image_grow(struct image *img, uint64_t size, enum image_preallocation mode,
	       const struct image_progress *progress, struct error *err)
{
	uint64_t old = img->size, off = old, n;
	int ret;

	if (size < old)
		return error_set(err, EINVAL, "%s would shrink", img->path);
	ret = image_truncate(img, size, err);
	if (ret || mode == IMAGE_PREALLOC_OFF)
		return ret;
	for (; !ret && off < img->size; off += n) {
		n = min(img->size - off, PREALLOCATE_AT_ONCE -
						 off % PREALLOCATE_AT_ONCE);
		ret = image_preallocate(img, off, n, mode, err);
		if (progress)
			progress->set(progress->arg, off + n - old,
				       img->size - old);
	}
	if (ret)
		image_truncate(img, old, NULL);
	return ret;
}
