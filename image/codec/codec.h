/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * codec.h: one block of bytes packed or unpacked: raw deflate, zstd.
 *
 * Both functions are work for loop_compute(); they take a struct codec_job and
 * may run in any thread. A thread keeps its workspace until it ends.
 */
#ifndef XD_IMAGE_CODEC_H
#define XD_IMAGE_CODEC_H

#include <stddef.h>
#include <stdint.h>

enum codec_type { CODEC_DEFLATE, CODEC_ZSTD };

struct codec_job {
	enum codec_type type;
	int level;			/* of packing, 0: the default */
	const uint8_t *in;
	size_t in_len;
	size_t in_used;			/* of unpacking: filled in, or in_len
					 * where the end cannot be told */
	uint8_t *out;
	size_t out_len;			/* room, or what must come out */
};

/* Bytes written to `out`; -E2BIG: there is no room for them, or no hope for
 * it. deflate with a window of 4 KiB. -ENOMEM, -ENOTSUP (built without). */
int64_t codec_pack(void *job);
/* 0. Exactly out_len bytes out of the first ones of `in`, what follows them is
 * ignored. -EIO: they are not there. -ENOMEM, -ENOTSUP. */
int64_t codec_unpack(void *job);

#endif
