/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/refmap.h"

static void test_empty(void **state)
{
	struct refmap m = REFMAP_INIT;
	uint64_t c = 0;
	int ret = 0;

	assert_int_equal(refmap_get(&m, 0).count, 0);
	assert_int_equal(refmap_get(&m, UINT64_MAX).flags, 0);
	assert_false(refmap_next(&m, 0, &c, &ret));
	assert_int_equal(ret, 0);
	refmap_clear(&m, 7);
	refmap_free(&m);
	refmap_free(&m);
}

static void test_counts(void **state)
{
	struct refmap m = REFMAP_INIT;
	uint64_t far = UINT64_MAX;

	assert_int_equal(refmap_add(&m, 5, 1, 1), 0);
	assert_int_equal(refmap_add(&m, 5, 2, 2), 0);
	assert_int_equal(refmap_get(&m, 5).count, 3);
	assert_int_equal(refmap_get(&m, 5).flags, 3);
	assert_int_equal(refmap_get(&m, 4).count, 0);
	assert_int_equal(refmap_add(&m, far, 1, 4), 0);
	assert_int_equal(refmap_get(&m, far).count, 1);
	/* beyond what a byte holds, the neighbours stay as they are */
	assert_int_equal(refmap_add(&m, 6, 15, 0), 0);
	assert_int_equal(refmap_add(&m, 5, 29, 0), 0);
	assert_int_equal(refmap_get(&m, 5).count, 32);
	assert_int_equal(refmap_get(&m, 5).flags, 3);
	assert_int_equal(refmap_get(&m, 6).count, 15);
	/* and it saturates */
	assert_int_equal(refmap_add(&m, 5, UINT32_MAX, 0), 0);
	assert_int_equal(refmap_get(&m, 5).count, REFMAP_COUNT_MAX);
	assert_int_equal(refmap_add(&m, 5, 1, 0), 0);
	assert_int_equal(refmap_get(&m, 5).count, REFMAP_COUNT_MAX);
	refmap_clear(&m, 5);
	assert_int_equal(refmap_get(&m, 5).count, 0);
	assert_int_equal(refmap_get(&m, 5).flags, 0);
	assert_int_equal(refmap_get(&m, 6).count, 15);
	/* one less, not below none */
	refmap_drop(&m, 6);
	assert_int_equal(refmap_get(&m, 6).count, 14);
	refmap_drop(&m, far);
	refmap_drop(&m, far);
	assert_int_equal(refmap_get(&m, far).count, 0);
	assert_int_equal(refmap_get(&m, far).flags, 4);
	refmap_free(&m);
}

static void test_next(void **state)
{
	static const uint64_t at[] = { 0, 255, 256, 100000, UINT64_C(1) << 47 };
	struct refmap m = REFMAP_INIT;
	uint64_t c = 0;
	int ret = 0;

	for (int i = ARRAY_SIZE(at); i-- > 0;)
		assert_int_equal(refmap_add(&m, at[i], 1, 0), 0);
	assert_int_equal(refmap_add(&m, 77, 0, 1), 0);	/* flags only */
	for (unsigned int i = 0; i < ARRAY_SIZE(at); i++, c++) {
		assert_true(refmap_next(&m, c, &c, &ret));
		assert_int_equal(c, at[i]);
	}
	assert_false(refmap_next(&m, c, &c, &ret));
	/* what is added later is found as well */
	assert_int_equal(refmap_add(&m, 70000, 1, 0), 0);
	assert_true(refmap_next(&m, 257, &c, &ret));
	assert_int_equal(c, 70000);
	refmap_free(&m);
}

