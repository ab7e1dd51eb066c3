/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unpack.c: see unpack.h. */
#include "config.h"

#include "image/codec/unpack.h"

#include <errno.h>
#include <string.h>

#include <zlib.h>
#ifdef HAVE_LIBBZ2
#include <bzlib.h>
#endif

int unpack_inflate(const void *in, size_t in_len, void *out, size_t len,
		   int window_bits, bool may_end)
{
	z_stream z = {
		.next_in = (Bytef *)in,
		.avail_in = (uInt)in_len,
		.next_out = out,
		.avail_out = (uInt)len,
	};
	int ret;

	if (inflateInit2(&z, window_bits) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (ret == Z_STREAM_END && may_end) {
		memset(z.next_out, 0, z.avail_out);
		z.avail_out = 0;
	}
	if (z.avail_out || (ret != Z_STREAM_END && ret != Z_BUF_ERROR &&
			    ret != Z_OK))
		return -EIO;
	return 0;
}

#ifdef HAVE_LIBBZ2
/* The checksum of what came out stands behind it, so a stream that has not ended
 * has not been checked. */
int unpack_bzip2(const void *in, size_t in_len, void *out, size_t len)
{
	bz_stream z = {
		.next_in = (char *)in,
		.avail_in = (unsigned int)in_len,
		.next_out = out,
		.avail_out = (unsigned int)len,
	};
	int ret;

	if (BZ2_bzDecompressInit(&z, 0, 0) != BZ_OK)
		return -ENOMEM;
	ret = BZ2_bzDecompress(&z);
	BZ2_bzDecompressEnd(&z);
	if (ret == BZ_MEM_ERROR)
		return -ENOMEM;
	return ret == BZ_STREAM_END && !z.avail_out ? 0 : -EIO;
}

bool unpack_has_bzip2(void)
{
	return true;
}
#else
int unpack_bzip2(const void *in, size_t in_len, void *out, size_t len)
{
	return -ENOTSUP;
}

bool unpack_has_bzip2(void)
{
	return false;
}
#endif
