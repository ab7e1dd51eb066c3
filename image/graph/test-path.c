/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What names of files in images may say, and what is beside an image.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "image/graph/path.h"

static const struct {
	const char *image, *name, *full;	/* NULL: refused */
} cases[] = {
	{ "over.qcow2", "base.raw", "base.raw" },
	{ "dir/over.qcow2", "base.raw", "dir/base.raw" },
	{ "/a/b/over.qcow2", "../base.raw", "/a/b/../base.raw" },
	{ "/a/over.qcow2", "/b/base.raw", "/b/base.raw" },
	{ "/a/over.qcow2", "file:base.raw", "/a/base.raw" },
	{ "/a/over.qcow2", "file:/b/base.raw", "/b/base.raw" },
	{ "over.qcow2", "file:json:{}", "./json:{}" },
	{ "/a/over.qcow2", "file:nbd:x", "/a/nbd:x" },
	{ "/a/over.qcow2", "./with:colon", "/a/./with:colon" },
	{ "a:b/over.qcow2", "base.raw", "a:b/base.raw" },
	{ "over.qcow2", "%s%n", "%s%n" },
	{ "over.qcow2", "", NULL },
	{ "over.qcow2", "file:", NULL },
	{ "over.qcow2", "nbd:localhost:10809", NULL },
	{ "over.qcow2", "json:{\"driver\":\"raw\"}", NULL },
	{ "over.qcow2", "https://host/base", NULL },
};

static void test_names(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = ERROR_INIT;
		char *full = NULL;
		int ret = image_backing_path(cases[i].image, cases[i].name,
					     &full, &err);

		assert_int_equal(ret, cases[i].full ? 0 : -EINVAL);
		assert_str(full, cases[i].full);
		assert_int_equal(!err.msg[0], !ret);
		free(full);
	}
}

static void test_plain(void **state)
{
	static const char *const plain[][2] = {
		{ "base.raw", "base.raw" },
		{ "file:base.raw", "base.raw" },
		{ "file:nbd:x", "./nbd:x" },
		{ "file:dir/a:b", "dir/a:b" },
		{ "file:file:x", "./file:x" },
		{ "nbd:x", "nbd:x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		char *name = image_plain_path(plain[i][0]);

		assert_str(name, plain[i][1]);
		free(name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
