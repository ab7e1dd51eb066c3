/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* split.c: the splitter of LUKS (specification 1.2.3, chapter 2.4). */
#include "image/luks/split.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/crypto/secret.h"

/* Each piece of a digest's length becomes the hash of its number and itself. */
static int luks_diffuse(enum crypto_hash hash, uint8_t *block, size_t len)
{
	size_t step = crypto_digest_len(hash), n;
	uint8_t in[4 + CRYPTO_MAX_DIGEST], out[CRYPTO_MAX_DIGEST];
	int ret = 0;

	for (size_t i = 0; !ret && i * step < len; i++) {
		n = min(step, len - i * step);
		store_be32(in, (uint32_t)i);
		memcpy(in + 4, block + i * step, n);
		ret = crypto_digest(hash, in, 4 + n, out);
		memcpy(block + i * step, out, n);
	}
	explicit_bzero(in, sizeof(in));
	explicit_bzero(out, sizeof(out));
	return ret;
}

static void xor_into(uint8_t *block, const uint8_t *in, size_t len)
{
	for (size_t i = 0; i < len; i++)
		block[i] ^= in[i];
}

int luks_split(enum crypto_hash hash, const uint8_t *key, size_t len,
	       uint32_t stripes, uint8_t *out)
{
	cleanup_secret uint8_t *block = secret_alloc(len);
	int ret = block ? crypto_random(out, len * (stripes - 1)) : -ENOMEM;

	for (uint32_t i = 0; !ret && i < stripes - 1; i++) {
		xor_into(block, out + i * len, len);
		ret = luks_diffuse(hash, block, len);
	}
	if (ret)
		return ret;
	xor_into(block, key, len);
	memcpy(out + (stripes - 1) * len, block, len);
	return 0;
}

int luks_merge(enum crypto_hash hash, const uint8_t *in, size_t len,
	       uint32_t stripes, uint8_t *key)
{
	int ret = 0;

	memset(key, 0, len);
	for (uint32_t i = 0; !ret && i < stripes - 1; i++) {
		xor_into(key, in + i * len, len);
		ret = luks_diffuse(hash, key, len);
	}
	xor_into(key, in + (stripes - 1) * len, len);
	return ret;
}
