/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of cache modes and AIO engines. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "common/io-modes.h"

static void test_cache(void **state)
{
	char list[] = IMAGE_CACHE_MODES(" ");
	enum image_cache cache, next = IMAGE_CACHE_NONE;

	assert_int_equal(image_parse_cache("auto", &cache), 0);
	assert_int_equal(cache, IMAGE_CACHE_AUTO);
	for (char *name = strtok(list, " "); name; name = strtok(NULL, " ")) {
		assert_int_equal(image_parse_cache(name, &cache), 0);
		assert_int_equal(cache, next++);
		assert_string_equal(image_cache_name(cache), name);
	}
	assert_int_equal(next, IMAGE_CACHE_UNSAFE + 1);
	assert_int_equal(image_parse_cache("", &cache), -EINVAL);
	assert_int_equal(image_parse_cache("None", &cache), -EINVAL);
}

static void test_aio(void **state)
{
	char list[] = AIO_ENGINES(" ", "libaio");
	enum aio_kind kind, next = AIO_AUTO;

	for (char *name = strtok(list, " "); name; name = strtok(NULL, " ")) {
		assert_int_equal(aio_parse_kind(name, &kind), 0);
		assert_int_equal(kind, next++);
		assert_string_equal(aio_kind_name(kind), name);
	}
	assert_int_equal(next, AIO_THREADS + 1);
	assert_int_equal(aio_parse_kind("native", &kind), 0);
	assert_int_equal(kind, AIO_LIBAIO);
	assert_int_equal(aio_parse_kind("", &kind), -EINVAL);
	assert_int_equal(aio_parse_kind("uring", &kind), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_aio),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
