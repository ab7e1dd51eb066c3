/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* make.c: see make.h. */
#include "image/graph/make.h"

#include <errno.h>
#include <string.h>

#include "image/driver.h"
#include "image/graph/format.h"
#include "image/graph/overwrite.h"
#include "image/graph/protocol.h"
#include "image/require.h"

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
	ret = require_writable(img, err);
	if (ret)
		return ret;
	ret = img->driver->amend(img, options, nr_options, flags, progress,
				 err);
	return error_where(err, ret, img->path);
}

const struct image_create_help *image_amend_options(const char *format)
{
	const struct image_driver *driver = image_find_format(format);

	return driver ? driver->amend_help : NULL;
}
