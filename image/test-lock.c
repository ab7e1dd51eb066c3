/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who may open an image beside whom: we, and QEMU 7.2 with the bytes that it
 * holds in /proc/locks when qemu-io has an image open.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bits.h"
#include "image/lock.h"

static char path[] = "test-lock.XXXXXX";

/* Locks that a program holds; ended by 0. */
static const struct program {
	const char *what;
	short bytes[8];
	bool ours, write;
} programs[] = {
	{ "our reader", { 0 }, true, false },
	{ "our writer", { 0 }, true, true },
	{ "qemu-io -f qcow2", { 100, 101, 103, 201, 203 }, false, true },
	{ "qemu-io -r -f qcow2", { 100, 201, 203 }, false, false },
	{ "qemu-io -f raw", { 100, 101 }, false, true },
	{ "qemu-io -r -f raw", { 100 }, false, false },
	{ "qemu-img info -U", { 100 }, false, false },
};

static int hold(const struct program *p, int fd)
{
	struct error err = ERROR_INIT;

	if (p->ours)
		return image_lock(fd, path, p->write, &err);
	for (const short *b = p->bytes; *b; b++) {
		struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET,
				   .l_start = *b, .l_len = 1 };

		if (fcntl(fd, F_OFD_SETLK, &l))
			return -errno;
	}
	return 0;
}

/* A raw image that a QEMU only reads is not guarded against us writing. */
static int expected(const struct program *p, bool write)
{
	if (p->write)
		return -EAGAIN;
	if (write && (p->ours || p->bytes[1]))
		return -EAGAIN;
	return 0;
}

static int open_image(void)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int try_lock(bool write)
{
	struct error err = ERROR_INIT;
	int fd = open_image();
	int looked = image_probe_locks(fd, path, write, &err);
	int ret = image_lock(fd, path, write, &err);

	close(fd);
	assert_int_equal(looked, ret);	/* and took nothing: see the callers */
	if (ret) {
		assert_non_null(strstr(err.msg, path));
		assert_non_null(strstr(err.msg, write ? "write lock" :
							"read lock"));
	}
	return ret;
}

static void test_same_process(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct program *p = &programs[i];
		int fd = open_image();

		print_message("%s\n", p->what);
		assert_int_equal(hold(p, fd), 0);
		assert_int_equal(try_lock(false), expected(p, false));
		assert_int_equal(try_lock(true), expected(p, true));
		close(fd);
		assert_int_equal(try_lock(true), 0);
	}
}

/* The child holds its locks until it is killed. */
static pid_t holder(const struct program *p)
{
	int ready[2];
	char ok = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		ok = hold(p, open(path, O_RDWR)) == 0;
		if (write(ready[1], &ok, 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &ok, 1), 1);
	assert_true(ok);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void test_two_processes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct program *p = &programs[i];
		pid_t pid = holder(p);

		assert_int_equal(try_lock(false), expected(p, false));
		assert_int_equal(try_lock(true), expected(p, true));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(try_lock(true), 0);
	}
}

/* Two that only look are not in each other's way. */
static void test_probe_takes_nothing(void **state)
{
	struct error err = ERROR_INIT;
	int fd = open_image();

	assert_int_equal(image_probe_locks(fd, path, true, &err), 0);
	assert_int_equal(try_lock(true), 0);
	close(fd);
}

static void test_bad_fd(void **state)
{
	struct error err = ERROR_INIT;

	assert_int_equal(image_lock(9999, "no-such", false, &err), -EBADF);
	assert_non_null(strstr(err.msg, "no-such"));
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	close(fd);
	return fd < 0;
}

static int remove_file(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_process),
		cmocka_unit_test(test_two_processes),
		cmocka_unit_test(test_probe_takes_nothing),
		cmocka_unit_test(test_bad_fd),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
