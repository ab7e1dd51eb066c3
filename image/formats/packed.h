/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packed.h: compressed blocks of foreign images, read and unpacked, large ones
 * in another thread. One that wants too much of the loop's account of memory is
 * -EFBIG: there are formats with blocks of 64 MiB.
 */
#ifndef XD_IMAGE_PACKED_H
#define XD_IMAGE_PACKED_H

#include "image/formats/mapped.h"

/* co. Reads `packed` bytes at `off` and inflates exactly `len` bytes from them;
 * input left over is no matter. window_bits as zlib's. -EIO, -ENOMEM. */
int packed_inflate(struct mapped *m, uint64_t off, uint64_t packed,
		   uint8_t *out, size_t len, int window_bits);
/* co. The same, but the stream may end early: zeroes follow. */
int packed_inflate_some(struct mapped *m, uint64_t off, uint64_t packed,
			uint8_t *out, size_t len, int window_bits);
/* co. One whole bzip2 stream of exactly `len` bytes. -EIO, -ENOMEM; -ENOTSUP: not
 * built in (unpack_has_bzip2()). */
int packed_bunzip(struct mapped *m, uint64_t off, uint64_t packed,
		  uint8_t *out, size_t len);

#endif
