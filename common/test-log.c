/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"

/* What one call writes to stderr. */
static void logged(char *out, size_t size, const char *text)
{
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	log_error("%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	n = read(ends[0], out, size - 1);
	close(ends[0]);
	assert_true(n > 0);
	out[n] = 0;
}

static void test_one_line(void **state)
{
	char line[4096];

	logged(line, sizeof(line), "/a\n<0>xdiskd: all is well\033[2J");
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_non_null(strstr(line, "error: vbd 3/51712: /a\\n<0>xdiskd: all "
				     "is well\\033[2J\n"));
}

/* Cut, but with its end of line. */
static void test_long(void **state)
{
	char text[8192], line[16384];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	logged(line, sizeof(line), text);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_non_null(strstr(line, "\\n\\n\n"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_long),
	};

	log_init("test-log", LOG_LEVEL_ERROR, true);
	log_set_object("vbd 3/51712");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
