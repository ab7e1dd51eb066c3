/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cache of table slices over a driver of ours, whose reads wait until they
 * are let go and fail when told so.
 */

#include <errno.h>
#include <stdlib.h>

#include "image/qcow2/core/cache.h"
#include "tests/unit/unit.h"

#define SLICE 512u
#define FILE_SIZE (1 * GiB)
#define MAX_SLICES 16u		/* the least that a cache has */

static struct co_queue reads;
static bool hold;
static int read_error;
static unsigned int nr_reads;

/* Each word of the file is its own offset. */
static int fake_preadv(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	uint64_t *buf = malloc(len);
	int error = read_error;

	nr_reads++;
	for (uint64_t i = 0; i < len / 8; i++)
		buf[i] = off + i * 8;
	if (hold)
		co_queue_wait(&reads);
	iow_from_buf(w, buf, len);
	free(buf);
	return error;
}

static const struct image_driver fake_driver = {
	.name = "fake", .preadv = fake_preadv,
};
static struct image file = {
	.driver = &fake_driver, .request_align = 1, .size = FILE_SIZE,
	.path = (char *)"fake",
};
static struct qcow2_cache cache;

static int setup(void **state)
{
	co_queue_init(&reads);
	hold = false;
	read_error = 0;
	nr_reads = 0;
	return qcow2_cache_init(&cache, &file, SLICE, 0);
}

static int teardown(void **state)
{
	qcow2_cache_deinit(&cache);
	qcow2_cache_deinit(&cache);
	return 0;
}

/* ---- a coroutine that gets a slice ---- */

struct getter {
	uint64_t offset, word;		/* the first of its slice */
	bool dirty, ended;
	int ret;
};

static void get(void *arg)
{
	struct getter *g = arg;
	struct qcow2_slice *s;

	g->ret = qcow2_cache_get(&cache, g->offset, &s);
	if (!g->ret) {
		g->word = *(uint64_t *)s->data;
		if (g->dirty)
			qcow2_cache_dirty(&cache, s);
		qcow2_cache_put(s);
	}
	g->ended = true;
}

static struct getter get_now(uint64_t offset, bool dirty)
{
	struct getter g = { .offset = offset, .dirty = dirty };

	assert_int_equal(co_start(get, &g), 0);
	assert_true(g.ended);
	assert_int_equal(g.ret, 0);
	assert_int_equal(g.word, offset);
	return g;
}

static void test_loads_once(void **state)
{
	struct getter a = { .offset = SLICE }, b = { .offset = SLICE };

	hold = true;
	co_start(get, &a);
	co_start(get, &b);
	assert_null(qcow2_cache_peek(&cache, SLICE));
	assert_false(a.ended || b.ended);
	co_queue_wake_all(&reads);
	assert_true(a.ended && b.ended);
	assert_int_equal(a.word, SLICE);
	assert_int_equal(b.word, SLICE);
	assert_int_equal(nr_reads, 1);
	assert_non_null(qcow2_cache_peek(&cache, SLICE));
}

/* All who wait see the error; the next one reads anew. */
/* A slice that the file does not hold whole is not read, and not zeroes. */
static void test_cut_off(void **state)
{
	struct getter last = { .offset = FILE_SIZE - SLICE };
	struct getter cut = { .offset = FILE_SIZE - SLICE / 2 };
	struct getter beyond = { .offset = FILE_SIZE };

	co_start(get, &cut);
	co_start(get, &beyond);
	assert_int_equal(cut.ret, -EIO);
	assert_int_equal(beyond.ret, -EIO);
	assert_int_equal(nr_reads, 0);
	co_start(get, &last);
	assert_int_equal(last.ret, 0);
	assert_int_equal(nr_reads, 1);
	assert_int_equal(cache.nr, 1);
}

static void test_load_fails(void **state)
{
	struct getter a = { .offset = SLICE }, b = { .offset = SLICE };

	hold = true;
	read_error = -EIO;
	co_start(get, &a);
	co_start(get, &b);
	hold = false;
	co_queue_wake_all(&reads);
	assert_int_equal(a.ret, -EIO);
	assert_int_equal(b.ret, -EIO);
	assert_null(qcow2_cache_peek(&cache, SLICE));
	assert_int_equal(cache.nr, 0);
	read_error = 0;
	get_now(SLICE, false);
}

static void test_evicts(void **state)
{
	for (uint64_t i = 1; i <= 10 * MAX_SLICES; i++)
		get_now(i * SLICE, false);
	assert_int_equal(cache.nr, MAX_SLICES);
	assert_null(qcow2_cache_peek(&cache, SLICE));
	assert_non_null(qcow2_cache_peek(&cache, 10 * MAX_SLICES * SLICE));
}

/* Many dirty slices, all older than what is read: the reader's must go. */
static void test_evicts_behind_dirty(void **state)
{
	unsigned int dirty = 1000;

	for (uint64_t i = 1; i <= dirty; i++)
		get_now(i * SLICE, true);
	assert_int_equal(cache.nr_dirty, dirty);
	for (uint64_t i = 1; i <= 10000; i++)
		get_now((dirty + i) * SLICE, false);
	assert_int_equal(cache.nr_dirty, dirty);
	assert_in_range(cache.nr, dirty, dirty + 200);
}

static void test_new_and_drop(void **state)
{
	struct qcow2_slice *s;

	assert_int_equal(qcow2_cache_new(&cache, SLICE, &s), 0);
	assert_int_equal(*(uint64_t *)s->data, 0);
	qcow2_cache_dirty(&cache, s);
	qcow2_cache_dirty(&cache, s);
	qcow2_cache_put(s);
	assert_int_equal(cache.nr_dirty, 1);
	qcow2_cache_drop(&cache, 0, 4 * SLICE);
	assert_int_equal(cache.nr_dirty, 0);
	assert_null(qcow2_cache_peek(&cache, SLICE));
	assert_int_equal(nr_reads, 0);
}

/* A commit that fails must not bring back what was dropped meanwhile. */
static void test_drop_while_writing(void **state)
{
	struct qcow2_slice *s, *again;

	get_now(SLICE, false);
	s = qcow2_cache_peek(&cache, SLICE);
	s->writing = true;
	qcow2_cache_drop(&cache, SLICE, SLICE);
	assert_null(qcow2_cache_peek(&cache, SLICE));
	/* the place may be another table's already */
	assert_int_equal(qcow2_cache_new(&cache, SLICE, &again), 0);
	assert_ptr_not_equal(s, again);
	assert_int_equal(*(uint64_t *)again->data, 0);
	s->writing = false;
	qcow2_cache_dirty(&cache, s);
	assert_int_equal(cache.nr_dirty, 0);
	qcow2_cache_put(again);
	/* its memory comes back */
	assert_false(list_empty(&cache.orphans));
	get_now(7 * SLICE, false);
	assert_true(list_empty(&cache.orphans));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_loads_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evicts_behind_dirty, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_new_and_drop, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_drop_while_writing, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
