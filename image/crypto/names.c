/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* names.c: what needs no cipher library: names and lengths. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/bits.h"
#include "image/crypto/crypto.h"

const char *const crypto_cipher_names[] = {
	[CRYPTO_AES_128] = "aes-128", [CRYPTO_AES_192] = "aes-192",
	[CRYPTO_AES_256] = "aes-256", NULL,
};
const char *const crypto_mode_names[] = {
	[CRYPTO_ECB] = "ecb", [CRYPTO_CBC] = "cbc", [CRYPTO_XTS] = "xts", NULL,
};
const char *const crypto_ivgen_names[] = {
	[CRYPTO_PLAIN] = "plain", [CRYPTO_PLAIN64] = "plain64",
	[CRYPTO_ESSIV] = "essiv", NULL,
};
const char *const crypto_hash_names[] = {
	[CRYPTO_SHA1] = "sha1", [CRYPTO_SHA224] = "sha224",
	[CRYPTO_SHA256] = "sha256", [CRYPTO_SHA384] = "sha384",
	[CRYPTO_SHA512] = "sha512", [CRYPTO_RIPEMD160] = "ripemd160", NULL,
};

int crypto_find_name(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return i;
	return -EINVAL;
}

size_t crypto_digest_len(enum crypto_hash hash)
{
	switch (hash) {
	case CRYPTO_SHA1:
	case CRYPTO_RIPEMD160:
		return 20;
	case CRYPTO_SHA224:
		return 28;
	case CRYPTO_SHA256:
		return 32;
	case CRYPTO_SHA384:
		return 48;
	case CRYPTO_SHA512:
		return 64;
	}
	return 0;
}

static size_t cipher_key_len(enum crypto_cipher cipher)
{
	switch (cipher) {
	case CRYPTO_AES_128:
		return 16;
	case CRYPTO_AES_192:
		return 24;
	case CRYPTO_AES_256:
		return 32;
	}
	return 0;
}

size_t crypto_key_len(const struct crypto_spec *spec)
{
	size_t len = cipher_key_len(spec->cipher);

	return spec->mode == CRYPTO_XTS ? 2 * len : len;
}

int crypto_judge_spec(const struct crypto_spec *spec, struct error *err)
{
	size_t len = crypto_digest_len(spec->ivgen_hash);

	if (spec->mode == CRYPTO_XTS && spec->cipher == CRYPTO_AES_192)
		return error_set(err, EINVAL, "XTS mode has no cipher aes-192");
	if (spec->ivgen == CRYPTO_ESSIV && spec->mode != CRYPTO_ECB &&
	    len != 16 && len != 24 && len != 32)
		return error_set(err, EINVAL, "No aes cipher with key size %zu "
				 "available, which essiv:%s needs", len,
				 crypto_hash_names[spec->ivgen_hash]);
	return 0;
}

int crypto_random(void *buf, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < len; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}
