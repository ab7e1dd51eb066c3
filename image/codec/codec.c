/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * codec.c: see codec.h. At the default level deflate is deflate.c's, at others
 * zlib's. Unpacking is libdeflate's, where there is one: it takes less than two
 * thirds of the time. It knows only whole streams, so what it refuses is zlib's,
 * too, to judge.
 *
 * deflate takes longest over what it cannot pack: encrypted or compressed data
 * is half of many disks. So it is not tried on bytes that are evenly distributed
 * and hardly repeat each other.
 */
#include "image/codec/codec.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "config.h"
#ifdef HAVE_LIBZSTD
#include <zstd.h>
#endif
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "common/bits.h"
#include "image/codec/deflate.h"

#define UNPACK_WINDOW_BITS (-15)	/* raw; larger than needed does no harm */
#define PACK_WINDOW_BITS (-12)		/* what QEMU unpacks with */
#define PACK_MEM_LEVEL 9

struct workspace {
	z_stream deflate, inflate;
	bool has_deflate, has_inflate;
	int level;			/* of `deflate` */
	struct deflate *fast;
#ifdef HAVE_LIBDEFLATE
	struct libdeflate_decompressor *whole;
#endif
#ifdef HAVE_LIBZSTD
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
#endif
};

/* ---- a thread's workspace ---- */

static pthread_key_t key;		/* for its destructor alone */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static __thread struct workspace *mine;

static void workspace_free(void *arg)
{
	struct workspace *w = arg;

	if (w->has_deflate)
		deflateEnd(&w->deflate);
	if (w->has_inflate)
		inflateEnd(&w->inflate);
	deflate_free(w->fast);
#ifdef HAVE_LIBDEFLATE
	libdeflate_free_decompressor(w->whole);
#endif
#ifdef HAVE_LIBZSTD
	ZSTD_freeCCtx(w->pack);
	ZSTD_freeDCtx(w->unpack);
#endif
	free(w);
}

static void make_key(void)
{
	pthread_key_create(&key, workspace_free);
}

static struct workspace *workspace(void)
{
	if (mine)
		return mine;
	pthread_once(&once, make_key);
	mine = calloc(1, sizeof(*mine));
	if (mine)
		pthread_setspecific(key, mine);
	return mine;
}

/* ---- deflate ---- */

static int prepare_deflate(struct workspace *w, int level)
{
	if (w->has_deflate && w->level == level)
		return deflateReset(&w->deflate);
	if (w->has_deflate)
		deflateEnd(&w->deflate);
	w->deflate = (z_stream){ 0 };
	w->level = level;
	w->has_deflate = deflateInit2(&w->deflate,
				      level, Z_DEFLATED, PACK_WINDOW_BITS,
				      PACK_MEM_LEVEL,
				      Z_DEFAULT_STRATEGY) == Z_OK;
	return w->has_deflate ? Z_OK : Z_MEM_ERROR;
}

static int prepare_inflate(struct workspace *w)
{
	if (w->has_inflate)
		return inflateReset(&w->inflate);
	w->inflate = (z_stream){ 0 };
	w->has_inflate = inflateInit2(&w->inflate, UNPACK_WINDOW_BITS) == Z_OK;
	return w->has_inflate ? Z_OK : Z_MEM_ERROR;
}

static void point(z_stream *z, const struct codec_job *j)
{
	z->next_in = (Bytef *)j->in;
	z->avail_in = (uInt)j->in_len;
	z->next_out = j->out;
	z->avail_out = (uInt)j->out_len;
}

/* Is no byte likelier than others? Then Huffman codes save less than 1 in 800:
 * Renyi's entropy, which is not above Shannon's, is 7.99 bits a byte. */
static bool evenly_distributed(const uint8_t *in, size_t len)
{
	uint32_t count[256] = { 0 };
	uint64_t squares = 0;

	for (size_t i = 0; i < len; i++)
		count[in[i]]++;
	for (int i = 0; i < 256; i++)
		squares += (uint64_t)count[i] * count[i];
	return squares * 256 <= (uint64_t)len * len / 1000 * 1007;
}

/* Do four bytes come again within the window more often than by chance? */
static bool repeats(const uint8_t *in, size_t len)
{
	static const unsigned int enough = 4;
	uint32_t last[4096] = { 0 }, word, before;
	unsigned int n = 0;

	for (uint32_t i = 1; i + 4 <= len && n < enough; i++) {
		uint32_t *slot;

		memcpy(&word, in + i, 4);
		slot = &last[word * 2654435761u >> 20];
		memcpy(&before, in + *slot, 4);
		n += *slot && before == word && i - *slot <= DEFLATE_WINDOW;
		*slot = i;
	}
	return n == enough;
}

