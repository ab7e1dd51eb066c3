/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests that are carried out, and those that are refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "common/log.h"
#include "tests/unit/fake-front.h"

static void read_and_write(struct fixture *f)
{
	struct seg seg[3] = { { DATA_GREF, 2, 7, 0 },
			      { DATA_GREF + 1, 0, 7, 0 },
			      { DATA_GREF + 2, 0, 0, 0 } };
	uint64_t a, b, c;

	connect_vbd(f);
	a = put_rw(f, 0, OP_READ, 10, 3, seg);
	assert_int_equal(turn(f), 1);
	expect_rsp(f, 0, a, OP_READ, RSP_OKAY);
	assert_memory_equal((char *)fake_page(DATA_GREF) + 1024,
			    f->disk.data + 5120, 3072);
	assert_memory_equal(fake_page(DATA_GREF + 1),
			    f->disk.data + 5120 + 3072, 4096);
	assert_memory_equal(fake_page(DATA_GREF + 2),
			    f->disk.data + 5120 + 7168, 512);
	assert_int_equal(((char *)fake_page(DATA_GREF + 2))[513], 0);

	memset(fake_page(DATA_GREF), 'w', PAGE);
	b = put_rw(f, 0, OP_WRITE, DISK_SECTORS - 6, 1, seg);
	c = put_discard(f, 0, 8);
	assert_int_equal(turn(f), 2);
	expect_rsp(f, 0, b, OP_WRITE, RSP_OKAY);
	expect_rsp(f, 0, c, OP_DISCARD, RSP_OKAY);
	expect_no_rsp(f, 0);
	for (unsigned int i = 0; i < 3072; i++)
		assert_int_equal(
			f->disk.data[(DISK_SECTORS - 6) * 512 + i], 'w');
	assert_int_equal(f->disk.data[4095], 0);
	assert_int_equal(f->disk.data[4096], (char)(8 + 4096));
	assert_int_equal(blkif_stats(f->vbd)->bytes_read, 7680);
	assert_int_equal(blkif_stats(f->vbd)->bytes_written, 3072);
	assert_int_equal(blkif_stats(f->vbd)->bytes_discarded, 4096);
	assert_true(blkif_idle(f->vbd));
	disconnect(f);
}

static void test_read_write_x86_64(void **state)
{
	read_and_write(new_fixture());
}

static void test_read_write_x86_32(void **state)
{
	struct fixture *f = new_fixture();

	f->config.abi = BLKIF_ABI_X86_32;
	read_and_write(f);
}

static void test_read_write_persistent(void **state)
{
	struct fixture *f = new_fixture();

	f->config.persistent = true;
	read_and_write(f);
	assert_int_equal(fake.copies, 0);
}

/* Many times round rings of all sizes, in both layouts. */
static void test_wrap(void **state)
{
	struct fixture *f = new_fixture();

	for (unsigned int order = 0; order <= BLKIF_MAX_RING_ORDER; order++) {
		for (int abi = 0; abi < 2; abi++) {
			fixture_init(f);
			f->config.abi = (enum blkif_abi)abi;
			f->config.queue[0].ring_order = order;
			connect_vbd(f);
			for (unsigned int n = 0; n < 5 * f->front[0].size;) {
				uint64_t id = f->front[0].next_id;
				unsigned int some = 1 + n % f->front[0].size;

				for (unsigned int i = 0; i < some; i++)
					put_pages(f, 0, OP_READ, 8 * i % 1024,
						  1, DATA_GREF + i);
				while (turn(f))
					;
				for (unsigned int i = 0; i < some; i++)
					expect_rsp(f, 0, ++id, OP_READ,
						   RSP_OKAY);
				expect_no_rsp(f, 0);
				n += some;
				f->disk.nr_log = 0;
			}
			disconnect(f);
		}
	}
}

/* Answers in another order than the requests came in. */
static void test_out_of_order(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id[32];

	f->disk.deferred = true;
	connect_vbd(f);
	for (unsigned int i = 0; i < 32; i++)
		id[i] = put_pages(f, 0, OP_READ, i * 8, 1, DATA_GREF + i);
	assert_int_equal(turn(f), 32);
	expect_no_rsp(f, 0);
	assert_int_equal(blkif_in_flight(f->vbd), 32);
	assert_false(blkif_idle(f->vbd));
	for (unsigned int i = 32; i--;) {
		release(&f->disk, i);
		blkif_push(f->vbd);
		expect_rsp(f, 0, id[i], OP_READ, RSP_OKAY);
	}
	for (unsigned int i = 0; i < 32; i++)
		assert_memory_equal(fake_page(DATA_GREF + i),
				    f->disk.data + i * PAGE, PAGE);
	disconnect(f);
}

