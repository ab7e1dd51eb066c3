/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes and numbers as people, and xenstore, write them. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/bits.h"
#include "common/size.h"

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },	       { "512", 512 },
		{ "1b", 1 },	       { "1k", KiB },
		{ "1K", KiB },	       { "20G", 20 * GiB },
		{ "3T", 3 * TiB },     { "1.5G", GiB + GiB / 2 },
		{ "0.5K", 512 },       { "1.0001M", MiB + 104 },
		{ "0x200", 512 },      { "010", 10 },
		{ "9223372036854775807", INT64_MAX },
		{ "1024.0", 1024 },    { "512.00b", 512 },
	};
	static const char *const invalid[] = {
		"",    " 1", "-1", "+1",  "1 ",	 "G",	 "1GiB", "1.5",
		"1.b", "1.", ".5G", "1.5b", "0x", "0x1G", "1e3",  "1..5G",
		"1.G", "1.05", "1.0x", "1.0bb",
	};
	static const char *const range[] = {
		"8E", "9223372036854775808", "18446744073709551616",
		"99999999999999999999999", "16777216T",
	};
	uint64_t v;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (size_parse(good[i].text, &v))
			fail_msg("%s was refused", good[i].text);
		assert_true(v == good[i].bytes);
	}
	/* Digits that no longer matter: as near to 8E as twelve come. */
	assert_int_equal(size_parse("7.999999999999999999E", &v), 0);
	assert_true(v < UINT64_C(1) << 63 && v > (UINT64_C(1) << 63) - 4 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
		if (size_parse(invalid[i], &v) != -EINVAL)
			fail_msg("\"%s\" was taken", invalid[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(range); i++)
		assert_int_equal(size_parse(range[i], &v), -ERANGE);
}

static void test_number_parse(void **state)
{
	uint64_t v;

	assert_int_equal(number_parse("0x10", 16, &v), 0);
	assert_true(v == 16);
	assert_int_equal(number_parse("010", 16, &v), 0);
	assert_true(v == 8);
	assert_int_equal(number_parse("17", 16, &v), -ERANGE);
	assert_int_equal(number_parse("18446744073709551615", UINT64_MAX, &v),
			 0);
	assert_int_equal(number_parse("18446744073709551616", UINT64_MAX, &v),
			 -ERANGE);
	assert_int_equal(number_parse("", 16, &v), -EINVAL);
	assert_int_equal(number_parse("-1", 16, &v), -EINVAL);
	assert_int_equal(number_parse(" 1", 16, &v), -EINVAL);
	assert_int_equal(number_parse("1x", 16, &v), -EINVAL);
	assert_int_equal(number_parse("08", 16, &v), -EINVAL);
}

static void test_decimal_parse(void **state)
{
	uint64_t v = 1;

	assert_int_equal(decimal_parse("0", 0, &v), 0);
	assert_true(v == 0);
	assert_int_equal(decimal_parse("007", 7, &v), 0);
	assert_true(v == 7);
	assert_int_equal(decimal_parse("8", 7, &v), -ERANGE);
	assert_int_equal(decimal_parse("18446744073709551615", UINT64_MAX,
				       &v), 0);
	assert_int_equal(decimal_parse("18446744073709551616", UINT64_MAX,
				       &v), -ERANGE);
	assert_int_equal(decimal_parse("", 7, &v), -EINVAL);
	assert_int_equal(decimal_parse("0x1", 7, &v), -EINVAL);
	assert_int_equal(decimal_parse("1 ", 7, &v), -EINVAL);
	assert_int_equal(decimal_parse("-1", 7, &v), -EINVAL);
}

static void test_size_format(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0 B" },		 { 999, "999 B" },
		{ 1000, "0.977 KiB" },	 { 196616, "192 KiB" },
		{ 20 * GiB, "20 GiB" },	 { GiB + GiB / 2, "1.5 GiB" },
		{ UINT64_MAX, "16 EiB" },
	};
	char buf[SIZE_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(size_format(cases[i].bytes, buf),
				    cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_parse),
		cmocka_unit_test(test_number_parse),
		cmocka_unit_test(test_decimal_parse),
		cmocka_unit_test(test_size_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
