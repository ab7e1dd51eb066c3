/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/error.h"

static void test_sentences(void **state)
{
	struct error err = ERROR_INIT;

	assert_string_equal(error_text(&err, -ENOENT), strerror(ENOENT));
	assert_string_equal(error_text(NULL, -EIO), strerror(EIO));
	assert_int_equal(error_set(&err, EINVAL, "bad %s", "thing"), -EINVAL);
	assert_string_equal(error_text(&err, -EINVAL), "bad thing");
	assert_int_equal(error_set_errno(&err, EIO, "/img"), -EIO);
	assert_string_equal(err.msg, "/img: Input/output error");
	assert_int_equal(error_prefix(&err, -EIO, "disk %d", 3), -EIO);
	assert_string_equal(err.msg, "disk 3: /img: Input/output error");
}

static void test_prefix_without_sentence(void **state)
{
	struct error err = ERROR_INIT;

	assert_int_equal(error_prefix(&err, -ENOMEM, "disk"), -ENOMEM);
	assert_string_equal(err.msg, "disk: Cannot allocate memory");
}

/* What was said first stays. */
static void test_where(void **state)
{
	struct error err = ERROR_INIT;

	assert_int_equal(error_where(&err, 0, "/img"), 0);
	assert_string_equal(err.msg, "");
	assert_int_equal(error_where(&err, -EIO, "/img"), -EIO);
	assert_string_equal(err.msg, "/img: Input/output error");
	assert_int_equal(error_where(&err, -ENOSPC, "/other"), -ENOSPC);
	assert_string_equal(err.msg, "/img: Input/output error");
}

static void test_nobody_listens(void **state)
{
	assert_int_equal(error_where(NULL, -EIO, "x"), -EIO);
	assert_int_equal(error_set(NULL, EINVAL, "x"), -EINVAL);
	assert_int_equal(error_set_errno(NULL, EIO, "x"), -EIO);
	assert_int_equal(error_prefix(NULL, -EIO, "x"), -EIO);
}

/* Too long: the end is cut, and nothing behind the buffer is written. */
static void test_long(void **state)
{
	struct {
		struct error err;
		char guard;
	} s = { .guard = 'g' };
	char text[2048];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&s.err, EINVAL, "%s", text);
	assert_int_equal(strlen(s.err.msg), sizeof(s.err.msg) - 1);
	error_prefix(&s.err, -EINVAL, "prefix");
	assert_memory_equal(s.err.msg, "prefix: aaa", 11);
	assert_int_equal(strlen(s.err.msg), sizeof(s.err.msg) - 1);
	error_prefix(&s.err, -EINVAL, "%s", text);
	assert_int_equal(strlen(s.err.msg), sizeof(s.err.msg) - 1);
	error_set_errno(&s.err, EIO, "%s", text);
	assert_int_equal(strlen(s.err.msg), sizeof(s.err.msg) - 1);
	assert_int_equal(s.guard, 'g');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_prefix_without_sentence),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
