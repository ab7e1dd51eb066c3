/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages of a request: copied, or mapped and kept. */
#include "tests/unit/unit.h"

#include <string.h>

#include <xen/xen.h>
#include <xen/grant_table.h>

#include "blkif/grants.h"
#include "common/bits.h"
#include "common/log.h"
#include "tests/unit/fake-front.h"

/* One piece of one request is bad: its neighbours do not notice. */
static void bad_segment(int op, int persistent)
{
	struct fixture *f = new_fixture();
	uint64_t id[5];

	f->config.persistent = persistent;
	connect_vbd(f);
	fake.grant[DATA_GREF + 7].status = GNTST_bad_page;
	for (unsigned int i = 0; i < 5; i++)
		id[i] = put_pages(f, 0, op, i * 24, 3, DATA_GREF + i * 3);
	turn(f);
	for (unsigned int i = 0; i < 5; i++)
		expect_rsp(f, 0, id[i], op,
		       i == 2 ? RSP_ERROR : RSP_OKAY);
	assert_int_equal(blkif_stats(f->vbd)->errors[BLKIF_ERR_GRANT], 1);
	disconnect(f);
}

static void test_bad_segment(void **state)
{
	bad_segment(OP_READ, false);
	bad_segment(OP_WRITE, false);
	bad_segment(OP_READ, true);
	bad_segment(OP_WRITE, true);
}

static void test_eagain(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	connect_vbd(f);
	memset(fake_page(DATA_GREF + 1), 'e', PAGE);
	fake.grant[DATA_GREF + 1].status = GNTST_eagain;
	fake.grant[DATA_GREF + 1].times = 3;
	id = put_pages(f, 0, OP_WRITE, 0, 3, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_WRITE, RSP_OKAY);
	assert_int_equal(fake.copies, 4);
	assert_int_equal(blkif_stats(f->vbd)->copied_segments, 3 + 3);
	assert_int_equal(f->disk.data[PAGE], 'e');

	fake.grant[DATA_GREF + 1].status = GNTST_eagain;	/* for ever */
	id = put_pages(f, 0, OP_WRITE, 0, 3, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_WRITE, RSP_ERROR);
	disconnect(f);
}

static void test_copy_fails(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t a, b;

	connect_vbd(f);
	fake.copy_fails = true;
	a = put_pages(f, 0, OP_WRITE, 0, 3, DATA_GREF);
	b = put_pages(f, 0, OP_READ, 0, 3, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, a, OP_WRITE, RSP_ERROR);
	expect_rsp(f, 0, b, OP_READ, RSP_ERROR);
	disconnect(f);
}

/* A whole ring goes through with one copy in and one answer, or one a batch of
 * eight answers where they become ready one by one. */
static void test_batching(void **state)
{
	struct fixture *f = new_fixture();
	unsigned int copies;

	f->disk.deferred = true;
	connect_vbd(f);
	for (unsigned int i = 0; i < 16; i++)
		put_pages(f, 0, OP_WRITE, i * 88, 11, DATA_GREF + i * 11);
	turn(f);
	assert_int_equal(fake.copies, 1);
	assert_int_equal(fake.maps, 1);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(f->disk.log[i].niov, 1);	/* 44 KiB */
	for (unsigned int i = 0; i < 7; i++)
		release(&f->disk, 0);
	assert_int_equal(fake.notifies[1], 0);
	blkif_push(f->vbd);
	assert_int_equal(fake.notifies[1], 1);
	assert_int_equal(f->front[0].ring->rsp_prod, 7);
	while (f->disk.nr_held)
		release(&f->disk, 0);
	blkif_push(f->vbd);

	for (unsigned int i = 0; i < 7; i++)
		put_pages(f, 0, OP_READ, i * 88, 11, DATA_GREF + i * 11);
	copies = fake.copies;
	turn(f);
	assert_int_equal(fake.copies, copies);
	while (f->disk.nr_held)
		release(&f->disk, 0);
	blkif_push(f->vbd);
	assert_int_equal(fake.copies, copies + 1);
	blkif_push(f->vbd);
	assert_int_equal(fake.copies, copies + 1);
	assert_int_equal(blkif_process(f->vbd), 0);
	disconnect(f);
}

/* rsp_event far ahead: the frontend does not want to be told yet. */
static void test_notify_holdoff(void **state)
{
	struct fixture *f = new_fixture();

	connect_vbd(f);
	f->front[0].ring->rsp_event = 5;
	for (unsigned int i = 0; i < 4; i++) {
		put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
		turn(f);
	}
	assert_int_equal(fake.notifies[1], 0);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	assert_int_equal(fake.notifies[1], 1);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	assert_int_equal(fake.notifies[1], 1);
	disconnect(f);
}

