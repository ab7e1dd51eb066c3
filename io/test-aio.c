/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All engines, buffered and direct, on a file in the build directory. Where
 * the file system has no O_DIRECT or the kernel no such engine, that
 * combination is skipped.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "io/aio.h"
#include "io/coroutine.h"
#include "io/loop.h"

#define BLOCK 4096u
#define NR_BLOCKS 600u		/* more than any engine's queue */

static struct fixture {
	struct loop *loop;
	struct aio *aio, *kept;	/* kept: aio_new_confined()'s */
	struct aio_file file;
	char path[64];
	char *memory;		/* NR_BLOCKS blocks, aligned */
} fx;
static bool confined;

static int fixture_open(const char *dir, enum aio_kind kind, bool direct)
{
	struct error err = ERROR_INIT;
	int fd, ret;

	snprintf(fx.path, sizeof(fx.path), "%s/test-aio.XXXXXX", dir);
	fd = mkstemp(fx.path);
	if (fd < 0)
		return -errno;
	if (direct && fcntl(fd, F_SETFL, O_DIRECT)) {
		close(fd);
		unlink(fx.path);
		return -EINVAL;
	}
	fx.memory = mmap(NULL, BLOCK * NR_BLOCKS, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fx.loop = loop_new();
	fx.kept = NULL;
	if (confined && aio_new_confined(fx.loop, &fx.kept, &err))
		print_message("confined: %s\n", err.msg);
	ret = aio_new(fx.loop, kind, direct, &fx.aio, &err);
	if (ret)
		print_message("%s: %s\n", aio_kind_name(kind), err.msg);
	aio_file_init(&fx.file, fx.aio, fd, direct);
	return ret;
}

static void fixture_close(void)
{
	aio_file_done(&fx.file);
	aio_free(fx.kept);
	aio_free(fx.aio);
	loop_free(fx.loop);
	munmap(fx.memory, BLOCK * NR_BLOCKS);
	close(fx.file.fd);
	unlink(fx.path);
	co_trim();
	memset(&fx, 0, sizeof(fx));
}

/* ---- every block at once ---- */

static unsigned int nr_ended, nr_failed;

static void ended(int ret)
{
	nr_ended++;
	nr_failed += ret != 0;
}

static struct iovec block_iov(uintptr_t n)
{
	return (struct iovec){ fx.memory + n * BLOCK, BLOCK };
}

static void write_block(void *arg)
{
	struct iovec iov = block_iov((uintptr_t)arg);

	ended(aio_pwritev(&fx.file, (uintptr_t)arg * BLOCK, BLOCK,
			  iow_of(&iov, 1)));
}

static void read_block(void *arg)
{
	struct iovec iov = block_iov((uintptr_t)arg);

	ended(aio_preadv(&fx.file, (uintptr_t)arg * BLOCK, BLOCK,
			 iow_of(&iov, 1)));
}

static void each_block(void (*fn)(void *))
{
	nr_ended = nr_failed = 0;
	for (uintptr_t i = 0; i < NR_BLOCKS; i++)
		assert_int_equal(co_start(fn, (void *)i), 0);
	while (nr_ended < NR_BLOCKS)
		loop_turn(fx.loop, -1);
	assert_int_equal(nr_failed, 0);
}

static void check_many(void)
{
	for (unsigned int i = 0; i < NR_BLOCKS; i++)
		memset(fx.memory + i * BLOCK, (int)i % 251 + 1, BLOCK);
	each_block(write_block);
	memset(fx.memory, 0, NR_BLOCKS * BLOCK);
	/* out of the page cache: make the engines work */
	fdatasync(fx.file.fd);
	posix_fadvise(fx.file.fd, 0, 0, POSIX_FADV_DONTNEED);
	each_block(read_block);
	for (unsigned int i = 0; i < NR_BLOCKS * BLOCK; i++)
		assert_int_equal((unsigned char)fx.memory[i],
				 i / BLOCK % 251 + 1);
}

/* ---- one after the other, with windows and the end of file ---- */

#define PIECES 300

static int windows(void *arg)
{
	struct iovec iov[PIECES];
	struct iow w = { iov, PIECES, 512 };
	int ret;

	if (ftruncate(fx.file.fd, 0))
		return -errno;
	for (int i = 0; i < PIECES; i++)
		iov[i] = (struct iovec){ fx.memory + i * 1536, 1024 };
	memset(fx.memory, 'w', PIECES * 1536);
	iov[0].iov_len = 512 + 1024;	/* of which the window skips 512 */
	iov[1].iov_base = fx.memory + 5 * BLOCK * PIECES / 4;
	memset(iov[1].iov_base, 'v', 1024);
	ret = aio_pwritev(&fx.file, 0, PIECES * 1024, w);
	if (ret)
		return ret;
	memset(fx.memory, 0, BLOCK * NR_BLOCKS);
	ret = aio_preadv(&fx.file, 4096, PIECES * 1024, w);
	if (ret)
		return ret;
	/* 4096 bytes beyond the end are zeroes; none outside the window */
	for (int i = 0; i < PIECES; i++) {
		char *p = iov[i].iov_base;
		char want = i < PIECES - 4 ? 'w' : 0;

		if (p[i ? 0 : 512] != want || p[i ? 1023 : 1535] != want)
			return -EILSEQ;
		if (i != 1 && p[i ? 1024 : 0])
			return -ERANGE;
	}
	return 0;
}

/* The file ends within a block. */
static int ragged_end(void *arg)
{
	struct iovec iov = { fx.memory, 2 * BLOCK };
	int ret;

	if (ftruncate(fx.file.fd, 0) || ftruncate(fx.file.fd, BLOCK + 700))
		return -errno;
	memset(fx.memory, 'x', 3 * BLOCK);
	ret = aio_preadv(&fx.file, 0, 2 * BLOCK, iow_of(&iov, 1));
	if (ret)
		return ret;
	for (unsigned int i = 0; i < 3 * BLOCK; i++) {
		if (fx.memory[i] != (i < 2 * BLOCK ? 0 : 'x'))
			return -EILSEQ;
	}
	return aio_preadv(&fx.file, 16 * BLOCK, BLOCK, iow_of(&iov, 1));
}

static int others(void *arg)
{
	struct stat st;
	int ret = aio_fallocate(&fx.file, 0, 0, 10 * BLOCK);

	if (ret)
		return ret;
	if (fstat(fx.file.fd, &st) || st.st_size != 10 * BLOCK)
		return -EILSEQ;
	ret = aio_fallocate(&fx.file, 0, 0, 0);
	if (ret != -EINVAL)
		return -ERANGE;
	return aio_fdatasync(&fx.file);
}

/* ---- failures ---- */

static int bad_fd(void *arg)
{
	struct aio_file f = fx.file;
	struct iovec iov = { fx.memory, BLOCK };

	f.fd = 9999;
	if (aio_preadv(&f, 0, BLOCK, iow_of(&iov, 1)) != -EBADF)
		return 1;
	if (aio_pwritev(&f, 0, BLOCK, iow_of(&iov, 1)) != -EBADF)
		return 2;
	if (aio_fdatasync(&f) != -EBADF)
		return 3;
	if (aio_fallocate(&f, 0, 0, BLOCK) != -EBADF)
		return 4;
	return 0;
}

/* A write that fits in part fails as a whole. */
static int too_big(void *arg)
{
	struct rlimit old, small;
	struct iovec iov = { fx.memory, 4 * BLOCK };
	int ret;

	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 6 * BLOCK;
	setrlimit(RLIMIT_FSIZE, &small);
	ret = aio_pwritev(&fx.file, 4 * BLOCK, 4 * BLOCK, iow_of(&iov, 1));
	setrlimit(RLIMIT_FSIZE, &old);
	return ret;
}

/* ---- all combinations ---- */

static void all_checks(enum aio_kind kind, bool direct)
{
	print_message("%s %s: %s\n", fx.path, aio_kind_name(kind),
		      direct ? "direct" : "buffered");
	check_many();
	assert_int_equal(co_run(fx.loop, windows, NULL), 0);
	assert_int_equal(co_run(fx.loop, ragged_end, NULL), 0);
	assert_int_equal(co_run(fx.loop, others, NULL), 0);
	if (!confined)		/* a slot is no descriptor */
		assert_int_equal(co_run(fx.loop, bad_fd, NULL), 0);
	assert_int_equal(co_run(fx.loop, too_big, NULL), -EFBIG);
}

static void in_directory(const char *dir)
{
	static const enum aio_kind kinds[] = {
		AIO_AUTO, AIO_IO_URING, AIO_LIBAIO, AIO_THREADS,
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds) * 2; i++) {
		int ret = fixture_open(dir, kinds[i / 2], i & 1);

		if (!ret)
			all_checks(kinds[i / 2], i & 1);
		else
			assert_true(ret == -EINVAL || ret == -ENOTSUP);
		if (fx.loop)
			fixture_close();
	}
}

