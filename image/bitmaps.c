/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmaps.c: see bitmaps.h.
 *
 * The estimate of space is for qcow2: a directory, and for each bitmap a table and all
 * its bits, in whole clusters.
 */
#include "image/bitmaps.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/driver.h"
#include "image/require.h"

#define DIRECTORY_ENTRY 24u

int image_bitmap(struct image *img, enum image_bitmap_op op, const char *name,
		 const struct image_bitmap_args *args, struct error *err)
{
	int ret = require_change(img, img->driver->bitmap,
				 "cannot store dirty bitmaps", err);

	if (!ret)
		ret = img->driver->bitmap(img, op, name, args, err);
	return error_where(err, ret, img->path);
}

static int copy_one(struct image *from, struct image *to,
		    const struct image_info_bitmap *b, struct error *err)
{
	struct image_bitmap_args args = {
		.granularity = b->granularity,
		.source = from,
		.source_name = b->name,
	};
	int ret = image_bitmap(to, IMAGE_BITMAP_ADD, b->name, &args, err);

	if (!ret)
		ret = image_bitmap(to, IMAGE_BITMAP_MERGE, b->name, &args, err);
	if (!ret && !b->enabled)
		ret = image_bitmap(to, IMAGE_BITMAP_DISABLE, b->name, NULL,
				   err);
	return error_prefix(ret ? err : NULL, ret, "Failed to copy bitmap '%s'",
			    b->name);
}

int image_copy_bitmaps(struct image *from, struct image *to, bool skip_broken,
		       struct error *err)
{
	struct image_info info;
	int ret = image_get_info(from, &info, err);

	for (unsigned int i = 0; !ret && !skip_broken && i < info.nr_bitmaps;
	     i++)
		if (info.bitmaps[i].in_use)
			ret = error_set(err, EINVAL, "Cannot copy inconsistent "
					"bitmap '%s'", info.bitmaps[i].name);
	for (unsigned int i = 0; !ret && i < info.nr_bitmaps; i++)
		if (!info.bitmaps[i].in_use)
			ret = copy_one(from, to, &info.bitmaps[i], err);
	image_info_free(&info);
	return ret;
}

uint64_t image_bitmaps_space(const struct image_info *info, uint64_t size,
			     uint32_t cluster_size)
{
	uint64_t space = 0, directory = 0;

	for (unsigned int i = 0; i < info->nr_bitmaps; i++) {
		const struct image_info_bitmap *b = &info->bitmaps[i];
		uint64_t bytes, clusters;

		if (b->in_use)
			continue;
		bytes = div_round_up(div_round_up(size, b->granularity), 8);
		clusters = div_round_up(bytes, cluster_size);
		space += clusters * cluster_size +
			 align_up(clusters * 8, cluster_size);
		directory += align_up(DIRECTORY_ENTRY + strlen(b->name), 8);
	}
	return space + align_up(directory, cluster_size);
}