static void indirect(struct fixture *f)
{
	uint64_t a, b;

	connect_vbd(f);
	fill_descriptors(256);
	a = put_indirect(f, OP_READ, 16, 256, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, a, OP_READ, RSP_OKAY);	/* not OP_INDIRECT */
	for (unsigned int i = 0; i < 256; i++)
		assert_memory_equal(fake_page(DATA_GREF + i),
				    f->disk.data + 8192 + i * PAGE, PAGE);
	memset(fake_page(DATA_GREF + 31), 'x', PAGE);
	b = put_indirect(f, OP_WRITE, 0, 32, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, b, OP_WRITE, RSP_OKAY);
	assert_int_equal(f->disk.data[31 * PAGE], 'x');
	assert_int_equal(f->disk.log[1].length, 32 * PAGE);
	disconnect(f);
}

static void test_indirect(void **state)
{
	struct fixture *f = new_fixture();

	indirect(f);
	assert_int_equal(f->disk.log[0].niov, 1);
	fixture_init(f);
	f->config.abi = BLKIF_ABI_X86_32;
	indirect(f);
	fixture_init(f);
	f->config.persistent = true;
	indirect(f);
	assert_int_equal(fake.copies, 0);
	assert_int_equal(fake.maps, 1 + 256 + 1);
}

static void test_indirect_errors(void **state)
{
	struct fixture *f = new_fixture();
	struct seg *d = fake_page(DESC_GREF);
	uint64_t id;

	connect_vbd(f);
	fill_descriptors(257);
	id = put_indirect(f, OP_READ, 0, 257, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	id = put_indirect(f, OP_READ, 0, 0, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	id = put_indirect(f, OP_FLUSH, 0, 1, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_FLUSH, RSP_ERROR);
	id = put_indirect(f, OP_READ, 0, 1, FAKE_GRANTS + 5);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	d[7].last = 8;
	id = put_indirect(f, OP_READ, 0, 8, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	d[7] = (struct seg){ DATA_GREF, 5, 4, 0 };
	id = put_indirect(f, OP_WRITE, 0, 8, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_WRITE, RSP_ERROR);
	id = put_indirect(f, OP_READ, DISK_SECTORS - 8, 2, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	assert_int_equal(f->disk.nr_log, 0);
	disconnect(f);

	fixture_init(f);
	f->config.max_indirect = 0;
	connect_vbd(f);
	fill_descriptors(1);
	id = put_indirect(f, OP_READ, 0, 1, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_EOPNOTSUPP);
	disconnect(f);
}

/* ---- refused ---- */

static void test_refused(void **state)
{
	static const struct seg s0 = { DATA_GREF, 0, 7, 0 };
	static const struct {
		int op;
		uint64_t sector;
		unsigned int nr;
		struct seg seg;
		int status;
		enum blkif_error error;
	} cases[] = {
		{ OP_READ, 0, 0, s0, RSP_ERROR, BLKIF_ERR_SEGMENTS },
		{ OP_WRITE, 0, 0, s0, RSP_ERROR, BLKIF_ERR_SEGMENTS },
		{ OP_READ, 0, 12, s0, RSP_ERROR, BLKIF_ERR_SEGMENTS },
		{ OP_FLUSH, 0, 12, s0, RSP_ERROR, BLKIF_ERR_SEGMENTS },
		{ OP_BARRIER, 0, 255, s0, RSP_ERROR, BLKIF_ERR_SEGMENTS },
		{ OP_READ, 0, 1, { DATA_GREF, 0, 8, 0 }, RSP_ERROR,
		  BLKIF_ERR_SEGMENTS },
		{ OP_READ, 0, 1, { DATA_GREF, 3, 2, 0 }, RSP_ERROR,
		  BLKIF_ERR_SEGMENTS },
		{ OP_BARRIER, 0, 1, { DATA_GREF, 255, 255, 0 }, RSP_ERROR,
		  BLKIF_ERR_SEGMENTS },
		{ OP_READ, DISK_SECTORS - 7, 1, s0, RSP_ERROR,
		  BLKIF_ERR_RANGE },
		{ OP_READ, DISK_SECTORS, 1, s0, RSP_ERROR, BLKIF_ERR_RANGE },
		{ OP_WRITE, UINT64_MAX, 1, s0, RSP_ERROR, BLKIF_ERR_RANGE },
		{ OP_WRITE, UINT64_MAX / 512, 1, s0, RSP_ERROR,
		  BLKIF_ERR_RANGE },
		{ OP_WRITE, UINT64_C(1) << 55, 1, s0, RSP_ERROR,
		  BLKIF_ERR_RANGE },
		{ OP_FLUSH, DISK_SECTORS, 1, s0, RSP_ERROR, BLKIF_ERR_RANGE },
		{ OP_READ, 0, 1, { FAKE_GRANTS + 1, 0, 7, 0 }, RSP_ERROR,
		  BLKIF_ERR_GRANT },
		{ OP_WRITE, 0, 1, { 0xffffffff, 0, 7, 0 }, RSP_ERROR,
		  BLKIF_ERR_GRANT },
		{ OP_PACKET, 0, 1, s0, RSP_EOPNOTSUPP, BLKIF_ERR_OP },
		{ 7, 0, 1, s0, RSP_EOPNOTSUPP, BLKIF_ERR_OP },
		{ 255, 0, 1, s0, RSP_EOPNOTSUPP, BLKIF_ERR_OP },
	};

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		size_t c = i / 2;
		struct fixture *f = new_fixture();
		uint64_t id;

		f->config.persistent = i % 2;
		connect_vbd(f);
		id = put_rw(f, 0, cases[c].op, cases[c].sector, cases[c].nr,
			    &cases[c].seg);
		assert_int_equal(turn(f), 1);
		expect_rsp(f, 0, id, cases[c].op, cases[c].status);
		assert_int_equal(
			blkif_stats(f->vbd)->errors[cases[c].error], 1);
		assert_int_equal(blkif_in_flight(f->vbd), 0);
		/* and the next one is served */
		id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
		turn(f);
		expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
		disconnect(f);
	}
}

static void test_discard_refused(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	connect_vbd(f);
	id = put_discard(f, DISK_SECTORS - 1, 2);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 1, UINT64_MAX);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 8, 0);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 8, UINT64_MAX / 512 + 1);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 0, DISK_SECTORS);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_OKAY);
	disconnect(f);

	fixture_init(f);
	f->config.discard = false;
	connect_vbd(f);
	id = put_discard(f, 0, 8);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_EOPNOTSUPP);
	disconnect(f);
}

