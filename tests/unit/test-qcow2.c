/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The qcow2 engine where it once was wrong: each test makes an image, does to
 * it what went amiss, and has it checked. Functions ending in _co run in a
 * coroutine, where no assertion may jump: they return the line that failed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/qcow2/core/qcow2.h"
#include "io/loop.h"
#include "tests/unit/unit.h"

#define must(what)                        \
	do {                              \
		if (!(what))              \
			return -__LINE__; \
	} while (0)

static struct loop *loop;
static struct error err;
static struct image *img;
static char image[] = "test-qcow2.XXXXXX", base[] = "test-qcow2-b.XXXXXX";

static int setup(void **state)
{
	close(mkstemp(image));
	close(mkstemp(base));
	loop = loop_new();
	return !loop;
}

static int teardown(void **state)
{
	loop_free(loop);
	unlink(image);
	unlink(base);
	return 0;
}

static int create_co(const char *size_of_cluster, const char *refcount_bits,
		     uint64_t size, const char *backing)
{
	struct image_create_option o[] = {
		{ "cluster_size", size_of_cluster },
		{ "refcount_bits", refcount_bits },
		{ "backing_file", backing }, { "backing_fmt", "raw" },
	};

	return image_create(loop, image, "qcow2", size, o, backing ? 4 : 2,
			    &err);
}

static int open_co(uint64_t cache)
{
	struct image_options opts = {
		.flags = IMAGE_RDWR, .cache = IMAGE_CACHE_WRITEBACK,
		.l2_cache_size = cache,
	};

	return image_open(loop, image, "qcow2", &opts, &img, &err);
}

/* Closes, checks. */
static int finish_co(void)
{
	struct image_options opts = { .flags = IMAGE_NO_BACKING };
	struct image_check c = { 0 };

	must(!image_close(img, &err));
	must(!image_open(loop, image, "qcow2", &opts, &img, &err));
	must(!image_check(img, IMAGE_REPAIR_NONE, &c, &err));
	must(!image_close(img, &err));
	must(!c.corruptions && !c.leaks && !c.check_errors);
	return 0;
}

/* A file that goes on far behind what the refcount table reaches. */
static int long_file_co(void *arg)
{
	uint8_t *buf = calloc(1, MiB);
	int ret = 0;

	must(buf && !create_co("512", "64", 16 * MiB, NULL));
	must(!truncate(image, 64 * MiB));
	must(!open_co(0));
	for (uint64_t off = 0; !ret && off < 4 * MiB; off += MiB) {
		memset(buf, (int)(off / MiB) + 1, MiB);
		ret = image_pwrite(img, off, MiB, buf);
	}
	must(!ret && !image_flush(img));
	must(!image_pread(img, 3 * MiB, MiB, buf) && buf[MiB - 1] == 4);
	free(buf);
	return finish_co();
}

static void test_long_file(void **state)
{
	assert_int_equal(co_run(loop, long_file_co, NULL), 0);
}

/* One discard of a whole overlay must not hold all its L2 tables in memory. */
static int discard_all_co(void *arg)
{
	must(!truncate(base, (off_t)GiB));
	must(!create_co("512", "16", GiB, base) && !open_co(64 * KiB));
	must(!image_pdiscard(img, 0, GiB));
	must(qcow2_of(img)->l2_cache.nr < 512);
	return finish_co();
}

static void test_discard_all(void **state)
{
	assert_int_equal(co_run(loop, discard_all_co, NULL), 0);
}

/* A base that is full, and an overlay with all its L2 tables. */
static int create_chain_co(void)
{
	struct image_create_option o[] = {
		{ "cluster_size", "512" }, { "backing_file", base },
		{ "backing_fmt", "qcow2" },
	};
	struct image_options opts = { .flags = IMAGE_RDWR };
	char buf[4096];

	memset(buf, 7, sizeof(buf));
	must(!image_create(loop, base, "qcow2", 16 * MiB, o, 1, &err));
	must(!image_open(loop, base, "qcow2", &opts, &img, &err));
	for (uint64_t off = 0; off < 16 * MiB; off += sizeof(buf))
		must(!image_pwrite(img, off, sizeof(buf), buf));
	must(!image_close(img, &err));
	must(!image_create(loop, image, "qcow2", 16 * MiB, o, 3, &err));
	must(!open_co(256 * KiB));
	memset(buf, 8, sizeof(buf));
	for (uint64_t off = 0; off < 16 * MiB; off += 32 * KiB)
		must(!image_pwrite(img, off, 512, buf));
	return image_close(img, &err);
}

