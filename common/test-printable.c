/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/printable.h"

static void becomes(const char *text, const char *wanted)
{
	char out[256];

	printable(text, out, sizeof(out));
	assert_string_equal(out, wanted);
}

static void test_stays(void **state)
{
	becomes("", "");
	becomes("/share/linux.qcow2: no such file", "/share/linux.qcow2: no "
						    "such file");
	becomes("/tmp/磁盘.qcow2", "/tmp/磁盘.qcow2");
	becomes("\xf0\x9f\x92\xbe \xc3\xa9 \xc2\xa0", "\xf0\x9f\x92\xbe "
						      "\xc3\xa9 \xc2\xa0");
	becomes("C:\\base.vhd", "C:\\base.vhd");
	becomes("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

static void test_control(void **state)
{
	becomes("a\n<0>forged", "a\\n<0>forged");
	becomes("\033[2J", "\\033[2J");
	becomes("\a\b\t\n\v\f\r", "\\a\\b\\t\\n\\v\\f\\r");
	becomes("\x7f", "\\177");
	becomes("\xc2\x9b" "31m", "\\302\\23331m");	/* C1: CSI */
}

static void test_not_utf8(void **state)
{
	becomes("caf\xe9", "caf\\351");
	becomes("\xc0\xaf", "\\300\\257");		/* "/", too long */
	becomes("\xe0\x80\xaf", "\\340\\200\\257");
	becomes("\xed\xa0\x80", "\\355\\240\\200");	/* a surrogate */
	becomes("\xf4\x90\x80\x80", "\\364\\220\\200\\200");
	becomes("\xe7\xa3", "\\347\\243");		/* ends too early */
	becomes("\xff\xfe", "\\377\\376");
}

static void test_cut(void **state)
{
	char out[6];

	printable("abc磁x", out, sizeof(out));	/* no half character */
	assert_string_equal(out, "abc");
	printable("abc\033", out, sizeof(out));	/* no half escape */
	assert_string_equal(out, "abc");
	printable("ab磁", out, sizeof(out));
	assert_string_equal(out, "ab磁");
	memset(out, 'x', sizeof(out));
	printable("abc", out, 1);
	assert_string_equal(out, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stays),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