static int64_t pack_fast(struct workspace *w, const struct codec_job *j)
{
	if (!w->fast)
		w->fast = deflate_new();
	if (!w->fast)
		return -ENOMEM;
	return deflate_block(w->fast, j->in, j->in_len, j->out, j->out_len);
}

static int64_t pack_deflate(struct workspace *w, const struct codec_job *j)
{
	if (j->out_len < j->in_len && evenly_distributed(j->in, j->in_len) &&
	    !repeats(j->in, j->in_len))
		return -E2BIG;
	if (!j->level)
		return pack_fast(w, j);
	if (prepare_deflate(w, j->level) != Z_OK)
		return -ENOMEM;
	point(&w->deflate, j);
	return deflate(&w->deflate, Z_FINISH) == Z_STREAM_END ?
		       (int64_t)(j->out_len - w->deflate.avail_out) : -E2BIG;
}

#ifdef HAVE_LIBDEFLATE
static bool unpack_whole(struct workspace *w, struct codec_job *j)
{
	size_t written;

	if (!w->whole)
		w->whole = libdeflate_alloc_decompressor();
	return w->whole &&
	       libdeflate_deflate_decompress_ex(w->whole, j->in, j->in_len,
						j->out, j->out_len, &j->in_used,
						&written) == LIBDEFLATE_SUCCESS &&
	       written == j->out_len;
}
#else
static bool unpack_whole(struct workspace *w, struct codec_job *j)
{
	return false;
}
#endif

static int unpack_deflate(struct workspace *w, struct codec_job *j)
{
	int ret;

	if (unpack_whole(w, j))
		return 0;
	j->in_used = j->in_len;
	if (prepare_inflate(w) != Z_OK)
		return -ENOMEM;
	point(&w->inflate, j);
	ret = inflate(&w->inflate, Z_FINISH);
	if (ret == Z_STREAM_END)
		j->in_used = j->in_len - w->inflate.avail_in;
	/* Full output with input left over: what follows the block. */
	return !w->inflate.avail_out && (ret == Z_STREAM_END ||
					 ret == Z_BUF_ERROR || ret == Z_OK) ?
		       0 : -EIO;
}

/* ---- zstd ---- */

#ifdef HAVE_LIBZSTD
static int64_t pack_zstd(struct workspace *w, const struct codec_job *j)
{
	size_t n;

	if (!w->pack)
		w->pack = ZSTD_createCCtx();
	if (!w->pack)
		return -ENOMEM;
	n = ZSTD_compressCCtx(w->pack, j->out, j->out_len, j->in, j->in_len,
			      j->level ? j->level : ZSTD_CLEVEL_DEFAULT);
	return ZSTD_isError(n) ? -E2BIG : (int64_t)n;
}

/* Frame by frame, straight to where it belongs: as a stream each could want a
 * window of 128 MiB in every thread. */
static int unpack_zstd(struct workspace *w, struct codec_job *j)
{
	size_t done = 0, frame, n;

	if (!w->unpack)
		w->unpack = ZSTD_createDCtx();
	if (!w->unpack)
		return -ENOMEM;
	for (j->in_used = 0; done < j->out_len; j->in_used += frame) {
		frame = ZSTD_findFrameCompressedSize(j->in + j->in_used,
						     j->in_len - j->in_used);
		if (ZSTD_isError(frame))
			return -EIO;
		n = ZSTD_decompressDCtx(w->unpack, j->out + done,
					j->out_len - done, j->in + j->in_used,
					frame);
		if (ZSTD_isError(n))
			return -EIO;
		done += n;
	}
	return 0;
}
#else
static int64_t pack_zstd(struct workspace *w, const struct codec_job *j)
{
	return -ENOTSUP;
}

static int unpack_zstd(struct workspace *w, struct codec_job *j)
{
	return -ENOTSUP;
}
#endif

/* ---- */

int64_t codec_pack(void *arg)
{
	const struct codec_job *j = arg;
	struct workspace *w = workspace();

	if (!w)
		return -ENOMEM;
	return j->type == CODEC_ZSTD ? pack_zstd(w, j) : pack_deflate(w, j);
}

int64_t codec_unpack(void *arg)
{
	struct codec_job *j = arg;
	struct workspace *w = workspace();

	if (!w)
		return -ENOMEM;
	j->in_used = j->in_len;
	return j->type == CODEC_ZSTD ? unpack_zstd(w, j) :
				       unpack_deflate(w, j);
}