/* The images of a chain share what one of them may have of L2 tables. */
static int chain_caches_co(void *arg)
{
	char buf[4096];

	must(!create_chain_co() && !open_co(256 * KiB));
	for (int round = 0; round < 2; round++) {
		for (uint64_t off = 0; off < 16 * MiB; off += sizeof(buf)) {
			must(!image_pread(img, off, sizeof(buf), buf));
			must(buf[0] == (off % (32 * KiB) ? 7 : 8));
			must(buf[512] == 7 && buf[4095] == 7);
		}
	}
	must(qcow2_of(img)->l2_cache.nr_chunks +
	     qcow2_of(img->backing)->l2_cache.nr_chunks <= 4);
	must(qcow2_of(img->backing)->l2_cache.nr_chunks >= 1);
	return finish_co();
}

static void test_chain_caches(void **state)
{
	assert_int_equal(co_run(loop, chain_caches_co, NULL), 0);
}

/* What an overlay grows by does not show the longer image behind it. */
static int grow_overlay_co(void *arg)
{
	char buf[4096];
	int fd = open(base, O_WRONLY | O_TRUNC);

	memset(buf, 7, sizeof(buf));
	for (uint64_t off = 0; off < MiB; off += sizeof(buf))
		must(pwrite(fd, buf, sizeof(buf), (off_t)off) > 0);
	close(fd);
	must(!create_co("64k", "16", 100 * KiB, base) && !open_co(0));
	must(!image_truncate(img, 2 * MiB, &err));
	must(!image_pread(img, 99 * KiB, 4096, buf));
	must(buf[0] == 7 && buf[1023] == 7 && !buf[1024] && !buf[4095]);
	must(!image_pread(img, 900 * KiB, 4096, buf) && !buf[0]);
	return finish_co();
}

static void test_grow_overlay(void **state)
{
	assert_int_equal(co_run(loop, grow_overlay_co, NULL), 0);
}

/* An entry that calls the L1 table a zeroed cluster that may be reused. */
static int zero_over_table_co(void *arg)
{
	uint8_t buf[512], entry[8];
	struct qcow2 *q;
	uint64_t l2;
	int fd;

	memset(buf, 1, sizeof(buf));
	must(!create_co("64k", "16", MiB, NULL) && !open_co(0));
	must(!image_pwrite(img, 0, sizeof(buf), buf) && !image_flush(img));
	q = qcow2_of(img);
	l2 = q->l1.v[0] & QCOW2_L1_OFFSET;
	store_be64(entry, q->h.l1_table_offset | QCOW2_COPIED | QCOW2_ZERO);
	must(!image_close(img, &err));
	fd = open(image, O_WRONLY);
	must(pwrite(fd, entry, 8, (off_t)l2 + 8) == 8);
	close(fd);
	must(!open_co(0));
	must(image_pwrite(img, 64 * KiB, sizeof(buf), buf) == -EIO);
	must(qcow2_of(img)->state == QCOW2_CORRUPT);
	return image_close(img, &err);
}

static void test_zero_over_table(void **state)
{
	assert_int_equal(co_run(loop, zero_over_table_co, NULL), 0);
}

/* ---- a commit in the middle of the copy of an L2 table ---- */

static bool copied;

static void flush_meanwhile(void *arg)
{
	char buf[512] = { 1 };
	int *ret = arg;

	while (!*ret && !copied) {
		*ret = image_pwrite(img, 0, sizeof(buf), buf);
		if (!*ret)
			*ret = image_flush(img);
	}
}

