/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crypto.c: crypto.h by libgcrypt.
 *
 * libgcrypt because it is quick where it counts: a new initialization vector
 * every 512 bytes (ARCHITECTURE.md has the numbers). A cipher handle carries
 * the vector, so each piece of work takes one for itself; those not in use wait
 * in `idle`. Handles wipe their keys when they are closed.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gcrypt.h>

#include "common/bits.h"
#include "image/crypto/crypto.h"
#include "io/loop.h"
#include "image/crypto/secret.h"

#define BLOCK 16u		/* bytes of an AES block */

/* Less than this is done before a thread would have woken up. */
#define OFFLOAD_MIN (64 * KiB)

struct handle {
	struct handle *next;
	gcry_cipher_hd_t data;
	gcry_cipher_hd_t essiv;		/* NULL: not that */
};

struct crypto {
	struct crypto_spec spec;
	struct handle *idle;
	uint8_t *key, *essiv_key;	/* one secret_alloc() */
	size_t essiv_len;
};

static void init_once(void)
{
	gcry_check_version(NULL);
	/* Its pool is for everybody and small; keys lie in our own memory. */
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

void crypto_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init_once);
}

const char *crypto_missing(void)
{
	return NULL;
}

/* ---- hashes, keys ---- */

static int hash_id(enum crypto_hash hash)
{
	static const int ids[] = {
		[CRYPTO_SHA1] = GCRY_MD_SHA1, [CRYPTO_SHA224] = GCRY_MD_SHA224,
		[CRYPTO_SHA256] = GCRY_MD_SHA256,
		[CRYPTO_SHA384] = GCRY_MD_SHA384,
		[CRYPTO_SHA512] = GCRY_MD_SHA512,
		[CRYPTO_RIPEMD160] = GCRY_MD_RMD160,
	};

	return ids[hash];
}

int crypto_digest(enum crypto_hash hash, const void *data, size_t len,
		  uint8_t *out)
{
	crypto_init();
	if (gcry_md_test_algo(hash_id(hash)))
		return -ENOTSUP;
	gcry_md_hash_buffer(hash_id(hash), out, data, len);
	return 0;
}

