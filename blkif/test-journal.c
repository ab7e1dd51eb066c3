/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A successor takes over where the first one died. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "tests/unit/fake-front.h"

/* The first one dies with answers written out of order, one answer done but
 * not pushed, and requests that it had not taken: the second one answers each
 * of the rest exactly once, in the order in which they came. */
static void test_successor(void **state)
{
	struct fixture *f = new_fixture();
	bool answered[21] = { false };
	struct error err = ERROR_INIT;
	struct blkif *dead;
	struct rsp rsp;
	void *journal;

	f->config.nr_queues = 2;
	journal = calloc(1, blkif_journal_size(&f->config));
	f->config.journal = journal;
	f->disk.deferred = true;
	connect_vbd(f);
	f->front[1].next_id = 10;
	for (unsigned int i = 0; i < 8; i++) {
		put_pages(f, 0, OP_READ, 8 * i, 1, DATA_GREF + i);
		put_pages(f, 1, OP_READ, 80 + 8 * i, 1, DATA_GREF + 10 + i);
	}
	turn(f);
	release(&f->disk, 5);
	release(&f->disk, 2);
	blkif_push(f->vbd);
	put_pages(f, 0, OP_READ, 64, 1, DATA_GREF + 8);
	turn(f);
	release(&f->disk, 0);		/* done, not pushed: nobody saw it */
	put_pages(f, 0, OP_READ, 72, 1, DATA_GREF + 9);
	publish(&f->front[0]);		/* not taken */

	dead = f->vbd;
	f->vbd = NULL;
	f->disk.nr_held = f->disk.nr_log = 0;
	f->config.resume = true;
	if (blkif_connect(&f->config, &disk_ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(fake.notifies[1], 2);
	assert_false(blkif_idle(f->vbd));
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(turn(f), 8 + 8 + 1 - 2);
	assert_int_equal(turn(f), 1);
	/* The order of the predecessor: its first queue first, then the late
	 * one. Request 1 was done but not shown. */
	expect_log(f, 0, BLKIF_READ, 0, PAGE);
	expect_log(f, 14, BLKIF_READ, 64 * 512, PAGE);
	expect_log(f, 15, BLKIF_READ, 72 * 512, PAGE);
	while (f->disk.nr_held)
		release(&f->disk, f->disk.nr_held - 1);
	blkif_push(f->vbd);
	for (unsigned int q = 0; q < 2; q++) {
		while (get_rsp(&f->front[q], &rsp)) {
			assert_int_equal(rsp.status, RSP_OKAY);
			assert_false(answered[rsp.id]);
			answered[rsp.id] = true;
		}
	}
	for (unsigned int i = 1; i <= 18; i++)
		assert_true(answered[i]);
	assert_false(answered[19]);
	assert_true(blkif_idle(f->vbd));
	blkif_disconnect(dead);
	disconnect(f);

	/* A journal of other rings is not taken for ours. */
	f->config.queue[0].port = 9;
	assert_int_equal(blkif_connect(&f->config, &disk_ops, &f->disk, &f->vbd,
				       &err), -EPROTO);
	free(journal);
}

/* A barrier that still waited goes on waiting, and holds its queue. */
static void test_successor_of_barrier(void **state)
{
	struct fixture *f = new_fixture();
	struct error err = ERROR_INIT;
	struct blkif *dead;
	uint64_t id;

	f->config.journal = calloc(1, blkif_journal_size(&f->config));
	f->disk.deferred = true;
	connect_vbd(f);
	id = put_pages(f, 0, OP_WRITE, 0, 1, DATA_GREF);
	put_pages(f, 0, OP_BARRIER, 8, 1, DATA_GREF);
	turn(f);
	put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);
	publish(&f->front[0]);

	dead = f->vbd;
	f->disk.nr_held = 0;
	f->config.resume = true;
	if (blkif_connect(&f->config, &disk_ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(turn(f), 2);
	assert_int_equal(turn(f), 0);
	barrier_step(f, BLKIF_WRITE, PAGE);
	barrier_step(f, BLKIF_FLUSH, 0);
	barrier_step(f, BLKIF_WRITE, PAGE);
	barrier_step(f, BLKIF_FLUSH, 0);
	assert_int_equal(turn(f), 1);
	barrier_step(f, BLKIF_READ, PAGE);
	expect_rsp(f, 0, id, OP_WRITE, RSP_OKAY);
	expect_rsp(f, 0, id + 1, OP_BARRIER, RSP_OKAY);
	expect_rsp(f, 0, id + 2, OP_READ, RSP_OKAY);
	blkif_disconnect(dead);
	disconnect(f);
	free(f->config.journal);
}

static void test_successor_finds_nothing(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	f->config.journal = calloc(1, blkif_journal_size(&f->config));
	f->config.resume = true;
	connect_vbd(f);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
	free(f->config.journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_successor),
		cmocka_unit_test(test_successor_of_barrier),
		cmocka_unit_test(test_successor_finds_nothing),
	};

	log_init("test-journal", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
