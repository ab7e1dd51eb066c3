/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backing.c: see backing.h. */
#include "image/graph/backing.h"

#include <stddef.h>

#include "image/graph/chain.h"
#include "image/driver.h"
#include "image/graph/files.h"
#include "image/graph/open.h"
#include "image/graph/overwrite.h"
#include "image/require.h"

int image_change_backing(struct image *img, const char *file,
			 const char *format, struct error *err)
{
	int ret = require_change(img, img->driver->change_backing,
				 "have no backing file", err);

	if (!ret)
		ret = image_judge_names(img, file, format, NULL, err);
	if (!ret)
		ret = img->driver->change_backing(img, file, format, err);
	return error_where(err, ret, img->path);
}

int image_make_empty(struct image *img, struct error *err)
{
	int ret = require_change(img, img->driver->make_empty,
				 "cannot be emptied", err);

	if (!ret)
		ret = img->driver->make_empty(img, err);
	return error_where(err, ret, img->path);
}

int image_switch_backing(struct image *img, const char *path,
			 const char *format, const struct image_node *node,
			 enum image_cache cache, struct image **old,
			 struct error *err)
{
	const struct image_node over = { .backing = node };
	struct image_options opts = img->options;
	int ret = 0;

	chain_free(img);
	*old = img->backing;
	img->backing = NULL;
	img->options.node = &over;	/* the other tells of the old one */
	img->options.flags |= node ? IMAGE_TESTING : 0;
	img->options.cache = cache;
	img->options.writable_backing = 0;
	if (path)
		ret = image_name_backing(img, path, format);
	if (path && !ret)
		ret = image_open_chain(img, err);
	img->options = opts;
	if (!ret)
		ret = image_judge_writable(img, err);
	if (ret) {
		image_give_up(img->backing);
		img->backing = *old;
	} else if (*old) {
		(*old)->overlay = NULL;
	}
	return ret;
}
