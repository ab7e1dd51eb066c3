/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Raw images on files, through image.h: what is no file, how long one is, what
 * zeroes and discards leave behind, and create. In each cache mode that the
 * file system of the build directory has, and in /dev/shm.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/image.h"
#include "image/resize.h"
#include "io/coroutine.h"
#include "io/loop.h"

static struct loop *loop;
static char path[64];
static struct error err;

/* ---- image.h outside of coroutines ---- */

static struct call {
	struct image_options opts;
	struct image *img;
	uint64_t off, len;
	char *buf;
	unsigned int flags;
	struct image_extent extent;
	const char *option;
} c;

static int do_open(void *arg)
{
	return image_open(loop, path, "raw", &c.opts, &c.img, &err);
}

static int do_close(void *arg)
{
	return image_close(c.img, &err);
}

static int do_read(void *arg)
{
	return image_pread(c.img, c.off, c.len, c.buf);
}

static int do_write(void *arg)
{
	return image_pwrite(c.img, c.off, c.len, c.buf);
}

static int do_zero(void *arg)
{
	return image_pwrite_zeroes(c.img, c.off, c.len, c.flags);
}

static int do_discard(void *arg)
{
	return image_pdiscard(c.img, c.off, c.len);
}

static int do_flush(void *arg)
{
	return image_flush(c.img);
}

static int do_truncate(void *arg)
{
	return image_truncate(c.img, c.len, &err);
}

static int do_status(void *arg)
{
	return image_block_status(c.img, c.off, c.len, &c.extent);
}

static int do_create(void *arg)
{
	struct image_create_option o = { "preallocation", c.option };

	return image_create(loop, path, "raw", c.len, &o, c.option ? 1 : 0,
			    &err);
}

static int run(int (*fn)(void *), uint64_t off, uint64_t len)
{
	c.off = off;
	c.len = len;
	err.msg[0] = 0;
	return co_run(loop, fn, NULL);
}

static void fill(uint64_t off, uint64_t len, int value)
{
	c.buf = malloc(len + 1);
	memset(c.buf, value, len);
	assert_int_equal(run(do_write, off, len), 0);
	free(c.buf);
}

/* Is all of it `value`? Read at an odd address, which O_DIRECT minds. */
static void expect(uint64_t off, uint64_t len, int value)
{
	char *buf = malloc(len + 1);

	c.buf = buf + 1;
	assert_int_equal(run(do_read, off, len), 0);
	for (uint64_t i = 1; i <= len; i++)
		assert_int_equal((unsigned char)buf[i], value);
	free(buf);
}

/* ---- fixtures ---- */

