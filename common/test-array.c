/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow. */
#include "tests/unit/unit.h"

#include "common/array.h"

static void test_grow(void **state)
{
	uint64_t *v = NULL;
	unsigned int nr = 0, max = 0;

	for (uint64_t i = 0; i < 1000; i++) {
		assert_int_equal(array_reserve(v, nr, max), 0);
		assert_true(nr < max);
		v[nr++] = i * i;
	}
	for (uint64_t i = 0; i < nr; i++)
		assert_int_equal(v[i], i * i);
	assert_true(max < 2 * nr);
	free(v);
}

/* AddressSanitizer's: to be told of it, as without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* More than there is: what was there is still there. */
static void test_no_memory(void **state)
{
	struct huge {
		char bytes[SIZE_MAX / 32 + 1];
	} *v = malloc(1), *before = v;
	volatile size_t full = 16;	/* the compiler would see it coming */
	size_t nr = full, max = full;

	assert_int_equal(array_reserve(v, nr, max), -ENOMEM);
	assert_ptr_equal(v, before);
	assert_int_equal(max, 16);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
