/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * null.c: the protocol "null-co": zeroes, 1 GiB if nothing is said, that swallow
 * what is written.
 *
 * For benchmarks of everything above the disk.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/driver.h"

static int null_open(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	if (strcmp(img->path, "null-co://") && strcmp(img->path, "null-aio://"))
		return error_set(err, EINVAL, "'%s': the only names of this "
				 "protocol are 'null-co://' and 'null-aio://'",
				 img->path);
	img->size = 1 * GiB;
	img->limits.discard = true;
	return image_node_bytes(opts, "size", &img->size, err);
}

static int null_preadv(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	iow_zero(w, len);
	return 0;
}

static int null_pwritev(struct image *img, uint64_t off, uint64_t len,
			struct iow w)
{
	return 0;
}

static int null_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			      unsigned int flags)
{
	return 0;
}

static int null_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	return 0;
}

static int null_flush(struct image *img)
{
	return 0;
}

static int null_block_status(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out)
{
	*out = (struct image_extent){
		.length = len,
		.flags = IMAGE_EXTENT_ZERO | IMAGE_EXTENT_ALLOCATED |
			 IMAGE_EXTENT_OFFSET,
		.host_offset = off,
		.file = img,
	};
	return 0;
}

static int null_allocated_size(struct image *img, uint64_t *bytes)
{
	*bytes = 0;
	return 0;
}

const struct image_driver image_null_driver = {
	.name = "null-co",
	.node_options = (const char *const[]){
		"size", "latency-ns", "read-zeroes", NULL },
	.open = null_open,
	.preadv = null_preadv,
	.pwritev = null_pwritev,
	.pwrite_zeroes = null_pwrite_zeroes,
	.pdiscard = null_pdiscard,
	.flush = null_flush,
	.block_status = null_block_status,
	.allocated_size = null_allocated_size,
};
