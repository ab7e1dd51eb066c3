/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranges read ahead of their user, over a driver of ours whose reads wait until
 * they are let go, the last one first, and fail where told to.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/readahead.h"

#define NONE UINT64_MAX

static struct coroutine *waiting[READAHEAD_DEPTH];
static unsigned int nr_waiting, most_waiting;
static uint64_t bytes_waiting, most_bytes;
static uint64_t bad_offset;

static int fake_preadv(struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	cleanup_free uint8_t *buf = malloc(len);

	waiting[nr_waiting++] = co_self();
	most_waiting = max(most_waiting, nr_waiting);
	bytes_waiting += len;
	most_bytes = max(most_bytes, bytes_waiting);
	co_yield();
	bytes_waiting -= len;
	memset(buf, (int)(off >> 12), len);
	iow_from_buf(w, buf, len);
	return off == bad_offset ? -EIO : 0;
}

static const struct image_driver fake_driver = {
	.name = "fake", .preadv = fake_preadv,
};
static struct image file = {
	.driver = &fake_driver, .request_align = 1, .size = GiB,
};

struct source {
	uint64_t next, end, len;	/* bytes */
};

static bool next_range(void *arg, uint64_t *offset, uint64_t *len)
{
	struct source *s = arg;

	if (s->next >= s->end)
		return false;
	*offset = s->next;
	*len = s->len;
	s->next += s->len;
	return true;
}

struct reader {
	struct source source;
	unsigned int stop_after, nr, nr_failed;
	bool in_order, ended;
};

static void run_reader(void *arg)
{
	struct reader *r = arg;
	uint64_t at = r->source.next, len = r->source.len;
	struct readahead_range *range;
	struct readahead ra;

	readahead_init(&ra, &file, next_range, &r->source);
	r->in_order = true;
	while (r->nr < r->stop_after && (range = readahead_get(&ra))) {
		r->nr++;
		r->nr_failed += range->ret == -EIO;
		if (range->offset != at || range->len != len ||
		    (!range->ret && range->data[len - 1] != (uint8_t)(at >> 12)))
			r->in_order = false;
		at += len;
	}
	readahead_deinit(&ra);
	readahead_deinit(&ra);
	r->ended = true;
}

static struct reader run(uint64_t bytes, uint64_t len, unsigned int stop_after)
{
	struct reader r = {
		.source = { 0, bytes, len }, .stop_after = stop_after,
	};

	most_waiting = 0;
	most_bytes = 0;
	assert_int_equal(co_start(run_reader, &r), 0);
	while (!r.ended) {
		assert_true(nr_waiting > 0);
		co_wake(waiting[--nr_waiting]);
	}
	assert_int_equal(nr_waiting, 0);
	return r;
}

static int setup(void **state)
{
	nr_waiting = 0;
	bytes_waiting = 0;
	bad_offset = NONE;
	return 0;
}

static void test_nothing(void **state)
{
	struct reader r = run(0, 4096, 10);

	assert_int_equal(r.nr, 0);
}

static void test_order(void **state)
{
	struct reader r = run(100 * 4096, 4096, 1000);

	assert_int_equal(r.nr, 100);
	assert_true(r.in_order);
	assert_int_equal(most_waiting, READAHEAD_DEPTH);
}

static void test_bounded(void **state)
{
	struct reader r = run(64 * MiB, 2 * MiB, 1000);

	assert_int_equal(r.nr, 32);
	assert_true(r.in_order);
	assert_true(most_bytes <= READAHEAD_BYTES);
}

static void test_error(void **state)
{
	struct reader r;

	bad_offset = 7 * 4096;
	r = run(20 * 4096, 4096, 1000);
	assert_int_equal(r.nr, 20);
	assert_int_equal(r.nr_failed, 1);
	assert_true(r.in_order);
}

/* What is under way when the user has enough is waited for. */
static void test_stops(void **state)
{
	struct reader r = run(100 * 4096, 4096, 3);

	assert_int_equal(r.nr, 3);
	assert_true(r.in_order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nothing, setup),
		cmocka_unit_test_setup(test_order, setup),
		cmocka_unit_test_setup(test_bounded, setup),
		cmocka_unit_test_setup(test_error, setup),
		cmocka_unit_test_setup(test_stops, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