/* A snapshot has the table, too. Reads of it wait: the file is opened with
 * O_DIRECT. */
static int copy_l2_co(void *arg)
{
	struct image_options opts = {
		.flags = IMAGE_RDWR, .cache = IMAGE_CACHE_NONE,
	};
	int flush_ret = 0, ret;
	char buf[512] = { 1 };

	must(!create_co("2M", "16", 512 * GiB, NULL));
	must(!image_open(loop, image, "qcow2", &opts, &img, &err));
	must(!image_pwrite(img, 0, sizeof(buf), buf));
	must(!image_snapshot_create(img, "s", &err) && !image_close(img, &err));
	must(!image_open(loop, image, "qcow2", &opts, &img, &err));
	copied = false;
	must(!co_start(flush_meanwhile, &flush_ret));
	ret = image_pwrite(img, 4 * MiB, sizeof(buf), buf);
	copied = true;
	co_sleep(loop, 100 * 1000 * 1000);	/* its last flush */
	must(!ret && !flush_ret && qcow2_of(img)->state == QCOW2_WRITABLE);
	must(!image_flush(img) && !image_flush(img));
	return finish_co();
}

static void test_copy_l2(void **state)
{
	int fd = open(image, O_RDWR | O_DIRECT);

	if (fd < 0)
		skip();
	close(fd);
	assert_int_equal(co_run(loop, copy_l2_co, NULL), 0);
}

/* ---- long work ---- */

/* 512 pieces to clear, and as many to release. */
#define LONG_SIZE (128 * GiB)

static int open_long_co(void)
{
	struct image_create_option o[] = { { "preallocation", "metadata" } };

	must(!image_create(loop, image, "qcow2", LONG_SIZE, o, 1, &err));
	return open_co(0);
}

/* -errno of a discard of the whole disk; 1: not done. */
static int discarded;

static void discard_long(void *arg)
{
	int ret = image_pdiscard(img, 0, LONG_SIZE);

	discarded = ret ? ret : image_flush(img);
}

/* Between the turns of the loop others have theirs. */
static int turns_co(void *arg)
{
	unsigned int turns = 0;
	char buf[512];

	must(!open_long_co());
	discarded = 1;
	must(!co_start(discard_long, NULL));
	for (; discarded == 1; turns++) {
		must(!image_pread(img, 0, sizeof(buf), buf));
		loop_next_turn(loop);
	}
	must(!discarded && turns >= 512);
	return finish_co();
}

static void test_turns(void **state)
{
	assert_int_equal(co_run(loop, turns_co, NULL), 0);
}

/* What was discarded until then stays so, in an image without leaks. */
static int cancel_co(void *arg)
{
	struct image_extent e;
	char buf[512] = { 1 };

	must(!open_long_co());
	must(!image_pwrite(img, LONG_SIZE - 512, sizeof(buf), buf));
	discarded = 1;
	must(!co_start(discard_long, NULL));
	loop_set_cancelled(loop, true);
	loop_next_turn(loop);
	loop_next_turn(loop);
	must(discarded == -ECANCELED);
	must(image_pwrite_zeroes(img, 0, LONG_SIZE, 0) == -ECANCELED);
	must(!image_block_status(img, 0, MiB, &e));
	must(!(e.flags & IMAGE_EXTENT_DATA));
	must(!image_pwrite(img, MiB, sizeof(buf), buf) && !image_flush(img));
	must(!image_close(img, &err));
	loop_set_cancelled(loop, false);
	must(!open_co(0));
	must(!image_pread(img, LONG_SIZE - 512, sizeof(buf), buf) && buf[0]);
	must(!image_pread(img, MiB, sizeof(buf), buf) && buf[0]);
	return finish_co();
}

static void test_cancel(void **state)
{
	assert_int_equal(co_run(loop, cancel_co, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_file),
		cmocka_unit_test(test_discard_all),
		cmocka_unit_test(test_chain_caches),
		cmocka_unit_test(test_grow_overlay),
		cmocka_unit_test(test_zero_over_table),
		cmocka_unit_test(test_copy_l2),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