static void make_file(const char *dir, off_t size)
{
	int fd;

	snprintf(path, sizeof(path), "%s/test-file.XXXXXX", dir);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static off_t file_size(void)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static int open_it(unsigned int flags, enum image_cache cache)
{
	memset(&c, 0, sizeof(c));
	c.opts.flags = flags;
	c.opts.cache = cache;
	return run(do_open, 0, 0);
}

static void close_it(void)
{
	assert_int_equal(run(do_close, 0, 0), 0);
}

static int setup(void **state)
{
	loop = loop_new();
	return !loop;
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

/* ---- what is opened ---- */

static void refuse(const char *what, int error)
{
	snprintf(path, sizeof(path), "%s", what);
	for (unsigned int flags = 0; flags <= IMAGE_RDWR; flags += IMAGE_RDWR) {
		assert_int_equal(open_it(flags, IMAGE_CACHE_AUTO), error);
		assert_non_null(strstr(err.msg, what));
	}
}

static void test_not_a_file(void **state)
{
	snprintf(path, sizeof(path), "/nonexistent/image");
	assert_int_equal(open_it(0, IMAGE_CACHE_AUTO), -ENOENT);
	assert_string_equal(err.msg, "No such file or directory");
	refuse("/dev/null", -EINVAL);
	assert_non_null(strstr(err.msg, "character device"));
	assert_int_equal(mkfifo("test-file.fifo", 0600), 0);
	refuse("test-file.fifo", -EINVAL);	/* and does not hang */
	unlink("test-file.fifo");
	snprintf(path, sizeof(path), ".");
	assert_int_equal(open_it(0, IMAGE_CACHE_AUTO), -EINVAL);
	assert_non_null(strstr(err.msg, "directory"));
	assert_int_equal(open_it(IMAGE_RDWR, IMAGE_CACHE_AUTO), -EISDIR);
}

static void test_locked(void **state)
{
	struct image *first;

	make_file(".", 4096);
	assert_int_equal(open_it(IMAGE_RDWR, IMAGE_CACHE_AUTO), 0);
	first = c.img;
	assert_int_equal(open_it(IMAGE_RDWR, IMAGE_CACHE_AUTO), -EAGAIN);
	assert_int_equal(open_it(0, IMAGE_CACHE_AUTO), -EAGAIN);
	c.option = NULL;
	assert_int_equal(run(do_create, 0, 0), -EAGAIN);
	assert_int_equal(file_size(), 4096);
	assert_int_equal(open_it(IMAGE_SHARE, IMAGE_CACHE_AUTO), 0);
	close_it();
	assert_int_equal(open_it(IMAGE_NO_IO, IMAGE_CACHE_AUTO), 0);
	assert_int_equal(image_size(c.img), 4096);
	close_it();
	c.img = first;
	close_it();
	unlink(path);
}

/* ---- data ---- */

/* A file that ends within a sector, and bytes that are no sectors. */
static void ragged(enum image_cache cache)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_int_equal(write(fd, "abcdefghijklmnop", 16), 16);
	assert_int_equal(ftruncate(fd, 8192 + 700), 0);
	close(fd);
	assert_int_equal(open_it(IMAGE_RDWR, cache), 0);
	assert_int_equal(image_size(c.img), 8192 + 1024);
	expect(1, 1, 'b');
	expect(15, 1, 'p');
	expect(8192, 1024, 0);
	c.buf = (char[1]){ 0 };
	assert_int_equal(run(do_read, 8192 + 1024, 1), -EINVAL);
	fill(2, 3, 'x');
	fill(4095, 4098, 'y');
	fill(8192 + 1023, 1, 'z');
	close_it();
	assert_int_equal(open_it(0, cache), 0);
	expect(1, 1, 'b');
	expect(2, 3, 'x');
	expect(5, 1, 'f');
	expect(4094, 1, 0);
	expect(4095, 4098, 'y');
	expect(8193, 1022, 0);
	expect(8192 + 1023, 1, 'z');
	c.buf = (char[1]){ 0 };
	assert_int_equal(run(do_write, 0, 1), -EROFS);
	close_it();
}

static void zeroes(enum image_cache cache)
{
	static const unsigned int flags[] = {
		0, IMAGE_ZERO_UNMAP, IMAGE_ZERO_UNMAP | IMAGE_ZERO_FAST,
	};

	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 1024 * 1024), 0);
	assert_int_equal(open_it(IMAGE_RDWR | IMAGE_UNMAP, cache), 0);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		fill(0, 65536, 'q');
		c.flags = flags[i];
		assert_int_equal(run(do_zero, 8192, 16384), 0);
		expect(4096, 4096, 'q');
		expect(8192, 16384, 0);
		expect(24576, 4096, 'q');
	}
	c.flags = 0;
	fill(0, 65536, 'q');
	assert_int_equal(run(do_zero, 1001, 30001), 0);
	expect(1000, 1, 'q');
	expect(1001, 30001, 0);
	expect(31002, 1, 'q');

	assert_int_equal(run(do_discard, 0, 16384), 0);
	expect(31002, 1, 'q');
	assert_int_equal(run(do_flush, 0, 0), 0);
	close_it();
}

