/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* debug.c: see debug.h. */
#include "image/debug.h"

#include <errno.h>

#include "image/driver.h"

/* The nearest one below `img`, NULL: none. */
static struct image *find_debugger(struct image *img)
{
	while (img && !img->driver->debug_break)
		img = img->file;
	return img;
}

int image_break(struct image *img, const char *event, const char *tag)
{
	img = find_debugger(img);
	return img ? img->driver->debug_break(img, event, tag) : -ENOTSUP;
}

int image_resume(struct image *img, const char *tag, bool remove)
{
	img = find_debugger(img);
	return img ? img->driver->debug_resume(img, tag, remove) : -ENOTSUP;
}

bool image_is_suspended(struct image *img, const char *tag)
{
	img = find_debugger(img);
	return img && img->driver->debug_is_suspended(img, tag);
}
