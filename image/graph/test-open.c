/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is opened for whom: protocols for tests only where they were asked for,
 * as a name and in a described graph; descriptions never as a name.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "image/node.h"
#include "io/coroutine.h"
#include "io/loop.h"

static const struct image_node null_node = {
	.driver = "null-co", .path = "null-co://",
};
static const struct image_node debug_node = {
	.driver = "blkdebug", .file = &null_node,
};
static const struct image_node verify_node = {
	.driver = "blkverify", .file = &null_node, .test = &null_node,
};

static const struct {
	const char *path;
	const struct image_node *file;	/* NULL: by the path */
	unsigned int flags;
	int ret;
} cases[] = {
	{ "null-co://", NULL, 0, 0 },
	{ "blkdebug::null-co://", NULL, 0, -EACCES },
	{ "blkverify:null-co:null-co", NULL, 0, -EACCES },
	{ "json:{\"driver\":\"null-co\"}", NULL, 0, -ENOTSUP },
	{ "x", &null_node, 0, 0 },
	{ "x", &debug_node, 0, -EACCES },
	{ "x", &debug_node, IMAGE_RDWR, -EACCES },
	{ "x", &verify_node, IMAGE_NO_IO, -EACCES },
	{ "x", &debug_node, IMAGE_TESTING, 0 },
	{ "x", &verify_node, IMAGE_TESTING, 0 },
};

static struct loop *loop;

static int run_case(void *arg)
{
	size_t i = *(size_t *)arg;
	const struct image_node top = { .driver = "raw", .file = cases[i].file };
	const struct image_options opts = {
		.flags = cases[i].flags,
		.cache = IMAGE_CACHE_WRITEBACK,
		.node = cases[i].file ? &top : NULL,
	};
	struct error err = ERROR_INIT;
	struct image *img = NULL;
	int ret = image_open(loop, cases[i].path, "raw", &opts, &img, &err);

	assert_int_equal(ret, cases[i].ret);
	assert_int_equal(!err.msg[0], !ret);
	return img ? image_close(img, NULL) : 0;
}

static void test_cases(void **state)
{
	loop = loop_new();
	assert_non_null(loop);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(co_run(loop, run_case, &i), 0);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
