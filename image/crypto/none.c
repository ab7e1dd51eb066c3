/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* none.c: crypto.h in a build without libgcrypt. */
#include <errno.h>

#include "image/crypto/crypto.h"

const char *crypto_missing(void)
{
	return "built without libgcrypt, which encrypted images need";
}

void crypto_init(void)
{
}

int crypto_digest(enum crypto_hash hash, const void *data, size_t len,
		  uint8_t *out)
{
	return -ENOTSUP;
}

int crypto_pbkdf2(enum crypto_hash hash, const void *pass, size_t pass_len,
		  const uint8_t *salt, size_t salt_len, uint32_t iterations,
		  uint8_t *out, size_t out_len)
{
	return -ENOTSUP;
}

uint64_t crypto_pbkdf2_count(enum crypto_hash hash, size_t out_len,
			     uint64_t ms)
{
	return 0;
}

int crypto_new(const struct crypto_spec *spec, const uint8_t *key,
	       struct crypto **out, struct error *err)
{
	return error_set(err, ENOTSUP, "%s", crypto_missing());
}

void crypto_free(struct crypto *c)
{
}

int crypto_encrypt(struct crypto *c, uint64_t sector, uint8_t *buf, size_t len)
{
	return -ENOTSUP;
}

int crypto_decrypt(struct crypto *c, uint64_t sector, uint8_t *buf, size_t len)
{
	return -ENOTSUP;
}

int crypto_co_encrypt(struct crypto *c, struct loop *loop, uint64_t sector,
		      uint8_t *buf, size_t len)
{
	return -ENOTSUP;
}

int crypto_co_decrypt(struct crypto *c, struct loop *loop, uint64_t sector,
		      uint8_t *buf, size_t len)
{
	return -ENOTSUP;
}
