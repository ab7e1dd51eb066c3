/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rings, events, several queues in turn, and the memory of their requests. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "blkif/vbd.h"
#include "common/bits.h"
#include "common/log.h"
#include "tests/unit/fake-front.h"

static void test_mad_index(void **state)
{
	struct fixture *f = new_fixture();
	struct error err;

	connect_vbd(f);
	f->front[0].ring->req_prod = 33;
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	assert_false(blkif_arm(f->vbd));
	assert_int_equal(f->disk.nr_log, 0);
	disconnect(f);

	fixture_init(f);
	connect_vbd(f);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	f->front[0].ring->req_prod = 0;		/* backwards */
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	disconnect(f);

	fixture_init(f);
	make_front(f, 0);
	f->front[0].ring->req_prod = 40;
	f->front[0].ring->rsp_prod = 7;
	assert_int_equal(blkif_connect(&f->config, &disk_ops, &f->disk, &f->vbd,
				       &err), -EPROTO);
	assert_null(f->vbd);
	disconnect(f);
}

/* The other queue's requests do not die of it, nor what is in flight. */
static void test_mad_neighbour(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	f->config.nr_queues = 2;
	connect_vbd(f);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	publish(&f->front[0]);
	f->front[1].ring->req_prod = 0x80000000;
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	blkif_push(f->vbd);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_arm(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	connect_vbd(f);
	assert_int_equal(f->front[0].ring->req_event, 1);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	assert_int_equal(f->front[0].ring->req_event, 1);	/* not armed */
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	publish(&f->front[0]);
	assert_true(blkif_arm(f->vbd));		/* slipped in */
	turn(f);
	expect_rsp(f, 0, id - 1, OP_READ, RSP_OKAY);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	assert_false(blkif_arm(f->vbd));
	assert_int_equal(f->front[0].ring->req_event, 3);
	disconnect(f);
}

static void test_events(void **state)
{
	struct fixture *f = new_fixture();

	f->config.nr_queues = 3;
	connect_vbd(f);
	assert_true(blkif_fd(f->vbd) >= 0);
	assert_int_equal(blkif_event(f->vbd), 0);	/* spurious */
	fake_fire(1);
	fake_fire(3);
	assert_int_equal(blkif_event(f->vbd), 0);
	assert_true(fake.masked[1] && fake.masked[3] && !fake.masked[2]);
	fake_fire(1);
	assert_int_equal(blkif_process(f->vbd), 0);
	assert_true(fake.masked[1]);
	assert_false(blkif_arm(f->vbd));
	assert_false(fake.masked[1] || fake.masked[3]);
	assert_int_equal(fake.unmasks, 2);
	assert_true(fake.pending[1]);		/* is not lost */
	disconnect(f);
}

static void test_multi_queue(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id[BLKIF_MAX_QUEUES];
	unsigned int copies;

	f->config.nr_queues = BLKIF_MAX_QUEUES;
	f->disk.deferred = true;
	connect_vbd(f);
	for (unsigned int i = 0; i < BLKIF_MAX_QUEUES; i++)
		id[i] = put_pages(f, i, OP_WRITE, i * 8, 1, DATA_GREF + i);
	assert_int_equal(turn(f), BLKIF_MAX_QUEUES);
	assert_int_equal(fake.copies, 1);
	copies = fake.copies;
	while (f->disk.nr_held)
		release(&f->disk, f->disk.nr_held - 1);
	blkif_push(f->vbd);
	assert_int_equal(fake.copies, copies);
	for (unsigned int i = 0; i < BLKIF_MAX_QUEUES; i++) {
		expect_rsp(f, i, id[i], OP_WRITE, RSP_OKAY);
		assert_int_equal(fake.notifies[i + 1], 1);
	}
	disconnect(f);
}

/* One queue that is always full does not starve the others. */
static void test_fairness(void **state)
{
	struct fixture *f = new_fixture();
	struct rsp rsp;
	uint64_t id;

	f->config.nr_queues = 2;
	f->config.queue[0].ring_order = 4;
	connect_vbd(f);
	for (unsigned int i = 0; i < 512; i++)
		put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	id = put_pages(f, 1, OP_READ, 0, 1, DATA_GREF);
	for (unsigned int i = 0; i < 2; i++)
		turn(f);
	expect_rsp(f, 1, id, OP_READ, RSP_OKAY);
	while (turn(f))
		;
	while (get_rsp(&f->front[0], &rsp))
		;
	assert_int_equal(f->front[0].cons, 512);
	disconnect(f);
}

static void test_quiesce(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	f->disk.deferred = true;
	connect_vbd(f);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	blkif_quiesce(f->vbd, true);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	assert_int_equal(turn(f), 0);
	assert_false(blkif_arm(f->vbd));
	release(&f->disk, 0);
	assert_false(blkif_idle(f->vbd));	/* not pushed */
	assert_true(blkif_arm(f->vbd));
	blkif_push(f->vbd);
	assert_true(blkif_idle(f->vbd));
	blkif_quiesce(f->vbd, false);
	assert_false(blkif_idle(f->vbd));
	assert_true(blkif_arm(f->vbd));
	turn(f);
	release(&f->disk, 0);
	blkif_push(f->vbd);
	expect_rsp(f, 0, id - 1, OP_READ, RSP_OKAY);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

/* ---- memory ---- */

/* 256 requests of 1 MiB would be 256 MiB: they are taken as memory allows. */
static void test_bounce_bound(void **state)
{
	struct fixture *f = new_fixture();

	f->config.queue[0].ring_order = 3;
	f->disk.deferred = true;
	connect_vbd(f);
	fill_descriptors(256);
	for (unsigned int i = 0; i < 256; i++)
		put_indirect(f, OP_WRITE, 0, 256, DESC_GREF);
	while (turn(f))
		;
	assert_int_equal(blkif_in_flight(f->vbd), 64);
	assert_false(blkif_arm(f->vbd));	/* wait for a completion */
	release(&f->disk, 5);
	blkif_push(f->vbd);
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(turn(f), 1);
	while (f->disk.nr_held) {
		release(&f->disk, 0);
		turn(f);
	}
	assert_int_equal(blkif_stats(f->vbd)->writes, 256);
	assert_true(blkif_idle(f->vbd));
	blkif_trim(f->vbd);
	put_pages(f, 0, OP_WRITE, 0, 1, DATA_GREF);
	turn(f);
	release(&f->disk, 0);
	blkif_push(f->vbd);
	assert_int_equal(blkif_stats(f->vbd)->writes, 257);
	disconnect(f);
}

/* Big requests in other slots than the last big ones: the memory of those is
 * given back at once, and data stays right. */
static void test_bounce_moves_on(void **state)
{
	struct fixture *f = new_fixture();
	struct disk *d = &f->disk;

	f->config.queue[0].ring_order = 3;
	d->deferred = true;
	connect_vbd(f);
	fill_descriptors(256);
	for (unsigned int i = 0; i < 200; i++)
		put_pages(f, 0, OP_WRITE, 0, 1, DATA_GREF);
	for (unsigned int i = 0; i < 56; i++)
		put_indirect(f, OP_WRITE, 0, 256, DESC_GREF);
	while (turn(f))
		;
	assert_int_equal(d->nr_held, 256);
	while (d->nr_held)
		release(d, d->nr_held - 1);
	blkif_push(f->vbd);
	for (unsigned int i = 0; i < 60; i++)
		put_indirect(f, OP_WRITE, 0, 256, DESC_GREF);
	turn(f);
	memset(fake_page(DATA_GREF), 'm', PAGE);	/* is too late */
	while (d->nr_held)
		release(d, 0);
	blkif_push(f->vbd);
	assert_int_equal(d->data[0], 0);
	assert_int_equal(blkif_stats(f->vbd)->writes, 316);
	put_indirect(f, OP_WRITE, 0, 256, DESC_GREF);
	turn(f);
	release(d, 0);
	assert_int_equal(d->data[0], 'm');
	disconnect(f);
}

/* The next queue's big requests take the memory that the last one's had. */
static void test_bounce_shared(void **state)
{
	struct fixture *f = new_fixture();

	f->config.nr_queues = 4;
	f->config.bounce_max = 8 * MiB;
	f->disk.deferred = true;
	connect_vbd(f);
	fill_descriptors(256);
	for (unsigned int i = 0; i < 40; i++) {
		for (unsigned int j = 0; j < 8; j++)
			put_indirect_on(f, i % 4, OP_WRITE, 0, 256,
					DESC_GREF);
		turn(f);
		assert_int_equal(f->disk.nr_held, 8);
		assert_true(f->vbd->touched * PAGE <= 8 * MiB);
		while (f->disk.nr_held)
			release(&f->disk, 0);
		blkif_push(f->vbd);
		f->disk.nr_log = 0;
	}
	assert_int_equal(blkif_stats(f->vbd)->writes, 320);
	disconnect(f);
}

/* ---- how many at a time ---- */

/* However long their rings, queues share what is in flight. */
static void test_depth(void **state)
{
	struct fixture *f = new_fixture();

	f->config.nr_queues = 4;
	f->disk.deferred = true;
	for (unsigned int i = 0; i < 4; i++)
		f->config.queue[i].ring_order = 4;
	connect_vbd(f);
	for (unsigned int i = 0; i < 4 * 512; i++)
		put_pages(f, i % 4, OP_READ, 0, 1, DATA_GREF);
	while (turn(f))
		;
	assert_int_equal(blkif_in_flight(f->vbd), IN_FLIGHT_MAX);
	assert_false(blkif_arm(f->vbd));	/* wait for a completion */
	for (unsigned int i = 0; i < 8; i++)
		release(&f->disk, 0);
	blkif_push(f->vbd);
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(turn(f), 8);
	while (f->disk.nr_held) {
		f->disk.nr_log = 0;
		release(&f->disk, 0);
		turn(f);
	}
	assert_int_equal(blkif_stats(f->vbd)->reads, 4 * 512);
	assert_true(blkif_idle(f->vbd));
	disconnect(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mad_index),
		cmocka_unit_test(test_mad_neighbour),
		cmocka_unit_test(test_arm),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_multi_queue),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_bounce_bound),
		cmocka_unit_test(test_bounce_moves_on),
		cmocka_unit_test(test_bounce_shared),
		cmocka_unit_test(test_depth),
	};

	log_init("test-queue", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
