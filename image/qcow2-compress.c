/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-compress.c: compressed clusters, read.
 *
 * Specification, "Compressed Clusters Descriptor": the stream begins at any
 * byte and ends somewhere in its last 512-byte sector; what follows it there is
 * not ours. deflate streams are raw and use a window of at most 4 KiB; zstd
 * streams may be several frames. Whatever is in there, it is unpacked into
 * exactly one cluster, by a pool thread where clusters are large enough for it
 * to matter.
 *
 * The last cluster is kept, since guests read 64 KiB in small pieces.
 */
#include <errno.h>
#include <stdlib.h>

#include <zlib.h>

#include "config.h"
#ifdef HAVE_LIBZSTD
#include <zstd.h>
#endif

#include "common/cleanup.h"
#include "image/loop.h"
#include "image/qcow2.h"

#define WINDOW_BITS (-15)	/* raw; larger than needed does no harm */
#define OFFLOAD_MIN (32 * KiB)

struct inflate_job {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
	uint8_t type;
};

static int inflate_zlib(const struct inflate_job *j)
{
	z_stream z = {
		.next_in = (Bytef *)j->in,
		.avail_in = (uInt)j->in_len,
		.next_out = j->out,
		.avail_out = (uInt)j->out_len,
	};
	int ret;

	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* Full output with input left over: the sector's rest. */
	if (z.avail_out == 0 && (ret == Z_STREAM_END || ret == Z_BUF_ERROR ||
				 ret == Z_OK))
		return 0;
	return -EIO;
}

#ifdef HAVE_LIBZSTD
static int inflate_zstd(const struct inflate_job *j)
{
	ZSTD_inBuffer in = { j->in, j->in_len, 0 };
	ZSTD_outBuffer out = { j->out, j->out_len, 0 };
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t left = 1, before;

	if (!ctx)
		return -ENOMEM;
	while (out.pos < out.size) {
		before = in.pos + out.pos;
		left = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(left) || in.pos + out.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return out.pos == out.size && !ZSTD_isError(left) && !left ? 0 : -EIO;
}
#else
static int inflate_zstd(const struct inflate_job *j)
{
	return -ENOTSUP;
}
#endif

static int64_t run_inflate(void *arg)
{
	const struct inflate_job *j = arg;

	return j->type == QCOW2_COMPRESSION_ZSTD ? inflate_zstd(j) :
						   inflate_zlib(j);
}

/* co. The stream's sectors as far as the file has them. */
static int unpack(struct qcow2 *q, uint64_t entry, uint8_t *out)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(q->cluster_bits, entry);
	cleanup_free uint8_t *in = malloc(c.len);
	struct inflate_job job = {
		in, c.len, out, q->cluster_size, q->h.compression_type,
	};
	int ret;

	if (!in)
		return -ENOMEM;
	ret = image_pread(q->file, c.offset, c.len, in);
	if (ret)
		return ret;
	if (q->cluster_size < OFFLOAD_MIN)
		return (int)run_inflate(&job);
	return (int)loop_offload(q->img->loop, run_inflate, &job);
}

int qcow2_inflate(struct qcow2 *q, uint64_t entry, uint8_t *out)
{
	int ret;

	if (q->inflated_entry == entry) {
		memcpy(out, q->inflated, q->cluster_size);
		return 0;
	}
	ret = unpack(q, entry, out);
	if (ret)
		return ret;
	if (!q->inflated)
		q->inflated = malloc(q->cluster_size);
	if (q->inflated) {
		memcpy(q->inflated, out, q->cluster_size);
		q->inflated_entry = entry;
	}
	return 0;
}
