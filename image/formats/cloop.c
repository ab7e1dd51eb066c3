/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cloop.c: compressed loop images, version 2, read.
 *
 *	128 bytes of a shell script
 *	block size, number of blocks n: 32 bits each, big-endian
 *	n + 1 offsets, 64 bits each: where blocks begin, and the last one ends
 *	blocks, each a zlib stream
 *
 * (Source: cloop's compressed_loop.h.)
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bits.h"
#include "image/driver.h"
#include "image/formats/mapped.h"
#include "image/formats/packed.h"

#define HEADER_BYTES 136
#define CLOOP_MAGIC "#!/bin/sh\n#V2.0 Format\n" \
	"modprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n"
#define MAX_BLOCK (64 * MiB)
#define MAX_OFFSETS (64 * MiB)		/* of 8 bytes each */
#define WINDOW_BITS 15

struct cloop {
	struct mapped m;
	uint64_t blocks;
};

/* Others wrote other scripts, but all begin like this. */
static bool cloop_probe(const char *path, const uint8_t *head, size_t len)
{
	size_t n = min(len, strlen(CLOOP_MAGIC));

	return n && !memcmp(head, CLOOP_MAGIC, n);
}

static int cloop_lookup(struct mapped *m, uint64_t block,
			struct mapped_block *b)
{
	uint8_t raw[16];
	uint64_t start, end;
	int ret = pages_read(&m->pages, HEADER_BYTES + block * 8, 16, raw);

	if (ret)
		return ret;
	start = load_be64(raw);
	end = load_be64(raw + 8);
	if (end < start || end - start > 2 * m->block_size)
		return -EIO;
	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_COMPRESSED;
	b->host_offset = start;
	b->packed = end - start;
	return 0;
}

static int cloop_unpack(struct mapped *m, const struct mapped_block *b,
			uint8_t *out, size_t len)
{
	return packed_inflate(m, b->host_offset, b->packed, out, len,
			      WINDOW_BITS);
}

static const struct mapped_ops cloop_ops = {
	.lookup = cloop_lookup,
	.unpack = cloop_unpack,
};

static int cloop_open(struct image *img, const struct image_options *opts,
		      struct error *err)
{
	struct cloop *c = img->state;
	uint8_t h[HEADER_BYTES];
	uint32_t block;
	int ret = image_pread(img->file, 0, sizeof(h), h);

	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	mapped_init(&c->m, &cloop_ops, img, img->file);
	block = load_be32(h + 128);
	c->blocks = load_be32(h + 132);
	if (!block || block % SECTOR_SIZE || block > MAX_BLOCK)
		return error_set(err, EINVAL, "block_size %u must be a "
				 "multiple of 512 up to %" PRIu64, block,
				 MAX_BLOCK);
	if (c->blocks >= MAX_OFFSETS)
		return error_set(err, EFBIG, "image requires too many offsets: "
				 "%" PRIu64 " blocks, at most %" PRIu64,
				 c->blocks, MAX_OFFSETS - 1);
	c->m.block_size = block;
	c->m.size = img->size = c->blocks * block;
	c->m.data_start = HEADER_BYTES;
	mapped_limits(img);
	return mapped_judge_table(img->file, "cloop offset table", HEADER_BYTES,
				  c->blocks + 1, 8, err);
}

static int cloop_get_info(struct image *img, struct image_info *info,
			  struct error *err)
{
	info->no_dirty_flag = true;	/* as qemu-img */
	return 0;
}

const struct image_driver image_cloop_driver = {
	.name = "cloop",
	.state_size = sizeof(struct cloop),
	.probe = cloop_probe,
	.open = cloop_open,
	.close = mapped_close,
	.preadv = mapped_preadv,
	.block_status = mapped_block_status,
	.get_info = cloop_get_info,
};
