/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is beside an image, by links and other names of its folder, too. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "opener/beside.h"

/* Where the paths below are; its real path. */
static char *top;

static int make_tree(void **state)
{
	char dir[] = "test-beside.XXXXXX";

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

static int judge(const char *image, const char *path, struct error *err)
{
	cleanup_free char *real = realpath(path, NULL);

	return judge_beside(image, path, real, err);
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
		int ret = judge(neighbours[i].image, neighbours[i].path, &err);

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
	assert_int_equal(judge("a/image", path, NULL), 0);
	assert_int_equal(chdir("a"), 0);
	assert_int_equal(judge("image", path, NULL), 0);
	assert_int_equal(judge("image", "data", NULL), 0);
	assert_int_equal(judge("image", "out", NULL), -EACCES);
	assert_int_equal(chdir(".."), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_beside),
		cmocka_unit_test(test_beside_absolute),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
