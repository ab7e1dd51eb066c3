/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <string.h>

#include "io/iow.h"

static char a[4], b[1], c[7];
static const struct iovec iov[] = {
	{ a, 4 }, { NULL, 0 }, { b, 1 }, { c, 7 },
};
static const struct iow all = { iov, 4, 0 };

/* Every window of "0123456789ab" says the same as the string does. */
static void test_windows(void **state)
{
	static const char text[] = "0123456789ab";
	char buf[12];
	struct iovec out[4];
	struct iow w;

	iow_from_buf(all, text, 12);
	for (size_t off = 0; off <= 12; off++) {
		w = iow_advance(all, off);
		for (size_t len = 0; len <= 12 - off; len++) {
			char *p = buf;
			int n = iow_count(w, len);

			memset(buf, 0, sizeof(buf));
			iow_to_buf(buf, w, len);
			assert_memory_equal(buf, text + off, len);
			assert_in_range(n, len > 0, len ? 3 : 0);
			iow_fill(w, len, out);
			for (int i = 0; i < n; p += out[i++].iov_len)
				assert_memory_equal(out[i].iov_base,
						    text + off + (p - buf),
						    out[i].iov_len);
			assert_int_equal(p - buf, len);
		}
	}
}

static void test_fill_some(void **state)
{
	struct iovec out[4];
	size_t len = 11;

	assert_int_equal(iow_fill_some(iow_advance(all, 1), &len, out, 2), 2);
	assert_int_equal(len, 4);
	assert_ptr_equal(out[0].iov_base, a + 1);
	assert_ptr_equal(out[1].iov_base, b);
	len = 11;
	assert_int_equal(iow_fill_some(iow_advance(all, 1), &len, out, 4), 3);
	assert_int_equal(len, 11);
}

static void test_linear(void **state)
{
	assert_ptr_equal(iow_linear(all, 4), a);
	assert_null(iow_linear(all, 5));
	assert_ptr_equal(iow_linear(iow_advance(all, 3), 1), a + 3);
	assert_ptr_equal(iow_linear(iow_advance(all, 4), 1), b);
	assert_ptr_equal(iow_linear(iow_advance(all, 6), 6), c + 1);
}

static void test_zero(void **state)
{
	char buf[12];

	iow_from_buf(all, "0123456789ab", 12);
	iow_zero(iow_advance(all, 3), 3);
	iow_to_buf(buf, all, 12);
	assert_memory_equal(buf, "012\0\0\0006789ab", 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_fill_some),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
