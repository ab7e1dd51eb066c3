/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-verbs.c: what is done with an image as a whole: other sizes and backing
 * images, snapshots, info, check, create. Judged here, done by the drivers.
 */
#include "image/image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/chain.h"
#include "image/driver.h"
#include "image/protocol.h"

int image_truncate(struct image *img, uint64_t size, struct error *err)
{
	int ret;

	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	if (!img->driver->truncate)
		return error_set(err, ENOTSUP, "images of format '%s' cannot be "
				 "resized", img->driver->name);
	chain_forget(img);
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

/* ---- the backing image ---- */

static int judge_change(const struct image *img, bool can, const char *what,
			struct error *err)
{
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	if (!can)
		return error_set(err, ENOTSUP, "images of format '%s' %s",
				 img->driver->name, what);
	return 0;
}

int image_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err)
{
	int ret = judge_change(img, img->driver->change_backing,
			       "have no backing file", err);

	if (!ret)
		ret = image_judge_names(img, file, format, NULL, err);
	if (!ret)
		ret = img->driver->change_backing(img, file, format, err);
	return error_where(err, ret, img->path);
}

int image_make_empty(struct image *img, struct error *err)
{
	int ret = judge_change(img, img->driver->make_empty,
			       "cannot be emptied", err);

	if (!ret)
		ret = img->driver->make_empty(img, err);
	return error_where(err, ret, img->path);
}

/* ---- internal snapshots ---- */

static int judge_snapshots(const struct image *img, struct error *err)
{
	if (!img->driver->snapshot_create)
		return error_set(err, ENOTSUP, "images of format '%s' have no "
				 "snapshots", img->driver->name);
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	return 0;
}

int image_snapshot_create(struct image *img, const char *name,
			  struct error *err)
{
	int ret = judge_snapshots(img, err);

	if (!ret)
		ret = img->driver->snapshot_create(img, name, err);
	return error_where(err, ret, img->path);
}

int image_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err)
{
	int ret = judge_snapshots(img, err);

	if (!ret)
		ret = img->driver->snapshot_apply(img, id_or_name, err);
	return error_where(err, ret, img->path);
}

int image_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err)
{
	int ret = judge_snapshots(img, err);

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

int image_compact(struct image *img, struct image_compact *result,
		  struct error *err)
{
	int ret;

	if (!img->driver->compact)
		return error_set(err, ENOTSUP, "images of format '%s' cannot be "
				 "compacted", img->driver->name);
	if (!result->dry_run && !(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	ret = img->driver->compact(img, result, err);
	return error_where(err, ret, img->path);
}

/* ---- info, check, create ---- */

int image_get_info(struct image *img, struct image_info *info,
		   struct error *err)
{
	memset(info, 0, sizeof(*info));
	if (!img->driver->get_info)
		return 0;
	return img->driver->get_info(img, info, err);
}

void image_info_free(struct image_info *info)
{
	for (unsigned int i = 0; i < info->nr_snapshots; i++) {
		free(info->snapshots[i].id);
		free(info->snapshots[i].name);
	}
	free(info->snapshots);
	for (unsigned int i = 0; i < info->nr_bitmaps; i++)
		free(info->bitmaps[i].name);
	free(info->bitmaps);
	free(info->backing_file);
	free(info->backing_format);
	free(info->data_file);
	for (unsigned int i = 0; i < info->nr_extents; i++)
		free(info->extents[i].filename);
	free(info->extents);
	free(info->create_type);
	memset(info, 0, sizeof(*info));
}

int image_check(struct image *img, enum image_repair repair,
		struct image_check *result, struct error *err)
{
	int ret;

	if (!img->driver->check)
		return error_set(err, ENOTSUP, "images of format '%s' have no "
				 "metadata to check", img->driver->name);
	if (repair != IMAGE_REPAIR_NONE && !result->dry_run &&
	    !(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	ret = img->driver->check(img, repair, result, err);
	return error_where(err, ret, img->path);
}

int image_create(struct loop *loop, const char *path, const char *format,
		 uint64_t size, const struct image_create_option *options,
		 unsigned int nr_options, struct error *err)
{
	const struct image_driver *driver = image_find_format(format);
	const struct image_driver *protocol;
	int ret;

	if (!driver)
		return error_set(err, ENOTSUP, "unknown format '%s' (known: "
				 "%s)", format, image_format_names());
	if (!driver->create)
		return error_set(err, ENOTSUP, "images of format '%s' can be "
				 "read but not created", format);
	protocol = protocol_of(&path, err);
	if (!protocol)
		return -ENOTSUP;
	if (!protocol->host_file)
		return error_set(err, ENOTSUP, "'%s': nothing can be created "
				 "by the protocol %s, only written to what is "
				 "there (convert -n)", path, protocol->name);
	ret = image_judge_backing(loop, path, options, nr_options, err);
	return ret ? ret : driver->create(loop, path, size, options, nr_options,
					  err);
}

int image_measure(const char *format, uint64_t size,
		  const struct image_create_option *options,
		  unsigned int nr_options, struct image *from,
		  struct image_measure *out, struct error *err)
{
	const struct image_driver *driver = image_find_format(format);

	if (!driver)
		return error_set(err, ENOTSUP, "Unknown file format '%s'",
				 format);
	if (!driver->measure)
		return error_set(err, ENOTSUP, "Block driver '%s' does not "
				 "support size measurement", format);
	memset(out, 0, sizeof(*out));
	return driver->measure(from ? from->size : size, options, nr_options,
			       from, out, err);
}

const struct image_create_help *image_create_options(const char *format)
{
	const struct image_driver *driver = image_find_format(format);

	return driver ? driver->create_help : NULL;
}

int image_amend(struct image *img, const struct image_create_option *options,
		unsigned int nr_options, unsigned int flags,
		const struct image_progress *progress, struct error *err)
{
	int ret;

	if (!img->driver->amend)
		return error_set(err, ENOTSUP, "Format driver '%s' does not "
				 "support option amendment", img->driver->name);
	if (!(img->flags & IMAGE_RDWR))
		return error_set(err, EROFS, "%s is opened read-only", img->path);
	ret = img->driver->amend(img, options, nr_options, flags, progress,
				 err);
	return error_where(err, ret, img->path);
}

const struct image_create_help *image_amend_options(const char *format)
{
	const struct image_driver *driver = image_find_format(format);

	return driver ? driver->amend_help : NULL;
}
