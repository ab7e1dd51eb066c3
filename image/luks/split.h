/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* split.h: a key spread so far that erasing part of it is enough. */
#ifndef XD_IMAGE_LUKS_SPLIT_H
#define XD_IMAGE_LUKS_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "image/crypto/crypto.h"

/* The anti-forensic splitter of LUKS: `key` as `stripes` times its length, of
 * which not a byte may be missing to get it back. */
int luks_split(enum crypto_hash hash, const uint8_t *key, size_t len,
	       uint32_t stripes, uint8_t *out);
int luks_merge(enum crypto_hash hash, const uint8_t *in, size_t len,
	       uint32_t stripes, uint8_t *key);

#endif
