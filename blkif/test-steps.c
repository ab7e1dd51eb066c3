/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flushes and barriers: what goes before what. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/bits.h"
#include "common/log.h"
#include "tests/unit/fake-front.h"

static void test_flush(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t a, b;

	connect_vbd(f);
	a = put_pages(f, 0, OP_FLUSH, UINT64_MAX, 0, 0);
	memset(fake_page(DATA_GREF), 'f', PAGE);
	b = put_pages(f, 0, OP_FLUSH, 8, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, a, OP_FLUSH, RSP_OKAY);
	expect_rsp(f, 0, b, OP_FLUSH, RSP_OKAY);
	assert_int_equal(f->disk.nr_log, 3);
	expect_log(f, 0, BLKIF_FLUSH, 0, 0);
	expect_log(f, 1, BLKIF_FLUSH, 0, 0);
	expect_log(f, 2, BLKIF_WRITE, PAGE, PAGE);
	assert_int_equal(f->disk.data[PAGE], 'f');
	assert_int_equal(blkif_stats(f->vbd)->flushes, 2);
	disconnect(f);
}

static void test_barrier(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t a, b, c, d, e;

	f->config.nr_queues = 2;
	f->disk.deferred = true;
	connect_vbd(f);
	a = put_pages(f, 0, OP_WRITE, 0, 1, DATA_GREF);
	d = put_pages(f, 1, OP_WRITE, 8, 1, DATA_GREF);
	turn(f);
	b = put_pages(f, 0, OP_BARRIER, 16, 1, DATA_GREF);
	c = put_pages(f, 0, OP_WRITE, 24, 1, DATA_GREF);
	assert_int_equal(turn(f), 1);		/* c is held back */
	assert_int_equal(f->disk.nr_held, 2);
	release(&f->disk, 1);
	blkif_push(f->vbd);
	expect_rsp(f, 1, d, OP_WRITE, RSP_OKAY);
	e = put_pages(f, 1, OP_WRITE, 32, 1, DATA_GREF);	/* is not */
	assert_int_equal(turn(f), 1);
	assert_int_equal(f->disk.nr_held, 2);
	release(&f->disk, 1);
	blkif_push(f->vbd);
	expect_rsp(f, 1, e, OP_WRITE, RSP_OKAY);
	assert_int_equal(f->disk.nr_held, 1);	/* a: b still waits for it */
	assert_false(blkif_arm(f->vbd));
	release(&f->disk, 0);
	assert_true(blkif_arm(f->vbd));		/* b may go on */
	blkif_push(f->vbd);
	expect_rsp(f, 0, a, OP_WRITE, RSP_OKAY);
	barrier_step(f, BLKIF_FLUSH, 0);
	barrier_step(f, BLKIF_WRITE, PAGE);
	expect_no_rsp(f, 0);
	assert_int_equal(turn(f), 0);
	barrier_step(f, BLKIF_FLUSH, 0);
	expect_rsp(f, 0, b, OP_BARRIER, RSP_OKAY);
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(turn(f), 1);
	barrier_step(f, BLKIF_WRITE, PAGE);
	expect_rsp(f, 0, c, OP_WRITE, RSP_OKAY);
	assert_int_equal(blkif_stats(f->vbd)->barriers, 1);
	disconnect(f);
}

/* Two queues, a barrier each: the later one waits for the earlier one. */
static void test_two_barriers(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t a, b;

	f->config.nr_queues = 2;
	f->disk.deferred = true;
	connect_vbd(f);
	a = put_pages(f, 0, OP_BARRIER, 0, 0, 0);
	b = put_pages(f, 1, OP_BARRIER, 8, 1, DATA_GREF);
	assert_int_equal(turn(f), 2);
	barrier_step(f, BLKIF_FLUSH, 0);
	expect_rsp(f, 0, a, OP_BARRIER, RSP_OKAY);
	barrier_step(f, BLKIF_FLUSH, 0);
	barrier_step(f, BLKIF_WRITE, PAGE);
	barrier_step(f, BLKIF_FLUSH, 0);
	expect_rsp(f, 1, b, OP_BARRIER, RSP_OKAY);
	assert_true(blkif_idle(f->vbd));
	disconnect(f);
}

/* Barriers, good and bad, with an owner that answers at once. */
static void test_barrier_at_once(void **state)
{
	static const enum blkif_op want[] = {
		BLKIF_WRITE, BLKIF_FLUSH, BLKIF_WRITE, BLKIF_FLUSH, BLKIF_READ,
	};
	struct fixture *f = new_fixture();
	struct seg bad = { DATA_GREF, 6, 2, 0 };
	uint64_t id;

	connect_vbd(f);
	id = put_pages(f, 0, OP_WRITE, 0, 1, DATA_GREF);
	put_rw(f, 0, OP_READ, 0, 1, &bad);
	put_pages(f, 0, OP_BARRIER, 8, 1, DATA_GREF);
	put_rw(f, 0, OP_BARRIER, 8, 1, &bad);
	put_pages(f, 0, OP_BARRIER, 8, 1, FAKE_GRANTS);
	put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);
	while (turn(f))
		;
	assert_int_equal(f->disk.nr_log, ARRAY_SIZE(want));
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(f->disk.log[i].op, want[i]);
	expect_rsp(f, 0, id, OP_WRITE, RSP_OKAY);
	expect_rsp(f, 0, id + 1, OP_READ, RSP_ERROR);
	expect_rsp(f, 0, id + 2, OP_BARRIER, RSP_OKAY);
	expect_rsp(f, 0, id + 3, OP_BARRIER, RSP_ERROR);
	expect_rsp(f, 0, id + 4, OP_BARRIER, RSP_ERROR);
	expect_rsp(f, 0, id + 5, OP_READ, RSP_OKAY);
	assert_true(blkif_idle(f->vbd));
	disconnect(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_two_barriers),
		cmocka_unit_test(test_barrier_at_once),
	};

	log_init("test-steps", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
