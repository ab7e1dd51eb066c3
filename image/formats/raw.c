/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * raw.c: an image that is nothing but its bytes.
 *
 * Or a part of them, if a person says so ("offset", "size").
 *
 * A file that ends within a sector is presented up to the end of that sector,
 * as QEMU does: what is missing reads as zeroes, and comes to be when written.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bits.h"
#include "image/create-options.h"
#include "image/driver.h"
#include "image/graph/make.h"
#include "image/host-file.h"

/* The part of the file that is the disk. */
struct raw {
	uint64_t start;			/* bytes */
	bool has_size;			/* the rest of the file is not its */
};

static int take_part(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	uint64_t size = UINT64_MAX, most = img->file->size;
	struct raw *r = img->state;
	int ret = image_node_bytes(opts, "offset", &r->start, err);

	if (!ret)
		ret = image_node_bytes(opts, "size", &size, err);
	if (ret)
		return ret;
	if (r->start > most)
		return error_set(err, EINVAL, "Offset (%" PRIu64 ") cannot be "
				 "greater than size of the containing file "
				 "(%" PRIu64 ")", r->start, most);
	r->has_size = size != UINT64_MAX;
	if (r->has_size && size > most - r->start)
		return error_set(err, EINVAL, "The sum of offset (%" PRIu64 ") "
				 "and size (%" PRIu64 ") has to be smaller or "
				 "equal to the actual size of the containing "
				 "file (%" PRIu64 ")", r->start, size, most);
	if (r->has_size && !is_aligned(size, SECTOR_SIZE))
		return error_set(err, EINVAL, "Specified size is not multiple "
				 "of %d", (int)SECTOR_SIZE);
	img->size = r->has_size ? size : align_up(most - r->start, SECTOR_SIZE);
	return 0;
}

static int raw_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	const struct raw *r = img->state;
	int ret = take_part(img, opts, err);

	img->limits = img->file->limits;
	img->zero_beyond_end = img->file->zero_beyond_end && !r->has_size;
	return ret;
}

static int raw_preadv(struct image *img, uint64_t off, uint64_t len,
		      struct iow w)
{
	const struct raw *r = img->state;

	image_event(img->file, IMAGE_EVENT_READ_AIO);
	return image_preadv(img->file, r->start + off, len, w);
}

/* O_DIRECT writes whole blocks: what the last one has too much goes again, or
 * the disk would be larger the next time it is opened. */
static int cut_padding(struct image *img, int ret)
{
	const struct raw *r = img->state;

	if (likely(ret || r->has_size ||
		   img->file->size <= r->start + img->size))
		return ret;
	return image_truncate(img->file, r->start + img->size, NULL);
}

static int raw_pwritev(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	const struct raw *r = img->state;

	image_event(img->file, IMAGE_EVENT_WRITE_AIO);
	return cut_padding(img, image_pwritev(img->file, r->start + off, len,
					      w));
}

/* The sector that a file's end cuts is not all there to be copied. */
static int raw_copy_range(struct image *img, uint64_t off, struct image *from,
			  uint64_t from_off, uint64_t len)
{
	const struct raw *r = img->state, *from_raw = from->state;

	from_off += from_raw->start;
	if (!range_within(from_off, len, from->file->size))
		return -EOPNOTSUPP;
	return image_copy_range(img->file, r->start + off, from->file, from_off,
				len);
}

static int raw_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			     unsigned int flags)
{
	const struct raw *r = img->state;

	return cut_padding(img, image_pwrite_zeroes(img->file, r->start + off,
						    len, flags));
}

static int raw_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	const struct raw *r = img->state;

	if (!(img->flags & IMAGE_UNMAP))
		return 0;
	return image_pdiscard(img->file, r->start + off, len);
}

static int raw_truncate(struct image *img, uint64_t size, struct error *err)
{
	const struct raw *r = img->state;
	int ret;

	if (r->has_size)
		return error_set(err, ENOTSUP, "Cannot resize fixed-size raw "
				 "disks");
	if (size > INT64_MAX - r->start)
		return error_set(err, EINVAL, "Disk size too large for the "
				 "chosen offset");
	ret = image_truncate(img->file, r->start + size, err);
	if (!ret)
		img->size = align_up(size, SECTOR_SIZE);
	return ret;
}

static int raw_preallocate(struct image *img, uint64_t off, uint64_t len,
			   enum image_preallocation mode, struct error *err)
{
	const struct raw *r = img->state;

	if (mode == IMAGE_PREALLOC_METADATA)
		return error_set(err, ENOTSUP, "Unsupported preallocation mode: "
				 "metadata (raw images have none)");
	off += r->start;
	len = min(len, img->file->size - min(off, img->file->size));
	return image_preallocate(img->file, off, len, mode, err);
}

static int raw_block_status(struct image *img, uint64_t off, uint64_t len,
			    struct image_extent *out)
{
	const struct raw *r = img->state;

	off += r->start;
	if (off < img->file->size)
		return image_block_status(img->file, off,
					  min(len, img->file->size - off), out);
	/* The sector that the file's end cuts goes on as a hole of it. */
	*out = (struct image_extent){
		.length = len,
		.flags = IMAGE_EXTENT_ZERO | IMAGE_EXTENT_ALLOCATED |
			 IMAGE_EXTENT_OFFSET,
		.host_offset = off,
		.file = img->file,
	};
	return 0;
}

static int raw_measure(uint64_t size, const struct image_create_option *options,
		       unsigned int nr_options, struct image *from,
		       struct image_measure *out, struct error *err)
{
	struct create_args args = { host_file_create_help, options,
				    nr_options };
	int ret = create_judge(&args, err);

	if (ret)
		return ret;
	out->required = out->fully_allocated = align_up(size, SECTOR_SIZE);
	return 0;
}

const struct image_driver image_raw_driver = {
	.name = "raw",
	.state_size = sizeof(struct raw),
	.grows_as_file = true,
	.node_options = (const char *const[]){ "offset", "size", NULL },
	.open = raw_open,
	.preadv = raw_preadv,
	.pwritev = raw_pwritev,
	.copy_range = raw_copy_range,
	.pwrite_zeroes = raw_pwrite_zeroes,
	.pdiscard = raw_pdiscard,
	.truncate = raw_truncate,
	.preallocate = raw_preallocate,
	.block_status = raw_block_status,
	.create = host_file_create,
	.create_help = host_file_create_help,
	.measure = raw_measure,
};
