/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.c: see create.h. */
#include "image/graph/create.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "common/cleanup.h"
#include "image/driver.h"
#include "image/graph/open.h"
#include "image/host-file.h"

int create_file(struct loop *loop, const char *path, uint64_t len,
		uint64_t head, struct image **out, struct error *err)
{
	struct image_options opts = {
		.flags = IMAGE_RDWR,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	cleanup_free char *name = NULL;
	int ret;

	/* A file it is, even if its name looks like another protocol's. */
	if (asprintf(&name, "file:%s", path) < 0)
		return -ENOMEM;
	ret = host_file_create(loop, path, len, NULL, 0, err);
	if (!ret)
		ret = image_open(loop, name, "raw", &opts, out, err);
	if (ret || (*out)->file->zero_beyond_end)
		return ret;
	ret = image_pwrite_zeroes(*out, 0, head, 0);
	return ret ? create_done(*out, ret, err) : 0;
}

int create_done(struct image *img, int ret, struct error *err)
{
	if (!ret)
		ret = image_flush(img);
	if (ret)
		error_set_errno(err, -ret, "could not write '%s'",
				image_path(img));
	image_close(img, NULL);
	return ret;
}

int create_uuid(uint8_t uuid[16])
{
	if (getrandom(uuid, 16, 0) != 16)
		return -EIO;
	uuid[6] = (uuid[6] & 0x0f) | 0x40;
	uuid[8] = (uuid[8] & 0x3f) | 0x80;
	return 0;
}
