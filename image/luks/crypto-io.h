/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypto-io.h: reads and writes of an encrypted range of a file. */
#ifndef XD_IMAGE_CRYPTO_IO_H
#define XD_IMAGE_CRYPTO_IO_H

#include "image/crypto/crypto.h"
#include "image/image.h"

/* co. `len` bytes at `off` of `file`, whose first sector has the number `sector`
 * for its initialization vector. All in whole sectors. The caller's buffer is
 * never encrypted in place: it may be a guest's, or be needed afterwards. */
int crypto_preadv(struct crypto *c, struct image *file, uint64_t off,
		  uint64_t sector, uint64_t len, struct iow w);
int crypto_pwritev(struct crypto *c, struct image *file, uint64_t off,
		   uint64_t sector, uint64_t len, struct iow w);

/* The encryption of qcow and qcow2 before LUKS: AES-128-CBC under the first 16
 * bytes of the secret `id`, plain64 of the disk's sectors. NULL is -EINVAL that
 * names the option; -ENOENT: no such secret; -ENOTSUP: `img` was opened with
 * IMAGE_NO_LEGACY_AES. */
int crypto_open_legacy(const struct image *img, const char *id,
		       struct crypto **out, struct error *err);

#endif