static void test_readonly(void **state)
{
	static const int writing[] = { OP_WRITE, OP_BARRIER, OP_FLUSH };
	struct fixture *f = new_fixture();
	uint64_t id;

	f->config.readonly = true;
	connect_vbd(f);
	for (size_t i = 0; i < ARRAY_SIZE(writing); i++) {
		id = put_pages(f, 0, writing[i], 0, 1, DATA_GREF);
		turn(f);
		expect_rsp(f, 0, id, writing[i], RSP_ERROR);
	}
	id = put_discard(f, 0, 8);
	turn(f);
	expect_rsp(f, 0, id, OP_DISCARD, RSP_ERROR);
	fill_descriptors(1);
	id = put_indirect(f, OP_WRITE, 0, 1, DESC_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_WRITE, RSP_ERROR);
	assert_int_equal(blkif_stats(f->vbd)->errors[BLKIF_ERR_READONLY], 5);
	assert_int_equal(f->disk.nr_log, 0);

	id = put_pages(f, 0, OP_FLUSH, UINT64_MAX, 0, 0);
	turn(f);
	expect_rsp(f, 0, id, OP_FLUSH, RSP_OKAY);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_sector_size(void **state)
{
	struct seg half = { DATA_GREF, 0, 3, 0 };
	struct fixture *f = new_fixture();
	uint64_t id;

	f->config.sector_size = 4096;
	connect_vbd(f);
	id = put_pages(f, 0, OP_READ, 4, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	id = put_rw(f, 0, OP_READ, 8, 1, &half);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	id = put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);	/* of 512, always */
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	assert_int_equal(f->disk.log[0].offset, 4096);
	disconnect(f);
}

static void test_resize(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	connect_vbd(f);
	blkif_set_sectors(f->vbd, 8);
	id = put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	blkif_set_sectors(f->vbd, 16);
	id = put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_owner_fails(void **state)
{
	struct fixture *f = new_fixture();
	uint64_t id;

	connect_vbd(f);
	f->disk.fail = -EIO;
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_READ, RSP_ERROR);
	assert_int_equal(((char *)fake_page(DATA_GREF))[600], 0);
	f->disk.fail = -EOPNOTSUPP;
	id = put_pages(f, 0, OP_BARRIER, 0, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_BARRIER, RSP_EOPNOTSUPP);
	assert_int_equal(blkif_stats(f->vbd)->errors[BLKIF_ERR_IO], 2);
	f->disk.fail = 0;
	id = put_pages(f, 0, OP_BARRIER, 0, 1, DATA_GREF);
	turn(f);
	expect_rsp(f, 0, id, OP_BARRIER, RSP_OKAY);
	disconnect(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write_x86_64),
		cmocka_unit_test(test_read_write_x86_32),
		cmocka_unit_test(test_read_write_persistent),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_indirect),
		cmocka_unit_test(test_indirect_errors),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_discard_refused),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_sector_size),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_owner_fails),
	};

	log_init("test-request", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
