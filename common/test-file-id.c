/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which names lead to the same file.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/file-id.h"

static char folder[] = "/tmp/xdisk-file-id.XXXXXX";

static int make_files(void **state)
{
	return !mkdtemp(folder) || chdir(folder) || mkdir("d", 0700) ||
	       close(creat("a", 0600)) || close(creat("b", 0600)) ||
	       link("a", "hard") || symlink("a", "soft") ||
	       symlink("soft", "softer") || symlink("nowhere", "dangling");
}

static int remove_files(void **state)
{
	static const char *const names[] = {
		"a", "b", "hard", "soft", "softer", "dangling",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	return rmdir("d") || chdir("/") || rmdir(folder);
}

static void test_names(void **state)
{
	assert_true(same_file_named("a", "a"));
	assert_true(same_file_named("a", "./d/../a"));
	assert_true(same_file_named("hard", "soft"));
	assert_true(same_file_named("softer", "a"));
	assert_false(same_file_named("a", "b"));
	assert_false(same_file_named("a", "d"));
}

/* What is not there is the same as nothing, not even itself. */
static void test_nowhere(void **state)
{
	struct file_id id = { FILE_INODE, 1, 1 };

	assert_false(same_file_named("nowhere", "nowhere"));
	assert_false(same_file_named("dangling", "nowhere"));
	assert_int_equal(file_id_find("nowhere", &id), -ENOENT);
	assert_int_equal(id.kind, FILE_NONE);
	assert_false(same_file(&id, &id));
}

static struct file_id id_of(mode_t mode, dev_t dev, ino_t ino, dev_t rdev)
{
	const struct stat st = {
		.st_mode = mode, .st_dev = dev, .st_ino = ino, .st_rdev = rdev,
	};
	struct file_id id;

	file_id_set(&id, &st);
	return id;
}

/* Nodes of one block device are one file; what else lies in their folders, or has
 * the device's number as its file system's, is not. */
static void test_devices(void **state)
{
	dev_t loop = makedev(7, 0), here = makedev(0, 5);
	struct file_id a = id_of(S_IFBLK | 0600, here, 10, loop);
	struct file_id b = id_of(S_IFBLK | 0640, here + 1, 20, loop);
	struct file_id c = id_of(S_IFBLK | 0600, here, 10, loop + 1);
	struct file_id on = id_of(S_IFREG | 0600, loop, 0, 0);
	struct file_id tty = id_of(S_IFCHR | 0600, here, 10, loop);

	assert_true(same_file(&a, &b));
	assert_false(same_file(&a, &c));
	assert_false(same_file(&a, &on));
	assert_false(same_file(&a, &tty));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_devices),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
