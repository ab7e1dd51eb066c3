/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdk-stream.c: writes to streamOptimized extents.
 *
 * A grain is compressed and put at the end of the file, behind a marker that
 * says which it is. What it held before is lost space: such images are for being
 * written once. A part of a grain costs reading it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "io/loop.h"
#include "image/formats/vmdk.h"

struct grain {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;			/* marker, data */
	uLongf out_len;			/* of the data */
};

static int64_t deflate_grain(void *arg)
{
	struct grain *g = arg;

	return compress(g->out + VMDK_MARKER_BYTES, &g->out_len, g->in,
			g->in_len) == Z_OK ? 0 : -EIO;
}

/* co, placing held. */
static int append_grain(struct vmdk_extent *e, uint64_t nr, struct grain *g)
{
	struct image *file = e->m.file;
	uint64_t host = align_up(max(file->size, e->overhead), SECTOR_SIZE);
	size_t len = VMDK_MARKER_BYTES + g->out_len;
	size_t padded = align_up(len, SECTOR_SIZE);
	int ret;

	if (host / SECTOR_SIZE > UINT32_MAX)
		return -EFBIG;
	if (!file->zero_beyond_end)
		return -ENOTSUP;	/* a device has no end to grow */
	store_le64(g->out, nr * (e->m.block_size / SECTOR_SIZE));
	store_le32(g->out + 8, (uint32_t)g->out_len);
	memset(g->out + len, 0, padded - len);
	ret = image_pwrite(file, host, padded, g->out);
	return ret ? ret : e->m.ops->enter(&e->m, nr, 1, host);
}

/* co. A part of one grain, or all of it. */
static int write_grain(struct vmdk_extent *e, uint64_t off, uint64_t len,
		       struct iow w)
{
	uint64_t size = e->m.block_size, nr = off / size, in = off % size;
	uint64_t there = min(size, e->m.size - nr * size);
	cleanup_free uint8_t *buf = calloc(1, size), *out = NULL;
	struct grain g = { .in = buf, .in_len = size };
	struct iovec iov = { buf, there };
	int ret = 0;

	g.out_len = compressBound(size);
	g.out = out = malloc(VMDK_MARKER_BYTES + g.out_len + SECTOR_SIZE);
	if (!buf || !out)
		return -ENOMEM;
	co_mutex_lock(&e->m.placing);
	if (len < there)
		ret = mapped_read(&e->m, nr * size, there, iow_of(&iov, 1));
	iow_to_buf(buf + in, w, len);
	if (!ret)
		ret = (int)loop_compute(e->m.img->loop, deflate_grain, &g);
	if (!ret)
		ret = append_grain(e, nr, &g);
	co_mutex_unlock(&e->m.placing);
	return ret;
}

int vmdk_stream_write(struct vmdk_extent *e, uint64_t off, uint64_t len,
		      struct iow w)
{
	int ret = 0;

	while (len && !ret) {
		uint64_t n = min(len, e->m.block_size - off % e->m.block_size);

		ret = write_grain(e, off, n, w);
		off += n;
		len -= n;
		w = iow_advance(w, n);
	}
	return ret;
}