static void status(void)
{
	uint64_t data = 0, zero = 0;

	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 1024 * 1024 + 100), 0);
	assert_int_equal(open_it(IMAGE_RDWR, IMAGE_CACHE_WRITEBACK), 0);
	fill(262144, 65536, 'd');
	fill(786432, 65536, 'd');
	for (uint64_t off = 0; off < image_size(c.img); off += c.extent.length) {
		assert_int_equal(run(do_status, off, image_size(c.img) - off),
				 0);
		assert_true(c.extent.flags & IMAGE_EXTENT_ALLOCATED);
		if (c.extent.flags & IMAGE_EXTENT_DATA)
			data += c.extent.length;
		else if (c.extent.flags & IMAGE_EXTENT_ZERO)
			zero += c.extent.length;
	}
	assert_int_equal(data, 131072);
	assert_int_equal(zero, 1024 * 1024 + 512 - 131072);
	/* within data, and again after it has gone */
	assert_int_equal(run(do_status, 262144 + 512, 1024), 0);
	assert_int_equal(c.extent.length, 1024);
	c.flags = IMAGE_ZERO_UNMAP;
	assert_int_equal(run(do_zero, 262144, 65536), 0);
	assert_int_equal(run(do_status, 262144, 65536), 0);
	assert_true(c.extent.flags & IMAGE_EXTENT_ZERO);
	assert_int_equal(c.extent.length, 65536);

	assert_int_equal(run(do_truncate, 0, 2 * 1024 * 1024), 0);
	assert_int_equal(image_size(c.img), 2 * 1024 * 1024);
	expect(1024 * 1024, 1024 * 1024, 0);
	fill(2 * 1024 * 1024 - 4096, 4096, 'e');
	assert_int_equal(run(do_truncate, 0, 65536), 0);
	assert_int_equal(file_size(), 65536);
	close_it();
}

static void all_caches(const char *dir)
{
	make_file(dir, 4096);
	for (enum image_cache k = IMAGE_CACHE_AUTO; k <= IMAGE_CACHE_UNSAFE;
	     k++) {
		if (open_it(0, k)) {
			assert_int_equal(strncmp(err.msg, "cache=", 6), 0);
			continue;
		}
		print_message("%s %s -> %s\n", path, image_cache_name(k),
			      image_cache_name(image_cache(c.img)));
		close_it();
		ragged(k);
		zeroes(k);
	}
	status();
	unlink(path);
}

static void test_build_dir(void **state)
{
	all_caches(".");
}

static void test_memory(void **state)
{
	if (access("/dev/shm", W_OK))
		skip();
	all_caches("/dev/shm");
}

/* ---- given up ---- */

/* What may be a table is still written. */
static void test_cancelled(void **state)
{
	make_file(".", 5000);
	c.opts = (struct image_options){ .flags = IMAGE_RDWR | IMAGE_UNMAP };
	assert_int_equal(truncate(path, (off_t)TiB), 0);
	assert_int_equal(run(do_open, 0, 0), 0);
	assert_int_equal(run(do_discard, 0, TiB), 0);
	loop_set_cancelled(loop, true);
	assert_int_equal(run(do_discard, 0, TiB), -ECANCELED);
	assert_int_equal(run(do_zero, 0, TiB), -ECANCELED);
	fill(MiB, MiB, 7);
	assert_int_equal(run(do_zero, 0, 2 * MiB), 0);
	expect(MiB, MiB, 0);
	assert_int_equal(run(do_flush, 0, 0), 0);
	assert_int_equal(run(do_close, 0, 0), 0);
	unlink(path);
}

/* ---- create ---- */

static void test_create(void **state)
{
	struct stat st;

	make_file(".", 5000);
	for (int i = 0; i < 3; i++) {
		c.option = (const char *[]){ "off", "falloc", "full" }[i];
		assert_int_equal(run(do_create, 0, 1024 * 1024 + 512), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 1024 * 1024 + 512);
		if (i)
			assert_true(st.st_blocks >= 2048);
		else
			assert_int_equal(st.st_blocks, 0);
	}
	c.option = "metadata";
	assert_int_equal(run(do_create, 0, 512), -EINVAL);
	assert_non_null(strstr(err.msg, "off, falloc, full"));
	c.option = NULL;
	assert_int_equal(run(do_create, 0, UINT64_MAX), -EFBIG);
	assert_int_equal(run(do_create, 0, 0), 0);
	unlink(path);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_not_a_file),
		TEST(test_locked),
		TEST(test_build_dir),
		TEST(test_memory),
		TEST(test_cancelled),
		TEST(test_create),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