static void test_persistent_reuse(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	f->config.persistent = true;
	connect_vbd(f);
	for (unsigned int i = 0; i < 100; i++) {
		id = put_pages(f, 0, i % 2 ? OP_READ : OP_WRITE, 0, 11,
			       DATA_GREF);
		turn(f);
		expect_rsp(f, 0, id, i % 2 ? OP_READ : OP_WRITE, RSP_OKAY);
	}
	assert_int_equal(fake.maps, 1 + 11);
	assert_int_equal(fake.copies, 0);
	assert_int_equal(blkif_stats(f->vbd)->mapped, 11);
	/* Pages that lie side by side are one piece. */
	assert_int_equal(f->disk.log[0].niov, 1);

	blkif_trim(f->vbd);	/* used since the last time: stay */
	assert_int_equal(blkif_stats(f->vbd)->unmapped, 0);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	blkif_trim(f->vbd);
	assert_int_equal(blkif_stats(f->vbd)->unmapped, 10);
	disconnect(f);
}

/* A frontend that says persistent and grants pages read-only is served by
 * copies. */
static void test_persistent_readonly(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	f->config.persistent = true;
	connect_vbd(f);
	fake.grant[DATA_GREF].readonly = true;
	id = put_pages(f, 0, OP_WRITE, 0, 2, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_WRITE, RSP_OKAY);
	id = put_pages(f, 0, OP_READ, 0, 2, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	disconnect(f);
}

/* More grants than are kept: those in use stay, cold ones make room. */
static void test_persistent_bound(void **state)
{
	struct fixture *f = new_fixture();
	unsigned int maps;
	struct seg seg;

	f->config.persistent = true;
	connect_vbd(f);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 1500; i++) {
			seg = (struct seg){ 1500 + i, 0, 7, 0 };
			put_rw(f, 0, OP_READ, 0, 1, &seg);
			turn(f);
			assert_true(fake.mapped <= 1 + GRANTS_MAX);
			f->disk.nr_log = 0;
		}
	}
	assert_int_equal(blkif_stats(f->vbd)->reads, 4500);
	maps = fake.maps;
	/* The old ones fall out of use: new ones get in, bit by bit. */
	for (unsigned int round = 0; round < 6000; round++) {
		put_pages(f, 0, OP_READ, 0, 11, 3500);
		turn(f);
		f->disk.nr_log = 0;
	}
	assert_int_equal(fake.maps, maps + 11);
	assert_int_equal(blkif_stats(f->vbd)->unmapped, fake.maps - fake.mapped);
	disconnect(f);
}

/* Queues share what is kept. */
static void test_persistent_queues(void **state)
{
	struct fixture *f = new_fixture();
	struct seg seg;

	f->config.persistent = true;
	f->config.nr_queues = 4;
	connect_vbd(f);
	for (unsigned int i = 0; i < 2000; i++) {
		seg = (struct seg){ 1500 + i, 0, 7, 0 };
		put_rw(f, i % 4, OP_READ, 0, 1, &seg);
		turn(f);
		assert_true(fake.mapped <= 4 + GRANTS_MAX);
		f->disk.nr_log = 0;
	}
	assert_true(fake.mapped >= GRANTS_MAX);
	/* Whose it is does not matter. */
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int maps = fake.maps;

		seg = (struct seg){ 1500 + 1000, 0, 7, 0 };
		put_rw(f, i, OP_READ, 0, 1, &seg);
		turn(f);
		assert_int_equal(fake.maps, maps);
	}
	assert_int_equal(blkif_stats(f->vbd)->reads, 2004);
	disconnect(f);
}

static void test_grants_in_use_stay(void **state)
{
	struct fixture *f = new_fixture();
	unsigned int copies;

	f->config.persistent = true;
	f->config.queue[0].ring_order = 4;
	f->disk.deferred = true;
	connect_vbd(f);
	/* 96 requests of 11 pages fill the cache exactly, and are held. */
	for (unsigned int i = 0; i < 96; i++)
		put_pages(f, 0, OP_WRITE, 0, 11, 2000 + i * 11);
	while (turn(f))
		;
	assert_int_equal(fake.copies, 0);
	for (unsigned int i = 0; i < 300; i++)
		put_pages(f, 0, OP_WRITE, 0, 11, 3100 + i % 60 * 11);
	while (turn(f))
		;
	copies = fake.copies;
	assert_true(copies > 0);
	assert_int_equal(blkif_stats(f->vbd)->unmapped, 0);
	while (f->disk.nr_held)
		release(&f->disk, 0);
	blkif_push(f->vbd);
	assert_int_equal(blkif_stats(f->vbd)->writes, 396);
	disconnect(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_segment),
		cmocka_unit_test(test_eagain),
		cmocka_unit_test(test_copy_fails),
		cmocka_unit_test(test_batching),
		cmocka_unit_test(test_notify_holdoff),
		cmocka_unit_test(test_persistent_reuse),
		cmocka_unit_test(test_persistent_readonly),
		cmocka_unit_test(test_persistent_bound),
		cmocka_unit_test(test_persistent_queues),
		cmocka_unit_test(test_grants_in_use_stay),
	};

	log_init("test-grants", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
