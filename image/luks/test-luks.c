/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The LUKS header: what is made is what is read, and each field that is wrong
 * is refused by its name. Passphrases are tests/functional/crypt/luks-keys.sh's.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/luks/luks.h"

#define AREA (2068480u)

static void make(uint8_t *buf)
{
	struct luks l = {
		.spec = { CRYPTO_AES_256, CRYPTO_XTS, CRYPTO_PLAIN64,
			  CRYPTO_SHA256 },
		.hash = CRYPTO_SHA512, .payload_offset = AREA, .key_len = 64,
		.digest_iterations = 1000, .uuid = "a uuid",
	};

	for (unsigned int i = 0; i < LUKS_SLOTS; i++)
		l.slots[i] = (struct luks_slot){
			.active = i == 3, .iterations = 2000 + i,
			.offset = 4096 + i * 258048u, .stripes = LUKS_STRIPES,
		};
	luks_encode(&l, buf);
}

static void test_round_trip(void **state)
{
	uint8_t buf[LUKS_HEADER_LENGTH], again[LUKS_HEADER_LENGTH];
	struct luks l;

	make(buf);
	assert_int_equal(luks_parse(buf, AREA, &l, NULL), 0);
	assert_int_equal(l.spec.cipher, CRYPTO_AES_256);
	assert_int_equal(l.spec.mode, CRYPTO_XTS);
	assert_int_equal(l.hash, CRYPTO_SHA512);
	assert_int_equal(l.payload_offset, AREA);
	assert_string_equal(l.uuid, "a uuid");
	assert_true(l.slots[3].active);
	assert_false(l.slots[2].active);
	assert_int_equal(l.slots[3].iterations, 2003);
	luks_encode(&l, again);
	assert_memory_equal(buf, again, sizeof(buf));
}

static void test_modes(void **state)
{
	static const struct {
		const char *mode;
		uint32_t key_len;
		int ret;
	} cases[] = {
		{ "xts-plain64", 32, 0 }, { "cbc-plain", 16, 0 },
		{ "cbc-essiv:sha256", 32, 0 }, { "ecb", 32, 0 },
		{ "ecb-plain64", 24, 0 }, { "cbc-plain64:sha1", 24, 0 },
		{ "xts-plain64", 48, -EINVAL }, { "xts-plain64", 16, -EINVAL },
		{ "cbc-essiv:sha1", 32, -EINVAL }, { "cbc-essiv", 32, -EINVAL },
		{ "cbc-essiv:", 32, -ENOTSUP }, { "cbc", 32, -EINVAL },
		{ "cbc-", 32, -ENOTSUP }, { "-", 32, -ENOTSUP },
		{ "", 32, -ENOTSUP }, { "cbc-plain64:x", 32, -ENOTSUP },
	};
	uint8_t buf[LUKS_HEADER_LENGTH];
	struct luks l;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make(buf);
		memset(buf + 40, 0, 32);
		strcpy((char *)buf + 40, cases[i].mode);
		store_be32(buf + 108, cases[i].key_len);
		assert_int_equal(luks_parse(buf, AREA, &l, NULL), cases[i].ret);
	}
}

static void test_limits(void **state)
{
	static const struct {
		size_t off;
		uint32_t value;
		const char *said;
	} cases[] = {
		{ 104, 0, "keyslot 0" }, { 104, 100, "keyslot 0" },
		{ 108, 0, "0 bytes" }, { 108, UINT32_MAX, "4294967295 bytes" },
		{ 164, 0, "0 iterations" },
		{ 164, LUKS_MAX_ITERATIONS + 1, "iterations" },
		{ 208, 0, "keyslot 0 state" },
		{ 208 + 3 * 48 + 4, 0, "keyslot 3 has 0" },
		{ 208 + 3 * 48 + 4, UINT32_MAX, "keyslot 3 has" },
		{ 208 + 7 * 48 + 40, 0, "keyslot 7 lies at 0" },
		{ 208 + 7 * 48 + 40, UINT32_MAX, "keyslot 7 lies" },
		{ 208 + 7 * 48 + 40, 4039, "keyslot 7 lies" },
		{ 208 + 7 * 48 + 40, 9, "overlap" },
		{ 208 + 44, 3999, "stripes 3999" },
		{ 208 + 44, UINT32_MAX, "stripes" },
	};
	uint8_t buf[LUKS_HEADER_LENGTH];
	struct luks l;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;

		make(buf);
		store_be32(buf + cases[i].off, cases[i].value);
		assert_int_equal(luks_parse(buf, AREA, &l, &err), -EINVAL);
		if (!strstr(err.msg, cases[i].said))
			fail_msg("%zu: %s", i, err.msg);
	}
	make(buf);
	assert_int_equal(luks_parse(buf, AREA - 1, &l, NULL), 0);
	assert_int_equal(luks_parse(buf, AREA - 4096, &l, NULL), -EINVAL);
	/* An inactive slot may count what it likes. */
	store_be32(buf + 208 + 4, UINT32_MAX);
	assert_int_equal(luks_parse(buf, AREA, &l, NULL), 0);
}

static void test_noise(void **state)
{
	uint8_t buf[LUKS_HEADER_LENGTH];
	unsigned int seed = 1;
	struct luks l;

	for (int i = 0; i < 20000; i++) {
		make(buf);
		for (int k = 0; k < 1 + i % 8; k++)
			buf[(unsigned int)rand_r(&seed) % sizeof(buf)] =
				(uint8_t)rand_r(&seed);
		if (luks_parse(buf, AREA, &l, NULL))
			continue;
		assert_in_range(l.key_len, 16, CRYPTO_MAX_KEY);
		assert_int_equal(crypto_key_len(&l.spec), l.key_len);
	}
}

static void test_options(void **state)
{
	struct luks_options o;
	struct error err = ERROR_INIT;

	luks_options_init(&o);
	assert_int_equal(luks_area_len(&o), AREA);
	assert_int_equal(luks_set_option(&o, "cipher-mode", "x", "cbc", NULL), 0);
	assert_int_equal(luks_area_len(&o), 1052672);
	assert_int_equal(luks_set_option(&o, "hash-alg", "x", "sha1", NULL), 0);
	assert_int_equal(o.hash, CRYPTO_SHA1);
	assert_int_equal(o.spec.ivgen_hash, CRYPTO_SHA256);
	assert_int_equal(luks_set_option(&o, "ivgen-hash-alg", "x", "sha512",
					 NULL), 0);
	assert_int_equal(o.spec.ivgen_hash, CRYPTO_SHA512);
	assert_int_equal(luks_set_option(&o, "iter-time", "e.it", "-1", &err),
			 -EINVAL);
	assert_non_null(strstr(err.msg, "'e.it'"));
	assert_int_equal(luks_set_option(&o, "size", "size", "1", NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
