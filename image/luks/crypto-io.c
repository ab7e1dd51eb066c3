/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypto-io.c: see crypto-io.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/luks/crypto-io.h"
#include "image/driver.h"
#include "image/crypto/secret.h"
#include "io/loop.h"
#include "io/memory.h"

#define BOUNCE_MAX MiB
#define LEGACY_KEY 16u		/* bytes */

/* co */
static int get_bounce(struct image *file, uint64_t len, struct memory_buffer *b)
{
	return memory_buffer_get(b, loop_memory(file->loop), MEMORY_CIPHER,
				 min(len, BOUNCE_MAX), 4096);
}

int crypto_preadv(struct crypto *c, struct image *file, uint64_t off,
		  uint64_t sector, uint64_t len, struct iow w)
{
	cleanup_buffer struct memory_buffer b = { 0 };
	int ret = get_bounce(file, len, &b);
	uint8_t *buf = b.data;

	while (!ret && len) {
		uint64_t n = min(len, BOUNCE_MAX);

		ret = image_pread(file, off, n, buf);
		if (!ret)
			ret = crypto_co_decrypt(c, file->loop, sector, buf, n);
		if (!ret)
			iow_from_buf(w, buf, n);
		w = iow_advance(w, n);
		off += n;
		sector += n / CRYPTO_SECTOR;
		len -= n;
	}
	return ret;
}

int crypto_pwritev(struct crypto *c, struct image *file, uint64_t off,
		   uint64_t sector, uint64_t len, struct iow w)
{
	cleanup_buffer struct memory_buffer b = { 0 };
	int ret = get_bounce(file, len, &b);
	uint8_t *buf = b.data;

	while (!ret && len) {
		uint64_t n = min(len, BOUNCE_MAX);

		iow_to_buf(buf, w, n);
		ret = crypto_co_encrypt(c, file->loop, sector, buf, n);
		if (!ret)
			ret = image_pwrite(file, off, n, buf);
		w = iow_advance(w, n);
		off += n;
		sector += n / CRYPTO_SECTOR;
		len -= n;
	}
	return ret;
}

int crypto_open_legacy(const struct image *img, const char *id,
		       struct crypto **out, struct error *err)
{
	static const struct crypto_spec spec = {
		CRYPTO_AES_128, CRYPTO_CBC, CRYPTO_PLAIN64, CRYPTO_SHA256,
	};
	cleanup_secret uint8_t *key = secret_alloc(LEGACY_KEY);
	const struct secret *s;

	if (img->flags & IMAGE_NO_LEGACY_AES)
		return error_set(err, ENOTSUP, "the image has the old AES "
				 "encryption of qcow2, which is too weak to be "
				 "used unless it is allowed (legacy-aes = yes)");
	if (!id)
		return error_set(err, EINVAL, "Parameter 'encrypt.key-secret' "
				 "is required for cipher");
	s = secret_find(id, err);
	if (!s)
		return -ENOENT;
	if (!key)
		return -ENOMEM;
	memcpy(key, s->data, min(s->len, (size_t)LEGACY_KEY));
	return crypto_new(&spec, key, out, err);
}
