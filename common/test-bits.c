/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arithmetic on foreign numbers: the edges of 64 bits. */
#include "tests/unit/unit.h"

#include "common/bits.h"

static void test_overflow(void **state)
{
	uint64_t v;

	assert_false(add_overflow(UINT64_MAX - 1, 1, &v));
	assert_true(v == UINT64_MAX);
	assert_true(add_overflow(UINT64_MAX, 1, &v));
	assert_false(mul_overflow(UINT64_MAX / 512, 512, &v));
	assert_true(mul_overflow(UINT64_MAX / 512 + 1, 512, &v));
	assert_false(mul_overflow(0, UINT64_MAX, &v));
	assert_true(v == 0);
}

static void test_range(void **state)
{
	assert_true(range_within(0, 0, 0));
	assert_true(range_within(10, 0, 10));
	assert_false(range_within(11, 0, 10));
	assert_true(range_within(3, 7, 10));
	assert_false(range_within(3, 8, 10));
	assert_false(range_within(UINT64_MAX, 2, UINT64_MAX));
	assert_false(range_within(2, UINT64_MAX, UINT64_MAX));
	assert_true(range_within(0, UINT64_MAX, UINT64_MAX));
}

static void test_align(void **state)
{
	assert_true(is_pow2(1) && is_pow2(UINT64_C(1) << 63));
	assert_false(is_pow2(0) || is_pow2(3) || is_pow2(UINT64_MAX));
	assert_true(align_down(4095, 4096) == 0);
	assert_true(align_down(UINT64_MAX, 512) == UINT64_MAX - 511);
	assert_true(align_up(0, 512) == 0 && align_up(1, 512) == 512);
	assert_true(align_up(512, 512) == 512);
	assert_true(is_aligned(1024, 512) && !is_aligned(1025, 512));
	assert_true(div_round_up(0, 7) == 0 && div_round_up(1, 7) == 1);
	assert_true(div_round_up(UINT64_MAX, 2) == UINT64_C(1) << 63);
	assert_int_equal(log2_floor(1), 0);
	assert_int_equal(log2_floor(4097), 12);
	assert_int_equal(log2_floor(UINT64_MAX), 63);
}

static void test_big_endian(void **state)
{
	uint8_t b[9] = { 0 };	/* at any alignment */

	store_be64(b + 1, UINT64_C(0x0102030405060708));
	for (int i = 1; i <= 8; i++)
		assert_int_equal(b[i], i);
	assert_true(load_be64(b + 1) == UINT64_C(0x0102030405060708));
	assert_int_equal(load_be32(b + 1), 0x01020304);
	assert_int_equal(load_be16(b + 3), 0x0304);
	store_be32(b + 1, 0xfffefdfc);
	assert_int_equal(b[1], 0xff);
	assert_int_equal(b[4], 0xfc);
	store_be16(b + 1, 0x1234);
	assert_int_equal(b[2], 0x34);
}

static void test_min_max(void **state)
{
	int i = 3;

	assert_int_equal(min(i++, 5), 3);
	assert_int_equal(i, 4);
	assert_int_equal(max(i++, 2), 4);
	assert_int_equal(i, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overflow),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_align),
		cmocka_unit_test(test_big_endian),
		cmocka_unit_test(test_min_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
