/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* format.c: see format.h. */
#include "image/graph/format.h"

#include <stdio.h>
#include <string.h>

#include "image/driver.h"
#include "image/graph/protocol.h"

const struct image_driver *image_find_format(const char *name)
{
	for (size_t i = 0; image_formats[i]; i++)
		if (!strcmp(name, image_formats[i]->name))
			return image_formats[i];
	return NULL;
}

const char *image_backing_format(const char *name)
{
	if (name && protocol_of_host(name))
		return "raw";
	return name && image_find_format(name) ? name : NULL;
}

bool image_format_known(const char *name)
{
	return image_find_format(name);
}

const char *image_format_names(void)
{
	static char names[256];
	size_t len = 0;

	for (size_t i = 0; image_formats[i] && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len,
					"%s%s", i ? " " : "",
					image_formats[i]->name);
	return names;
}

const char *const *image_node_options(const char *name)
{
	const struct image_driver *driver = image_find_format(name);

	if (!driver)
		driver = protocol_named(name, NULL);
	return driver ? driver->node_options : NULL;
}

bool image_can_compress(const char *format)
{
	const struct image_driver *driver = image_find_format(format);

	return driver && driver->pwritev_compressed;
}

bool image_can_have_bitmaps(const char *format)
{
	const struct image_driver *driver = image_find_format(format);

	return driver && driver->bitmap;
}
