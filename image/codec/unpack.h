/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unpack.h: whole streams of zlib and bzip2, unpacked in one go.
 *
 * For foreign images; qcow2 has codec.h. All input and all room are there: one
 * call goes through, or never will.
 */
#ifndef XD_IMAGE_UNPACK_H
#define XD_IMAGE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>

/* Exactly `len` bytes; input left over is no matter. may_end: the stream may end
 * early, zeroes follow. window_bits as zlib's. -EIO, -ENOMEM */
int unpack_inflate(const void *in, size_t in_len, void *out, size_t len,
		   int window_bits, bool may_end);
/* A whole stream of exactly `len` bytes. -EIO, -ENOMEM; -ENOTSUP: not built in. */
int unpack_bzip2(const void *in, size_t in_len, void *out, size_t len);
bool unpack_has_bzip2(void);

#endif