int crypto_pbkdf2(enum crypto_hash hash, const void *pass, size_t pass_len,
		  const uint8_t *salt, size_t salt_len, uint32_t iterations,
		  uint8_t *out, size_t out_len)
{
	crypto_init();
	return gcry_kdf_derive(pass, pass_len, GCRY_KDF_PBKDF2, hash_id(hash),
			       salt, salt_len, iterations, out_len, out) ?
		       -EINVAL : 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t crypto_pbkdf2_count(enum crypto_hash hash, size_t out_len, uint64_t ms)
{
	uint8_t out[CRYPTO_MAX_KEY], salt[32] = { 0 };
	uint32_t n = 1 << 10;
	uint64_t start, ns = 0;

	/* Until it took long enough to be believed. */
	while (ns < 20000000 && n < UINT32_C(1) << 30) {
		n *= 2;
		start = cpu_ns();
		if (crypto_pbkdf2(hash, "passphrase", 10, salt, sizeof(salt), n,
				  out, out_len))
			return 0;
		ns = cpu_ns() - start;
	}
	return (uint64_t)((double)n * (double)ms * 1e6 / (double)max(ns, UINT64_C(1)));
}

/* ---- cipher handles ---- */

static int cipher_id(size_t key_len)
{
	return key_len == 16 ? GCRY_CIPHER_AES128 :
	       key_len == 24 ? GCRY_CIPHER_AES192 : GCRY_CIPHER_AES256;
}

static int open_cipher(gcry_cipher_hd_t *out, size_t aes_key_len, int mode,
		       const uint8_t *key, size_t key_len)
{
	gcry_error_t e;

	*out = NULL;
	e = gcry_cipher_open(out, cipher_id(aes_key_len), mode, 0);
	if (!e)
		e = gcry_cipher_setkey(*out, key, key_len);
	return !e ? 0 : gpg_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -EINVAL;
}

static void close_handle(struct handle *h)
{
	if (!h)
		return;
	gcry_cipher_close(h->data);
	gcry_cipher_close(h->essiv);
	free(h);
}

static int new_cipher_handle(const struct crypto *c, struct handle **out)
{
	static const int modes[] = {
		[CRYPTO_ECB] = GCRY_CIPHER_MODE_ECB,
		[CRYPTO_CBC] = GCRY_CIPHER_MODE_CBC,
		[CRYPTO_XTS] = GCRY_CIPHER_MODE_XTS,
	};
	size_t len = crypto_key_len(&c->spec);
	struct handle *h = calloc(1, sizeof(*h));
	int ret;

	if (!h)
		return -ENOMEM;
	ret = open_cipher(&h->data,
			  c->spec.mode == CRYPTO_XTS ? len / 2 : len,
			  modes[c->spec.mode], c->key, len);
	if (!ret && c->essiv_len)
		ret = open_cipher(&h->essiv, c->essiv_len,
				  GCRY_CIPHER_MODE_ECB, c->essiv_key,
				  c->essiv_len);
	if (ret)
		close_handle(h);
	else
		*out = h;
	return ret;
}

static int take_handle(struct crypto *c, struct handle **out)
{
	if (!c->idle)
		return new_cipher_handle(c, out);
	*out = c->idle;
	c->idle = c->idle->next;
	return 0;
}

static void put_handle(struct crypto *c, struct handle *h)
{
	h->next = c->idle;
	c->idle = h;
}

static int set_up(struct crypto *c, const uint8_t *key)
{
	struct handle *h;
	int ret = 0;

	c->key = secret_alloc(CRYPTO_MAX_KEY + CRYPTO_MAX_DIGEST);
	if (!c->key)
		return -ENOMEM;
	c->essiv_key = c->key + CRYPTO_MAX_KEY;
	memcpy(c->key, key, crypto_key_len(&c->spec));
	if (c->spec.ivgen == CRYPTO_ESSIV && c->spec.mode != CRYPTO_ECB) {
		c->essiv_len = crypto_digest_len(c->spec.ivgen_hash);
		ret = crypto_digest(c->spec.ivgen_hash, key,
				    crypto_key_len(&c->spec), c->essiv_key);
	}
	if (!ret)
		ret = new_cipher_handle(c, &h);
	if (!ret)
		put_handle(c, h);
	return ret;
}

int crypto_new(const struct crypto_spec *spec, const uint8_t *key,
	       struct crypto **out, struct error *err)
{
	struct crypto *c;
	int ret = crypto_judge_spec(spec, err);

	if (ret)
		return ret;
	crypto_init();
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->spec = *spec;
	ret = set_up(c, key);
	if (ret) {
		crypto_free(c);
		return error_set_errno(err, -ret, "cipher %s-%s",
				       crypto_cipher_names[spec->cipher],
				       crypto_mode_names[spec->mode]);
	}
	*out = c;
	return 0;
}

void crypto_free(struct crypto *c)
{
	struct handle *h;

	if (!c)
		return;
	while ((h = c->idle)) {
		c->idle = h->next;
		close_handle(h);
	}
	secret_free(c->key);
	free(c);
}

/* ---- sectors ---- */

struct job {
	const struct crypto *c;
	struct handle *h;
	uint64_t sector;
	uint8_t *buf;
	size_t len;
	bool encrypt;
};

static gcry_error_t set_iv(const struct job *j, uint64_t sector)
{
	uint8_t iv[BLOCK] = { 0 };
	gcry_error_t e = 0;

	if (j->c->spec.mode == CRYPTO_ECB)
		return 0;
	if (j->c->spec.ivgen == CRYPTO_PLAIN)
		sector &= UINT32_MAX;
	for (int i = 0; i < 8; i++)
		iv[i] = (uint8_t)(sector >> (8 * i));
	if (j->h->essiv)
		e = gcry_cipher_encrypt(j->h->essiv, iv, BLOCK, NULL, 0);
	return e ? e : gcry_cipher_setiv(j->h->data, iv, BLOCK);
}

static int64_t run_crypto_job(void *arg)
{
	const struct job *j = arg;
	gcry_cipher_hd_t hd = j->h->data;
	gcry_error_t e = 0;

	for (size_t o = 0; !e && o < j->len; o += CRYPTO_SECTOR) {
		e = set_iv(j, j->sector + o / CRYPTO_SECTOR);
		if (!e && j->encrypt)
			e = gcry_cipher_encrypt(hd, j->buf + o, CRYPTO_SECTOR,
						NULL, 0);
		else if (!e)
			e = gcry_cipher_decrypt(hd, j->buf + o, CRYPTO_SECTOR,
						NULL, 0);
	}
	return e ? -EIO : 0;
}

/* Here (loop: NULL), or where much work is done. */
static int work(struct crypto *c, struct loop *loop, uint64_t sector,
		uint8_t *buf, size_t len, bool encrypt)
{
	struct job j = { c, NULL, sector, buf, len, encrypt };
	int ret = take_handle(c, &j.h);

	if (ret)
		return ret;
	if (loop && len >= OFFLOAD_MIN)
		ret = (int)loop_compute(loop, run_crypto_job, &j);
	else
		ret = (int)run_crypto_job(&j);
	put_handle(c, j.h);
	return ret;
}

int crypto_encrypt(struct crypto *c, uint64_t sector, uint8_t *buf, size_t len)
{
	return work(c, NULL, sector, buf, len, true);
}

int crypto_decrypt(struct crypto *c, uint64_t sector, uint8_t *buf, size_t len)
{
	return work(c, NULL, sector, buf, len, false);
}

int crypto_co_encrypt(struct crypto *c, struct loop *loop, uint64_t sector,
		      uint8_t *buf, size_t len)
{
	return work(c, loop, sector, buf, len, true);
}

int crypto_co_decrypt(struct crypto *c, struct loop *loop, uint64_t sector,
		      uint8_t *buf, size_t len)
{
	return work(c, loop, sector, buf, len, false);
}
