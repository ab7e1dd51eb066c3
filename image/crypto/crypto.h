/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crypto.h: what encrypted images are made of: sectors, hashes, keys.
 *
 * Everything is encrypted in sectors of 512 bytes, each on its own, with an
 * initialization vector made from a sector number. Names are those of LUKS1
 * (LUKS On-Disk Format Specification 1.2.3) and of Linux' dm-crypt:
 *
 *	plain		the low 32 bits of the sector number, little-endian
 *	plain64		all 64 bits of it
 *	essiv:HASH	plain64, encrypted with AES under the hash of the key
 *
 * A build without libgcrypt has the same functions; they answer -ENOTSUP.
 */
#ifndef XD_IMAGE_CRYPTO_H
#define XD_IMAGE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

struct loop;

#define CRYPTO_SECTOR 512u		/* bytes */
#define CRYPTO_MAX_KEY 64u		/* bytes: AES-256 in XTS mode */
#define CRYPTO_MAX_DIGEST 64u		/* bytes: SHA-512 */

enum crypto_cipher { CRYPTO_AES_128, CRYPTO_AES_192, CRYPTO_AES_256 };
enum crypto_mode { CRYPTO_ECB, CRYPTO_CBC, CRYPTO_XTS };
enum crypto_ivgen { CRYPTO_PLAIN, CRYPTO_PLAIN64, CRYPTO_ESSIV };
enum crypto_hash {
	CRYPTO_SHA1, CRYPTO_SHA224, CRYPTO_SHA256, CRYPTO_SHA384, CRYPTO_SHA512,
	CRYPTO_RIPEMD160,
};

/* Names as in options and in "info": "aes-256", "xts", "plain64", "sha256".
 * NULL ends each list. */
extern const char *const crypto_cipher_names[], *const crypto_mode_names[],
	*const crypto_ivgen_names[], *const crypto_hash_names[];
/* The index of a name, -EINVAL: none of them. */
int crypto_find_name(const char *const *names, const char *name);

/* Why nothing here works, NULL: it does. */
const char *crypto_missing(void);
/* Sooner than by itself: before the process gives up what the library's own
 * beginning takes. */
void crypto_init(void);

/* ---- hashes, keys; any thread ---- */

size_t crypto_digest_len(enum crypto_hash hash);	/* bytes */
int crypto_digest(enum crypto_hash hash, const void *data, size_t len,
		  uint8_t *out);
/* PBKDF2 with HMAC (RFC 8018). -EINVAL: an empty passphrase. */
int crypto_pbkdf2(enum crypto_hash hash, const void *pass, size_t pass_len,
		  const uint8_t *salt, size_t salt_len, uint32_t iterations,
		  uint8_t *out, size_t out_len);
/* Measures how many iterations of it take `ms` milliseconds of CPU for a key
 * of out_len bytes; takes a fraction of a second. 0: it cannot be done. */
uint64_t crypto_pbkdf2_count(enum crypto_hash hash, size_t out_len,
			     uint64_t ms);
int crypto_random(void *buf, size_t len);
/* In a time that does not depend on where they differ. */
bool crypto_equal(const uint8_t *a, const uint8_t *b, size_t len);

/* ---- sectors ---- */

struct crypto_spec {
	enum crypto_cipher cipher;
	enum crypto_mode mode;
	enum crypto_ivgen ivgen;
	enum crypto_hash ivgen_hash;	/* of CRYPTO_ESSIV */
};

size_t crypto_key_len(const struct crypto_spec *spec);	/* bytes */
/* -EINVAL with the sentence: an ESSIV hash that is no key for AES. */
int crypto_judge_spec(const struct crypto_spec *spec, struct error *err);

struct crypto;
/* `key` has crypto_key_len() bytes and is not needed afterwards. */
int crypto_new(const struct crypto_spec *spec, const uint8_t *key,
	       struct crypto **out, struct error *err);
void crypto_free(struct crypto *c);	/* NULL is allowed */

/* In place, whole sectors; `sector` is the first one's number. One thread at a
 * time may use a `c`. */
int crypto_encrypt(struct crypto *c, uint64_t sector, uint8_t *buf, size_t len);
int crypto_decrypt(struct crypto *c, uint64_t sector, uint8_t *buf, size_t len);
/* co. The same, side by side on one `c`; much of it in a pool thread. */
int crypto_co_encrypt(struct crypto *c, struct loop *loop, uint64_t sector,
		      uint8_t *buf, size_t len);
int crypto_co_decrypt(struct crypto *c, struct loop *loop, uint64_t sector,
		      uint8_t *buf, size_t len);

#endif
