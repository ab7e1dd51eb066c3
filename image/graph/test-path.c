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

/* Where the paths below are; its real path. */
static char *top;

static int make_tree(void **state)
{
	char dir[] = "test-path.XXXXXX";

	top = mkdtemp(dir) ? realpath(dir, NULL) : NULL;
	return !top || chdir(top) || mkdir("a", 0700) || mkdir("b", 0700) ||
	       mkdir("a/sub", 0700) || mkfifo("a/fifo", 0600) ||
	       mknod("a/image", S_IFREG | 0600, 0) ||
	       mknod("a/data", S_IFREG | 0600, 0) ||
	       mknod("a/sub/data", S_IFREG | 0600, 0) ||
	       mknod("b/data", S_IFREG | 0600, 0) ||
	       symlink("data", "a/link") || symlink("../b/data", "a/out") ||
	       symlink("nowhere", "a/dangling") || symlink("a", "same") ||
	       symlink("../a/data", "b/back");
}

static int remove_tree(void **state)
{
	static const char *const all[] = {
		"a/sub/data", "a/sub", "a/fifo", "a/image", "a/data", "a/link",
		"a/out", "a/dangling", "a", "b/data", "b/back", "b", "same",
	};
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		failed |= remove(all[i]);
	failed |= chdir("..") || rmdir(top);
	free(top);
	return failed;
}

static const struct {
	const char *image, *path;
	int ret;
} neighbours[] = {
	{ "a/image", "a/data", 0 },
	{ "a/image", "a/./data", 0 },
	{ "a/image", "a/sub/../data", 0 },
	{ "a/image", "a/link", 0 },		/* it does not lead out */
	{ "same/image", "same/data", 0 },
	{ "same/image", "a/data", 0 },
	{ "a/image", "a/image", 0 },		/* others judge that */
	{ "a/image", "a/../b/data", -EACCES },
	{ "a/image", "b/data", -EACCES },
	{ "a/image", "b/back", -EACCES },
	{ "a/image", "b/nowhere", -EACCES },	/* no telling what is there */
	{ "a/image", "a/out", -EACCES },
	{ "a/image", "a/sub/data", -EACCES },
	{ "a/image", "/etc/passwd", -EACCES },
	{ "a/image", "a/fifo", -EACCES },
	{ "a/image", "a/sub", -EACCES },
	{ "a/image", "a/..", -EACCES },
	{ "/dev/sda", "/dev/null", -EACCES },	/* no folder of images */
	{ "a/image", "a/nowhere", -ENOENT },
	{ "a/image", "a/dangling", -ENOENT },
	{ "a/image", "a/data/", -ENOTDIR },
	{ "c/image", "a/data", -ENOENT },
	{ "image", "same", -EACCES },
	{ "image", "/", -EACCES },
};

static void test_beside(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(neighbours); i++) {
		struct error err = ERROR_INIT;
		int ret = image_judge_beside(neighbours[i].image,
					     neighbours[i].path, &err);

		if (ret != neighbours[i].ret)
			print_error("%s beside %s\n", neighbours[i].path,
				    neighbours[i].image);
		assert_int_equal(ret, neighbours[i].ret);
		assert_int_equal(!err.msg[0], !ret);
	}
}

static void test_beside_absolute(void **state)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/a/data", top);
	assert_int_equal(image_judge_beside("a/image", path, NULL), 0);
	assert_int_equal(chdir("a"), 0);
	assert_int_equal(image_judge_beside("image", path, NULL), 0);
	assert_int_equal(image_judge_beside("image", "data", NULL), 0);
	assert_int_equal(image_judge_beside("image", "out", NULL), -EACCES);
	assert_int_equal(chdir(".."), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_beside),
		cmocka_unit_test(test_beside_absolute),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