static void test_build_dir(void **state)
{
	in_directory(".");
}

static void test_memory(void **state)
{
	if (access("/dev/shm", W_OK))
		skip();
	in_directory("/dev/shm");
}

/* The same with nothing inline. */
static void test_engine_only(void **state)
{
	for (enum aio_kind k = AIO_AUTO; k <= AIO_THREADS; k++) {
		if (!fixture_open(".", k, false)) {
			fx.file.no_nowait = true;
			all_checks(k, false);
		}
		fixture_close();
	}
}

/* ---- engines are shared, and wait for what is in flight ---- */

static void test_shared(void **state)
{
	struct aio *again;

	assert_int_equal(fixture_open(".", AIO_AUTO, false), 0);
	assert_int_equal(aio_new(fx.loop, aio_kind(fx.aio), false, &again,
				 NULL), 0);
	assert_ptr_equal(again, fx.aio);
	aio_free(again);
	assert_int_equal(aio_new(fx.loop, AIO_LIBAIO, false, &again, NULL),
			 -ENOTSUP);
	aio_free(NULL);
	fixture_close();
}

static void test_free_waits(void **state)
{
	for (enum aio_kind k = AIO_AUTO; k <= AIO_THREADS; k++) {
		if (fixture_open(".", k, false)) {
			fixture_close();
			continue;
		}
		fx.file.no_nowait = true;
		nr_ended = nr_failed = 0;
		for (uintptr_t i = 0; i < NR_BLOCKS; i++)
			co_start(write_block, (void *)i);
		assert_true(nr_ended < NR_BLOCKS);
		aio_free(fx.aio);
		fx.aio = NULL;
		assert_int_equal(nr_ended, NR_BLOCKS);
		assert_int_equal(nr_failed, 0);
		fixture_close();
	}
}

