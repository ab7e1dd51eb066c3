/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ciphers, hashes and keys against published vectors (IEEE 1619-2007, RFC 6070,
 * RFC 7914's PBKDF2) and against what OpenSSL's command line makes of the same.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "image/crypto/crypto.h"
#include "image/crypto/secret.h"
#include "image/luks/split.h"
#include "io/coroutine.h"
#include "io/loop.h"

static void hex(const uint8_t *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		sprintf(out + 2 * i, "%02x", p[i]);
}

/* The unit of the standard's vectors: 00 01 ... ff, twice. */
static void fill(uint8_t *buf)
{
	for (size_t i = 0; i < CRYPTO_SECTOR; i++)
		buf[i] = (uint8_t)i;
}

static void starts_with(const uint8_t *p, const char *want)
{
	char text[2 * 64 + 1];

	hex(p, strlen(want) / 2, text);
	assert_string_equal(text, want);
}

static void hash_is(const uint8_t *p, const char *want)
{
	uint8_t digest[32];

	assert_int_equal(crypto_digest(CRYPTO_SHA256, p, CRYPTO_SECTOR, digest),
			 0);
	starts_with(digest, want);
}

/* ---- sectors ---- */

static struct crypto *cipher(enum crypto_cipher c, enum crypto_mode m,
			     enum crypto_ivgen iv, const char *key)
{
	struct crypto_spec spec = { c, m, iv, CRYPTO_SHA256 };
	struct crypto *out;

	assert_int_equal(crypto_key_len(&spec), strlen(key));
	assert_int_equal(crypto_new(&spec, (const uint8_t *)key, &out, NULL), 0);
	return out;
}

static void test_xts(void **state)
{
	static const struct crypto_spec spec = {
		CRYPTO_AES_256, CRYPTO_XTS, CRYPTO_PLAIN64, CRYPTO_SHA256,
	};
	/* vector 10 */
	static const uint8_t key[64] = {
		0x27, 0x18, 0x28, 0x18, 0x28, 0x45, 0x90, 0x45, 0x23, 0x53,
		0x60, 0x28, 0x74, 0x71, 0x35, 0x26, 0x62, 0x49, 0x77, 0x57,
		0x24, 0x70, 0x93, 0x69, 0x99, 0x59, 0x57, 0x49, 0x66, 0x96,
		0x76, 0x27, 0x31, 0x41, 0x59, 0x26, 0x53, 0x58, 0x97, 0x93,
		0x23, 0x84, 0x62, 0x64, 0x33, 0x83, 0x27, 0x95, 0x02, 0x88,
		0x41, 0x97, 0x16, 0x93, 0x99, 0x37, 0x51, 0x05, 0x82, 0x09,
		0x74, 0x94, 0x45, 0x92,
	};
	uint8_t buf[CRYPTO_SECTOR], plain[CRYPTO_SECTOR];
	struct crypto *c;

	fill(buf);
	fill(plain);
	assert_int_equal(crypto_new(&spec, key, &c, NULL), 0);
	assert_int_equal(crypto_encrypt(c, 0xff, buf, sizeof(buf)), 0);
	starts_with(buf, "1c3b3a102f770386e4836c99e370cf9b"
			 "ea00803f5e482357a4ae12d414a3e63b");
	assert_int_equal(crypto_decrypt(c, 0xff, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, plain, sizeof(buf));
	crypto_free(c);
}

static void test_vectors_of_modes(void **state)
{
	static const struct {
		enum crypto_mode mode;
		enum crypto_ivgen iv;
		const char *sha256;
	} cases[] = {	/* AES-128, sector 2^32 + 5 */
		{ CRYPTO_CBC, CRYPTO_PLAIN64, "f7662f63ad0929e6be6cf4732beffd6f" },
		{ CRYPTO_CBC, CRYPTO_PLAIN, "fbde03596170fe68f832476a4c4047fe" },
		{ CRYPTO_CBC, CRYPTO_ESSIV, "bcc53a545d0b20eede36722a358258ba" },
		{ CRYPTO_ECB, CRYPTO_PLAIN64, "7ce2701bc485ad50ac892a06f2eb9f6c" },
	};
	uint8_t buf[CRYPTO_SECTOR], plain[CRYPTO_SECTOR];

	fill(plain);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct crypto *c = cipher(CRYPTO_AES_128, cases[i].mode,
					  cases[i].iv, "0123456789abcdef");

		fill(buf);
		assert_int_equal(crypto_encrypt(c, (UINT64_C(1) << 32) + 5, buf,
						sizeof(buf)), 0);
		hash_is(buf, cases[i].sha256);
		assert_int_equal(crypto_decrypt(c, (UINT64_C(1) << 32) + 5, buf,
						sizeof(buf)), 0);
		assert_memory_equal(buf, plain, sizeof(buf));
		crypto_free(c);
	}
}

/* A sector comes out the same whatever it is encrypted together with. */
static void test_sectors_stand_alone(void **state)
{
	struct crypto *c = cipher(CRYPTO_AES_256, CRYPTO_CBC, CRYPTO_ESSIV,
				  "0123456789abcdef0123456789abcdef");
	uint8_t many[8 * CRYPTO_SECTOR] = { 0 }, one[CRYPTO_SECTOR];

	assert_int_equal(crypto_encrypt(c, 100, many, sizeof(many)), 0);
	for (size_t i = 0; i < 8; i++) {
		memset(one, 0, sizeof(one));
		assert_int_equal(crypto_encrypt(c, 100 + i, one, sizeof(one)),
				 0);
		assert_memory_equal(one, many + i * sizeof(one), sizeof(one));
	}
	crypto_free(c);
}

static void test_bad_specs(void **state)
{
	struct crypto_spec spec = {
		CRYPTO_AES_256, CRYPTO_CBC, CRYPTO_ESSIV, CRYPTO_SHA1,
	};
	struct error err = ERROR_INIT;

	assert_int_equal(crypto_judge_spec(&spec, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "key size 20"));
	spec.ivgen_hash = CRYPTO_SHA256;
	assert_int_equal(crypto_judge_spec(&spec, NULL), 0);
	spec.mode = CRYPTO_XTS;
	spec.cipher = CRYPTO_AES_192;
	assert_int_equal(crypto_judge_spec(&spec, NULL), -EINVAL);
	crypto_free(NULL);
}

/* Several at once, some in pool threads, with one key. */
struct piece {
	struct crypto *c;
	struct loop *loop;
	uint64_t sector;
	uint8_t *buf;
	size_t len;
	int *left;
};

static void run_piece(void *arg)
{
	struct piece *p = arg;

	assert_int_equal(crypto_co_encrypt(p->c, p->loop, p->sector, p->buf,
					   p->len), 0);
	assert_int_equal(crypto_co_decrypt(p->c, p->loop, p->sector, p->buf,
					   p->len), 0);
	--*p->left;
}

#define PIECES 8
#define PIECE (96u << 10)

static int run_pieces(void *arg)
{
	struct loop *loop = arg;
	struct crypto *c = cipher(CRYPTO_AES_128, CRYPTO_XTS, CRYPTO_PLAIN64,
				  "0123456789abcdef0123456789abcdeX");
	static uint8_t bufs[PIECES][PIECE];
	struct piece p[PIECES];
	int left = PIECES;

	for (int i = 0; i < PIECES; i++) {
		memset(bufs[i], i, PIECE);
		p[i] = (struct piece){ c, loop, (uint64_t)i * 1000, bufs[i],
				       i % 2 ? PIECE : 4096, &left };
		assert_int_equal(co_start(run_piece, &p[i]), 0);
	}
	while (left)
		co_sleep(loop, 1000000);
	for (int i = 0; i < PIECES; i++)
		for (size_t k = 0; k < PIECE; k++)
			assert_int_equal(bufs[i][k], i);
	crypto_free(c);
	return 0;
}

static void test_side_by_side(void **state)
{
	struct loop *loop = loop_new();

	assert_non_null(loop);
	assert_int_equal(co_run(loop, run_pieces, loop), 0);
	loop_free(loop);
}

/* ---- hashes, keys ---- */

static void test_pbkdf2(void **state)
{
	static const char long_pass[] = "passwordPASSWORDpassword";
	static const char long_salt[] = "saltSALTsaltSALTsaltSALTsaltSALTsalt";
	static const struct {
		enum crypto_hash hash;
		const char *pass, *salt;
		uint32_t iterations;
		const char *key;
	} cases[] = {
		{ CRYPTO_SHA1, "password", "salt", 1,
		  "0c60c80f961f0e71f3a9b524af6012062fe037a6" },
		{ CRYPTO_SHA1, "password", "salt", 2,
		  "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957" },
		{ CRYPTO_SHA1, "password", "salt", 4096,
		  "4b007901b765489abead49d926f721d065a429c1" },
		{ CRYPTO_SHA256, "passwd", "salt", 1,
		  "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20d"
		  "acbc" },
		{ CRYPTO_SHA256, long_pass, long_salt, 4096,
		  "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd"
		  "53e1c635518c7dac47e9" },
		{ CRYPTO_SHA512, "password", "salt", 4096,
		  "d197b1b33db0143e018b12f3d1d1479e6cdebdcc" },
	};
	uint8_t key[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *pass = cases[i].pass, *salt = cases[i].salt;

		assert_int_equal(crypto_pbkdf2(cases[i].hash, pass,
					       strlen(pass),
					       (const uint8_t *)salt,
					       strlen(salt),
					       cases[i].iterations, key,
					       strlen(cases[i].key) / 2), 0);
		starts_with(key, cases[i].key);
	}
}

static void test_pbkdf2_count(void **state)
{
	uint64_t one = crypto_pbkdf2_count(CRYPTO_SHA256, 32, 100);
	uint64_t two = crypto_pbkdf2_count(CRYPTO_SHA256, 64, 100);

	/* Twice the key is twice the work; clocks are what they are. */
	assert_in_range(one, 1000, UINT32_MAX);
	assert_in_range(two, one / 16, one * 2);
}

static void test_split(void **state)
{
	static uint8_t out[4000 * 64];
	uint8_t key[64], back[64];

	for (size_t len = 16; len <= 64; len += 16) {
		assert_int_equal(crypto_random(key, len), 0);
		assert_int_equal(luks_split(CRYPTO_SHA256, key, len, 4000,
					    out), 0);
		assert_int_equal(luks_merge(CRYPTO_SHA256, out, len, 4000,
					    back), 0);
		assert_memory_equal(key, back, len);
		out[1234] ^= 1;		/* one bit, and a hash of it is gone */
		assert_int_equal(luks_merge(CRYPTO_SHA256, out, len, 4000,
					    back), 0);
		assert_memory_not_equal(key, back, len);
	}
}

static void test_names(void **state)
{
	assert_int_equal(crypto_find_name(crypto_hash_names, "sha512"),
			 CRYPTO_SHA512);
	assert_int_equal(crypto_find_name(crypto_hash_names, "md5"), -EINVAL);
	assert_int_equal(crypto_find_name(crypto_cipher_names, "aes-256"),
			 CRYPTO_AES_256);
	assert_true(crypto_equal((const uint8_t *)"ab", (const uint8_t *)"ab",
				 2));
	assert_false(crypto_equal((const uint8_t *)"ab", (const uint8_t *)"aa",
				  2));
}

/* ---- secrets ---- */

static void test_secrets(void **state)
{
	struct error err = ERROR_INIT;
	const struct secret *s;

	assert_null(secret_find("a", &err));
	assert_string_equal(err.msg, "No secret with id 'a'");
	assert_int_equal(secret_add("a", "one", 3, NULL), 0);
	assert_int_equal(secret_add("b", "", 0, NULL), 0);
	assert_int_equal(secret_add("a", "two", 3, NULL), -EEXIST);
	s = secret_find("a", NULL);
	assert_int_equal(s->len, 3);
	assert_memory_equal(s->data, "one", 3);
	assert_int_equal(secret_find("b", NULL)->len, 0);
	secret_forget_all();
	assert_null(secret_find("a", NULL));
	secret_forget_all();
	secret_free(NULL);
}

int main(void)
{
	const struct CMUnitTest secrets[] = {
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_names),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xts),
		cmocka_unit_test(test_vectors_of_modes),
		cmocka_unit_test(test_sectors_stand_alone),
		cmocka_unit_test(test_bad_specs),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_pbkdf2),
		cmocka_unit_test(test_pbkdf2_count),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_secrets),
	};

	/* Without the library there is nothing to encrypt with. */
	if (crypto_missing())
		return cmocka_run_group_tests(secrets, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