static void test_ranges(void **state)
{
	struct refmap m = REFMAP_INIT;
	const uint8_t *cells;

	/* over the edge of a leaf, onto one that is there */
	assert_int_equal(refmap_add(&m, 260, 15, 2), 0);
	assert_int_equal(refmap_add_range(&m, 250, 20, 1, 1), 0);
	assert_int_equal(refmap_get(&m, 249).count, 0);
	assert_int_equal(refmap_get(&m, 250).count, 1);
	assert_int_equal(refmap_get(&m, 260).count, 16);
	assert_int_equal(refmap_get(&m, 260).flags, 3);
	assert_int_equal(refmap_get(&m, 269).count, 1);
	assert_int_equal(refmap_get(&m, 270).count, 0);
	assert_int_equal(refmap_flags(&m, 250, 10), 1);
	assert_int_equal(refmap_flags(&m, 250, 20), 3);
	assert_int_equal(refmap_flags(&m, 270, 100000), 0);
	/* cells: as they are, too high, none */
	cells = refmap_cells(&m, 0);
	assert_int_equal(cells[250], 1 << REFMAP_FLAGS | 1);
	assert_null(refmap_cells(&m, 256));
	cells = refmap_cells(&m, 512);
	assert_int_equal(cells[0], 0);
	assert_int_equal(refmap_add_range(&m, 0, 256, 15, 0), 0);
	assert_int_equal(refmap_get(&m, 0).count, 15);
	assert_int_equal(refmap_get(&m, 250).count, 16);
	refmap_free(&m);
}

/* A few in one leaf, then more than these, and what that costs. */
static void test_few(void **state)
{
	struct refmap m = REFMAP_INIT;
	const uint8_t *cells;
	size_t bytes;

	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(refmap_add(&m, i << 30, 1, i & 15), 0);
	assert_true(refmap_bytes(&m) < 100000 * 64);
	assert_int_equal(refmap_get(&m, UINT64_C(99999) << 30).count, 1);
	assert_int_equal(refmap_get(&m, UINT64_C(99999) << 30).flags, 15);
	cells = refmap_cells(&m, UINT64_C(3) << 30);
	assert_int_equal(cells[0], 1 << REFMAP_FLAGS | 3);
	assert_int_equal(cells[1], 0);
	bytes = refmap_bytes(&m);
	for (uint64_t i = 1; i < 9; i++) {
		assert_int_equal(refmap_add(&m, i * 20, (uint32_t)i, 0), 0);
		for (uint64_t k = 1; k <= i; k++)
			assert_int_equal(refmap_get(&m, k * 20).count, k);
		refmap_drop(&m, i * 20);
		assert_int_equal(refmap_get(&m, i * 20).count, i - 1);
		assert_int_equal(refmap_add(&m, i * 20, 1, 0), 0);
	}
	assert_in_range(refmap_bytes(&m), bytes + 256, bytes + 256);
	refmap_clear(&m, 40);
	assert_int_equal(refmap_get(&m, 40).count, 0);
	assert_int_equal(refmap_get(&m, 60).count, 3);
	refmap_free(&m);
	assert_int_equal(refmap_bytes(&m), 0);
}

/* Against a plain array. */
static void test_random(void **state)
{
	enum { N = 3000 };
	struct refmap m = REFMAP_INIT;
	struct refmap_entry *want = calloc(N, sizeof(*want));
	unsigned int seed = 1;

	assert_non_null(want);
	for (int i = 0; i < 100000; i++) {
		unsigned int c = (unsigned int)rand_r(&seed) % N;
		unsigned int n = (unsigned int)rand_r(&seed) % 100 ?
			(unsigned int)rand_r(&seed) % 3 : 1000;

		if (rand_r(&seed) % 50 == 0) {
			refmap_clear(&m, c * 13);
			want[c] = (struct refmap_entry){ 0 };
			continue;
		}
		assert_int_equal(refmap_add(&m, c * 13, n, c % 8), 0);
		want[c].count += n;
		want[c].flags |= c % 8;
	}
	for (unsigned int c = 0; c < N; c++) {
		struct refmap_entry got = refmap_get(&m, c * 13);

		assert_int_equal(got.count, want[c].count);
		assert_int_equal(got.flags, want[c].flags);
	}
	free(want);
	refmap_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