/* From a coroutine that the engine itself has just woken. */
static int frees_it(void *arg)
{
	struct iovec iov = block_iov(0);
	int ret = aio_preadv(&fx.file, 0, BLOCK, iow_of(&iov, 1));

	aio_free(fx.aio);
	fx.aio = NULL;
	return ret;
}

static void test_free_in_coroutine(void **state)
{
	for (enum aio_kind k = AIO_AUTO; k <= AIO_THREADS; k++) {
		if (!fixture_open(".", k, false)) {
			fx.file.no_nowait = true;
			assert_int_equal(co_run(fx.loop, frees_it, NULL), 0);
		}
		fixture_close();
	}
}

static bool is_ring(struct aio *aio)
{
	return aio && aio_kind(aio) == AIO_IO_URING;
}

/* Through a ring that takes nothing but files of its table, or without one. */
static void test_confined(void **state)
{
	struct error err = ERROR_INIT;
	struct aio *other;

	confined = true;
	for (int direct = 0; direct <= 1; direct++) {
		if (fixture_open(".", AIO_AUTO, direct))
			continue;
		fx.file.no_nowait = !direct;	/* nothing inline */
		all_checks(AIO_AUTO, direct);
		fixture_close();
	}
	assert_int_equal(fixture_open(".", AIO_AUTO, false), 0);
	assert_int_equal(is_ring(fx.aio), is_ring(fx.kept));
	fixture_close();
	fx.loop = loop_new();
	assert_int_equal(aio_new(fx.loop, AIO_IO_URING, false, &other, &err),
			 -ENOTSUP);
	loop_free(fx.loop);
	confined = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build_dir),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_engine_only),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_free_waits),
		cmocka_unit_test(test_free_in_coroutine),
		cmocka_unit_test(test_confined),	/* the last: for good */
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
