/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring side of a device against a frontend written from the protocol: the
 * layouts below are typed in from xen/io/blkif.h's description and share no
 * code with blkif/. A disk in memory plays the owner, which answers at once or
 * when told to.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/grant_table.h>

#include "blkif/grants.h"
#include "blkif/blkif.h"
#include "common/bits.h"
#include "common/log.h"
#include "tests/unit/fake-xen.h"

enum { OP_READ, OP_WRITE, OP_BARRIER, OP_FLUSH, OP_PACKET, OP_DISCARD,
       OP_INDIRECT };
enum { RSP_OKAY = 0, RSP_ERROR = -1, RSP_EOPNOTSUPP = -2 };

#define DISK_SECTORS 4096u
#define RING_GREF 1000u		/* of queue 0; the next ones follow */
#define DATA_GREF 100u
#define DESC_GREF 50u
#define PAGE 4096u

/* ---- the frontend -------------------------------------------------------- */

struct seg {
	uint32_t gref;
	uint8_t first, last;
	uint16_t pad;
};

/* x86_64: 64 bit fields are aligned */
struct rw64 {
	uint8_t op, nr;
	uint16_t handle;
	uint32_t hole;
	uint64_t id, sector;
	struct seg seg[11];
};

struct discard64 {
	uint8_t op, flag;
	uint16_t handle;
	uint32_t hole;
	uint64_t id, sector, nr_sectors;
};

struct indirect64 {
	uint8_t op, inner;
	uint16_t nr;
	uint32_t hole;
	uint64_t id, sector;
	uint16_t handle, hole2;
	uint32_t gref[8];
};

/* x86_32: they are aligned to 4 */
struct __attribute__((packed)) rw32 {
	uint8_t op, nr;
	uint16_t handle;
	uint64_t id, sector;
	struct seg seg[11];
};

struct __attribute__((packed)) discard32 {
	uint8_t op, flag;
	uint16_t handle;
	uint64_t id, sector, nr_sectors;
};

struct __attribute__((packed)) indirect32 {
	uint8_t op, inner;
	uint16_t nr;
	uint64_t id, sector;
	uint16_t handle, hole2;
	uint32_t gref[8];
};

struct rsp {
	uint64_t id;
	uint8_t op, hole;
	int16_t status;
};

struct ring_page {
	uint32_t req_prod, req_event, rsp_prod, rsp_event;
	uint8_t pad[48];
	char entry[];
};

struct front {
	struct ring_page *ring;
	unsigned int size, stride;
	uint32_t prod, cons;
	uint64_t next_id;
};

/* ---- the owner: a disk in memory ------------------------------------------ */

struct event {
	enum blkif_op op;
	uint64_t offset, length;
	int niov;
};

struct disk {
	bool deferred;		/* keep requests until they are completed */
	int fail;		/* -errno for everything */
	struct blkif_io *held[1024];
	unsigned int nr_held;
	struct event log[4096];
	unsigned int nr_log;
	char data[DISK_SECTORS * 512];
};

struct fixture {
	struct blkif_config config;
	struct blkif *vbd;
	struct front front[BLKIF_MAX_QUEUES];
	struct disk disk;
};

static void disk_do(struct disk *d, struct blkif_io *io)
{
	uint64_t at = io->offset;

	for (int i = 0; i < io->niov; i++) {
		void *p = io->iov[i].iov_base;
		size_t n = io->iov[i].iov_len;

		if (io->op == BLKIF_READ)
			memcpy(p, d->data + at, n);
		else if (io->op == BLKIF_WRITE)
			memcpy(d->data + at, p, n);
		at += n;
	}
	if (io->op == BLKIF_DISCARD)
		memset(d->data + at, 0, io->length);
	else if (io->op != BLKIF_FLUSH)
		assert_int_equal(at, io->offset + io->length);
}

static void disk_complete(struct disk *d, struct blkif_io *io)
{
	if (!d->fail)
		disk_do(d, io);
	memset(io->state, 0xee, 24);
	blkif_complete(io, d->fail);
}

static void disk_submit(void *owner, struct blkif_io *io)
{
	struct disk *d = owner;

	assert_true(range_within(io->offset, io->length, DISK_SECTORS * 512));
	if (io->op == BLKIF_FLUSH)
		assert_int_equal(io->length, 0);
	d->log[d->nr_log++] = (struct event){ io->op, io->offset, io->length,
					      io->niov };
	if (d->deferred)
		d->held[d->nr_held++] = io;
	else
		disk_complete(d, io);
}

/* Answers the i-th of the held ones. */
static void release(struct disk *d, unsigned int i)
{
	struct blkif_io *io = d->held[i];

	assert_true(i < d->nr_held);
	memmove(&d->held[i], &d->held[i + 1],
		(--d->nr_held - i) * sizeof(d->held[0]));
	disk_complete(d, io);
}

static const struct blkif_ops ops = { .submit = disk_submit };

/* ---- frontend's verbs ------------------------------------------------------ */

static bool is_32(const struct fixture *f)
{
	return f->config.abi == BLKIF_ABI_X86_32;
}

static void *next_entry(struct front *fr)
{
	return fr->ring->entry + (fr->prod++ & (fr->size - 1)) * fr->stride;
}

static uint64_t put_rw(struct fixture *f, unsigned int queue, int op,
		       uint64_t sector, unsigned int nr, const struct seg *seg)
{
	struct front *fr = &f->front[queue];
	void *e = next_entry(fr);
	uint64_t id = ++fr->next_id;

	memset(e, 0xa5, fr->stride);
	if (is_32(f)) {
		struct rw32 r = { .op = (uint8_t)op, .nr = (uint8_t)nr,
				  .id = id, .sector = sector };

		memcpy(r.seg, seg, min(nr, 11u) * sizeof(*seg));
		memcpy(e, &r, sizeof(r));
	} else {
		struct rw64 r = { .op = (uint8_t)op, .nr = (uint8_t)nr,
				  .id = id, .sector = sector };

		memcpy(r.seg, seg, min(nr, 11u) * sizeof(*seg));
		memcpy(e, &r, sizeof(r));
	}
	return id;
}

/* Whole pages, with grants from `gref` on. */
static uint64_t put_pages(struct fixture *f, unsigned int queue, int op,
			  uint64_t sector, unsigned int nr, uint32_t gref)
{
	struct seg seg[11];

	for (unsigned int i = 0; i < nr; i++)
		seg[i] = (struct seg){ gref + i, 0, 7, 0x5a5a };
	return put_rw(f, queue, op, sector, nr, seg);
}

static uint64_t put_discard(struct fixture *f, uint64_t sector, uint64_t nr)
{
	struct front *fr = &f->front[0];
	void *e = next_entry(fr);
	uint64_t id = ++fr->next_id;

	if (is_32(f)) {
		struct discard32 r = { .op = OP_DISCARD, .id = id,
				       .sector = sector, .nr_sectors = nr };
		memcpy(e, &r, sizeof(r));
	} else {
		struct discard64 r = { .op = OP_DISCARD, .id = id,
				       .sector = sector, .nr_sectors = nr };
		memcpy(e, &r, sizeof(r));
	}
	return id;
}

static uint64_t put_indirect(struct fixture *f, int inner, uint64_t sector,
			     unsigned int nr, uint32_t gref)
{
	struct front *fr = &f->front[0];
	void *e = next_entry(fr);
	uint64_t id = ++fr->next_id;

	if (is_32(f)) {
		struct indirect32 r = { .op = OP_INDIRECT, .id = id,
					.inner = (uint8_t)inner,
					.nr = (uint16_t)nr,
					.sector = sector, .gref = { gref } };
		memcpy(e, &r, sizeof(r));
	} else {
		struct indirect64 r = { .op = OP_INDIRECT, .id = id,
					.inner = (uint8_t)inner,
					.nr = (uint16_t)nr,
					.sector = sector, .gref = { gref } };
		memcpy(e, &r, sizeof(r));
	}
	return id;
}

static void show(struct front *fr)
{
	fr->ring->req_prod = fr->prod;
}

static bool get_rsp(struct front *fr, struct rsp *out)
{
	if (fr->cons == fr->ring->rsp_prod)
		return false;
	memcpy(out, fr->ring->entry + (fr->cons++ & (fr->size - 1)) *
	       fr->stride, sizeof(*out));
	return true;
}

/* One turn of an owner's loop. */
static int turn(struct fixture *f)
{
	int n;

	for (unsigned int i = 0; i < f->config.nr_queues; i++)
		show(&f->front[i]);
	n = blkif_process(f->vbd);
	blkif_push(f->vbd);
	return n;
}

static void expect(struct fixture *f, unsigned int queue, uint64_t id, int op,
		   int status)
{
	struct rsp rsp;

	assert_true(get_rsp(&f->front[queue], &rsp));
	assert_int_equal(rsp.id, id);
	assert_int_equal(rsp.op, op);
	assert_int_equal(rsp.status, status);
}

static void expect_none(struct fixture *f, unsigned int queue)
{
	struct rsp rsp;

	assert_false(get_rsp(&f->front[queue], &rsp));
}

/* ---- setting up ------------------------------------------------------------- */

static void make_front(struct fixture *f, unsigned int i)
{
	struct blkif_queue_config *qc = &f->config.queue[i];
	struct front *fr = &f->front[i];

	memset(fr, 0, sizeof(*fr));
	fr->ring = fake_page(qc->ring_ref[0]);
	memset(fr->ring, 0, (size_t)PAGE << qc->ring_order);
	fr->ring->req_event = fr->ring->rsp_event = 1;
	fr->size = 32u << qc->ring_order;
	fr->stride = is_32(f) ? 108 : 112;
	fr->next_id = (uint64_t)i << 32;
}

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	fake_reset();
	f->config = (struct blkif_config){
		.domid = FAKE_DOMID,
		.nr_queues = 1,
		.max_indirect = BLKIF_MAX_INDIRECT,
		.discard = true,
		.sectors = DISK_SECTORS,
		.sector_size = 512,
		.state_size = 24,
	};
	for (unsigned int i = 0; i < BLKIF_MAX_QUEUES; i++) {
		f->config.queue[i].port = i + 1;
		for (unsigned int j = 0; j < BLKIF_MAX_RING_PAGES; j++)
			f->config.queue[i].ring_ref[j] =
				RING_GREF + i * BLKIF_MAX_RING_PAGES + j;
	}
	for (size_t i = 0; i < sizeof(f->disk.data); i++)
		f->disk.data[i] = (char)(i / 512 + i);
}

static void connect_vbd(struct fixture *f)
{
	struct error err = ERROR_INIT;

	for (unsigned int i = 0; i < f->config.nr_queues; i++)
		make_front(f, i);
	if (blkif_connect(&f->config, &ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
}

static void disconnect(struct fixture *f)
{
	blkif_disconnect(f->vbd);
	assert_int_equal(fake.mapped, 0);
	assert_int_equal(fake.bound, 0);
	assert_int_equal(fake.handles, 0);
}

static struct fixture *fixture(void)
{
	static struct fixture f;

	init(&f);
	return &f;
}

/* ---- data ------------------------------------------------------------------- */

static void read_and_write(struct fixture *f)
{
	struct seg seg[3] = { { DATA_GREF, 2, 7, 0 },
			      { DATA_GREF + 1, 0, 7, 0 },
			      { DATA_GREF + 2, 0, 0, 0 } };
	uint64_t a, b, c;

	connect_vbd(f);
	a = put_rw(f, 0, OP_READ, 10, 3, seg);
	assert_int_equal(turn(f), 1);
	expect(f, 0, a, OP_READ, RSP_OKAY);
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
	expect(f, 0, b, OP_WRITE, RSP_OKAY);
	expect(f, 0, c, OP_DISCARD, RSP_OKAY);
	expect_none(f, 0);
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
	read_and_write(fixture());
}

static void test_read_write_x86_32(void **state)
{
	struct fixture *f = fixture();

	f->config.abi = BLKIF_ABI_X86_32;
	read_and_write(f);
}

static void test_read_write_persistent(void **state)
{
	struct fixture *f = fixture();

	f->config.persistent = true;
	read_and_write(f);
	assert_int_equal(fake.copies, 0);
}

/* Many times round rings of all sizes, in both layouts. */
static void test_wrap(void **state)
{
	struct fixture *f = fixture();

	for (unsigned int order = 0; order <= BLKIF_MAX_RING_ORDER; order++) {
		for (int abi = 0; abi < 2; abi++) {
			init(f);
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
					expect(f, 0, ++id, OP_READ, RSP_OKAY);
				expect_none(f, 0);
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
	struct fixture *f = fixture();
	uint64_t id[32];

	f->disk.deferred = true;
	connect_vbd(f);
	for (unsigned int i = 0; i < 32; i++)
		id[i] = put_pages(f, 0, OP_READ, i * 8, 1, DATA_GREF + i);
	assert_int_equal(turn(f), 32);
	expect_none(f, 0);
	assert_int_equal(blkif_in_flight(f->vbd), 32);
	assert_false(blkif_idle(f->vbd));
	for (unsigned int i = 32; i--;) {
		release(&f->disk, i);
		blkif_push(f->vbd);
		expect(f, 0, id[i], OP_READ, RSP_OKAY);
	}
	for (unsigned int i = 0; i < 32; i++)
		assert_memory_equal(fake_page(DATA_GREF + i),
				    f->disk.data + i * PAGE, PAGE);
	disconnect(f);
}

static void fill_descriptors(unsigned int nr)
{
	struct seg *d = fake_page(DESC_GREF);

	for (unsigned int i = 0; i < nr; i++)
		d[i] = (struct seg){ DATA_GREF + i, 0, 7, 0xffff };
}

static void indirect(struct fixture *f)
{
	uint64_t a, b;

	connect_vbd(f);
	fill_descriptors(256);
	a = put_indirect(f, OP_READ, 16, 256, DESC_GREF);
	turn(f);
	expect(f, 0, a, OP_READ, RSP_OKAY);	/* not OP_INDIRECT */
	for (unsigned int i = 0; i < 256; i++)
		assert_memory_equal(fake_page(DATA_GREF + i),
				    f->disk.data + 8192 + i * PAGE, PAGE);
	memset(fake_page(DATA_GREF + 31), 'x', PAGE);
	b = put_indirect(f, OP_WRITE, 0, 32, DESC_GREF);
	turn(f);
	expect(f, 0, b, OP_WRITE, RSP_OKAY);
	assert_int_equal(f->disk.data[31 * PAGE], 'x');
	assert_int_equal(f->disk.log[1].length, 32 * PAGE);
	disconnect(f);
}

static void test_indirect(void **state)
{
	struct fixture *f = fixture();

	indirect(f);
	assert_int_equal(f->disk.log[0].niov, 1);
	init(f);
	f->config.abi = BLKIF_ABI_X86_32;
	indirect(f);
	init(f);
	f->config.persistent = true;
	indirect(f);
	assert_int_equal(fake.copies, 0);
	assert_int_equal(fake.maps, 1 + 256 + 1);
}

static void test_indirect_errors(void **state)
{
	struct fixture *f = fixture();
	struct seg *d = fake_page(DESC_GREF);
	uint64_t id;

	connect_vbd(f);
	fill_descriptors(257);
	id = put_indirect(f, OP_READ, 0, 257, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	id = put_indirect(f, OP_READ, 0, 0, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	id = put_indirect(f, OP_FLUSH, 0, 1, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_FLUSH, RSP_ERROR);
	id = put_indirect(f, OP_READ, 0, 1, FAKE_GRANTS + 5);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	d[7].last = 8;
	id = put_indirect(f, OP_READ, 0, 8, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	d[7] = (struct seg){ DATA_GREF, 5, 4, 0 };
	id = put_indirect(f, OP_WRITE, 0, 8, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_WRITE, RSP_ERROR);
	id = put_indirect(f, OP_READ, DISK_SECTORS - 8, 2, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	assert_int_equal(f->disk.nr_log, 0);
	disconnect(f);

	init(f);
	f->config.max_indirect = 0;
	connect_vbd(f);
	fill_descriptors(1);
	id = put_indirect(f, OP_READ, 0, 1, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_EOPNOTSUPP);
	disconnect(f);
}

/* ---- requests that are refused ------------------------------------------------ */

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
		struct fixture *f = fixture();
		uint64_t id;

		f->config.persistent = i % 2;
		connect_vbd(f);
		id = put_rw(f, 0, cases[c].op, cases[c].sector, cases[c].nr,
			    &cases[c].seg);
		assert_int_equal(turn(f), 1);
		expect(f, 0, id, cases[c].op, cases[c].status);
		assert_int_equal(
			blkif_stats(f->vbd)->errors[cases[c].error], 1);
		assert_int_equal(blkif_in_flight(f->vbd), 0);
		/* and the next one is served */
		id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
		turn(f);
		expect(f, 0, id, OP_READ, RSP_OKAY);
		disconnect(f);
	}
}

static void test_discard_refused(void **state)
{
	struct fixture *f = fixture();
	uint64_t id;

	connect_vbd(f);
	id = put_discard(f, DISK_SECTORS - 1, 2);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 1, UINT64_MAX);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 8, 0);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 8, UINT64_MAX / 512 + 1);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_ERROR);
	id = put_discard(f, 0, DISK_SECTORS);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_OKAY);
	disconnect(f);

	init(f);
	f->config.discard = false;
	connect_vbd(f);
	id = put_discard(f, 0, 8);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_EOPNOTSUPP);
	disconnect(f);
}

static void test_readonly(void **state)
{
	static const int writing[] = { OP_WRITE, OP_BARRIER, OP_FLUSH };
	struct fixture *f = fixture();
	uint64_t id;

	f->config.readonly = true;
	connect_vbd(f);
	for (size_t i = 0; i < ARRAY_SIZE(writing); i++) {
		id = put_pages(f, 0, writing[i], 0, 1, DATA_GREF);
		turn(f);
		expect(f, 0, id, writing[i], RSP_ERROR);
	}
	id = put_discard(f, 0, 8);
	turn(f);
	expect(f, 0, id, OP_DISCARD, RSP_ERROR);
	fill_descriptors(1);
	id = put_indirect(f, OP_WRITE, 0, 1, DESC_GREF);
	turn(f);
	expect(f, 0, id, OP_WRITE, RSP_ERROR);
	assert_int_equal(blkif_stats(f->vbd)->errors[BLKIF_ERR_READONLY], 5);
	assert_int_equal(f->disk.nr_log, 0);

	id = put_pages(f, 0, OP_FLUSH, UINT64_MAX, 0, 0);
	turn(f);
	expect(f, 0, id, OP_FLUSH, RSP_OKAY);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_sector_size(void **state)
{
	struct seg half = { DATA_GREF, 0, 3, 0 };
	struct fixture *f = fixture();
	uint64_t id;

	f->config.sector_size = 4096;
	connect_vbd(f);
	id = put_pages(f, 0, OP_READ, 4, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	id = put_rw(f, 0, OP_READ, 8, 1, &half);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	id = put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);	/* of 512, always */
	turn(f);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	assert_int_equal(f->disk.log[0].offset, 4096);
	disconnect(f);
}

static void test_resize(void **state)
{
	struct fixture *f = fixture();
	uint64_t id;

	connect_vbd(f);
	blkif_set_sectors(f->vbd, 8);
	id = put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	blkif_set_sectors(f->vbd, 16);
	id = put_pages(f, 0, OP_READ, 8, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_owner_fails(void **state)
{
	struct fixture *f = fixture();
	uint64_t id;

	connect_vbd(f);
	f->disk.fail = -EIO;
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	assert_int_equal(((char *)fake_page(DATA_GREF))[600], 0);
	f->disk.fail = -EOPNOTSUPP;
	id = put_pages(f, 0, OP_BARRIER, 0, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_BARRIER, RSP_EOPNOTSUPP);
	assert_int_equal(blkif_stats(f->vbd)->errors[BLKIF_ERR_IO], 2);
	f->disk.fail = 0;
	id = put_pages(f, 0, OP_BARRIER, 0, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_BARRIER, RSP_OKAY);
	disconnect(f);
}

/* ---- grants -------------------------------------------------------------------- */

/* One piece of one request is bad: its neighbours do not notice. */
static void bad_segment(int op, int persistent)
{
	struct fixture *f = fixture();
	uint64_t id[5];

	f->config.persistent = persistent;
	connect_vbd(f);
	fake.grant[DATA_GREF + 7].status = GNTST_bad_page;
	for (unsigned int i = 0; i < 5; i++)
		id[i] = put_pages(f, 0, op, i * 24, 3, DATA_GREF + i * 3);
	turn(f);
	for (unsigned int i = 0; i < 5; i++)
		expect(f, 0, id[i], op,
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
	struct fixture *f = fixture();
	uint64_t id;

	connect_vbd(f);
	memset(fake_page(DATA_GREF + 1), 'e', PAGE);
	fake.grant[DATA_GREF + 1].status = GNTST_eagain;
	fake.grant[DATA_GREF + 1].times = 3;
	id = put_pages(f, 0, OP_WRITE, 0, 3, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_WRITE, RSP_OKAY);
	assert_int_equal(fake.copies, 4);
	assert_int_equal(blkif_stats(f->vbd)->copied_segments, 3 + 3);
	assert_int_equal(f->disk.data[PAGE], 'e');

	fake.grant[DATA_GREF + 1].status = GNTST_eagain;	/* for ever */
	id = put_pages(f, 0, OP_WRITE, 0, 3, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_WRITE, RSP_ERROR);
	disconnect(f);
}

static void test_copy_fails(void **state)
{
	struct fixture *f = fixture();
	uint64_t a, b;

	connect_vbd(f);
	fake.copy_fails = true;
	a = put_pages(f, 0, OP_WRITE, 0, 3, DATA_GREF);
	b = put_pages(f, 0, OP_READ, 0, 3, DATA_GREF);
	turn(f);
	expect(f, 0, a, OP_WRITE, RSP_ERROR);
	expect(f, 0, b, OP_READ, RSP_ERROR);
	disconnect(f);
}

/* A whole ring goes through with one copy in and one answer, or one a batch of
 * eight answers where they become ready one by one. */
static void test_batching(void **state)
{
	struct fixture *f = fixture();
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
	struct fixture *f = fixture();

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
	struct fixture *f = fixture();
	uint64_t id;

	f->config.persistent = true;
	connect_vbd(f);
	for (unsigned int i = 0; i < 100; i++) {
		id = put_pages(f, 0, i % 2 ? OP_READ : OP_WRITE, 0, 11,
			       DATA_GREF);
		turn(f);
		expect(f, 0, id, i % 2 ? OP_READ : OP_WRITE, RSP_OKAY);
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
	struct fixture *f = fixture();
	uint64_t id;

	f->config.persistent = true;
	connect_vbd(f);
	fake.grant[DATA_GREF].readonly = true;
	id = put_pages(f, 0, OP_WRITE, 0, 2, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_WRITE, RSP_OKAY);
	id = put_pages(f, 0, OP_READ, 0, 2, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_ERROR);
	disconnect(f);
}

/* More grants than are kept: those in use stay, cold ones make room. */
static void test_persistent_bound(void **state)
{
	struct fixture *f = fixture();
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

static void test_grants_in_use_stay(void **state)
{
	struct fixture *f = fixture();
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

/* ---- the ring -------------------------------------------------------------------- */

static void test_mad_index(void **state)
{
	struct fixture *f = fixture();
	struct error err;

	connect_vbd(f);
	f->front[0].ring->req_prod = 33;
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	assert_false(blkif_arm(f->vbd));
	assert_int_equal(f->disk.nr_log, 0);
	disconnect(f);

	init(f);
	connect_vbd(f);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	f->front[0].ring->req_prod = 0;		/* backwards */
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	disconnect(f);

	init(f);
	make_front(f, 0);
	f->front[0].ring->req_prod = 40;
	f->front[0].ring->rsp_prod = 7;
	assert_int_equal(blkif_connect(&f->config, &ops, &f->disk, &f->vbd,
				       &err), -EPROTO);
	assert_null(f->vbd);
	disconnect(f);
}

/* The other queue's requests do not die of it, nor what is in flight. */
static void test_mad_neighbour(void **state)
{
	struct fixture *f = fixture();
	uint64_t id;

	f->config.nr_queues = 2;
	connect_vbd(f);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	show(&f->front[0]);
	f->front[1].ring->req_prod = 0x80000000;
	assert_int_equal(blkif_process(f->vbd), -EPROTO);
	blkif_push(f->vbd);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_arm(void **state)
{
	struct fixture *f = fixture();
	uint64_t id;

	connect_vbd(f);
	assert_int_equal(f->front[0].ring->req_event, 1);
	put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	assert_int_equal(f->front[0].ring->req_event, 1);	/* not armed */
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	show(&f->front[0]);
	assert_true(blkif_arm(f->vbd));		/* slipped in */
	turn(f);
	expect(f, 0, id - 1, OP_READ, RSP_OKAY);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	assert_false(blkif_arm(f->vbd));
	assert_int_equal(f->front[0].ring->req_event, 3);
	disconnect(f);
}

static void test_events(void **state)
{
	struct fixture *f = fixture();

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
	struct fixture *f = fixture();
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
		expect(f, i, id[i], OP_WRITE, RSP_OKAY);
		assert_int_equal(fake.notifies[i + 1], 1);
	}
	disconnect(f);
}

/* One queue that is always full does not starve the others. */
static void test_fairness(void **state)
{
	struct fixture *f = fixture();
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
	expect(f, 1, id, OP_READ, RSP_OKAY);
	while (turn(f))
		;
	while (get_rsp(&f->front[0], &rsp))
		;
	assert_int_equal(f->front[0].cons, 512);
	disconnect(f);
}

static void test_quiesce(void **state)
{
	struct fixture *f = fixture();
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
	expect(f, 0, id - 1, OP_READ, RSP_OKAY);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
}

/* ---- order --------------------------------------------------------------------- */

static void expect_log(struct fixture *f, unsigned int i, enum blkif_op op,
		       uint64_t offset, uint64_t length)
{
	assert_true(i < f->disk.nr_log);
	assert_int_equal(f->disk.log[i].op, op);
	assert_int_equal(f->disk.log[i].offset, offset);
	assert_int_equal(f->disk.log[i].length, length);
}

static void test_flush(void **state)
{
	struct fixture *f = fixture();
	uint64_t a, b;

	connect_vbd(f);
	a = put_pages(f, 0, OP_FLUSH, UINT64_MAX, 0, 0);
	memset(fake_page(DATA_GREF), 'f', PAGE);
	b = put_pages(f, 0, OP_FLUSH, 8, 1, DATA_GREF);
	turn(f);
	expect(f, 0, a, OP_FLUSH, RSP_OKAY);
	expect(f, 0, b, OP_FLUSH, RSP_OKAY);
	assert_int_equal(f->disk.nr_log, 3);
	expect_log(f, 0, BLKIF_FLUSH, 0, 0);
	expect_log(f, 1, BLKIF_FLUSH, 0, 0);
	expect_log(f, 2, BLKIF_WRITE, PAGE, PAGE);
	assert_int_equal(f->disk.data[PAGE], 'f');
	assert_int_equal(blkif_stats(f->vbd)->flushes, 2);
	disconnect(f);
}

/* One step of the held barrier; nothing is submitted inside a completion. */
static void step(struct fixture *f, enum blkif_op op, uint64_t length)
{
	assert_int_equal(f->disk.nr_held, 1);
	assert_int_equal(f->disk.held[0]->op, op);
	assert_int_equal(f->disk.held[0]->length, length);
	release(&f->disk, 0);
	assert_int_equal(f->disk.nr_held, 0);
	blkif_push(f->vbd);
}

static void test_barrier(void **state)
{
	struct fixture *f = fixture();
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
	expect(f, 1, d, OP_WRITE, RSP_OKAY);
	e = put_pages(f, 1, OP_WRITE, 32, 1, DATA_GREF);	/* is not */
	assert_int_equal(turn(f), 1);
	assert_int_equal(f->disk.nr_held, 2);
	release(&f->disk, 1);
	blkif_push(f->vbd);
	expect(f, 1, e, OP_WRITE, RSP_OKAY);
	assert_int_equal(f->disk.nr_held, 1);	/* a: b still waits for it */
	assert_false(blkif_arm(f->vbd));
	release(&f->disk, 0);
	assert_true(blkif_arm(f->vbd));		/* b may go on */
	blkif_push(f->vbd);
	expect(f, 0, a, OP_WRITE, RSP_OKAY);
	step(f, BLKIF_FLUSH, 0);
	step(f, BLKIF_WRITE, PAGE);
	expect_none(f, 0);
	assert_int_equal(turn(f), 0);
	step(f, BLKIF_FLUSH, 0);
	expect(f, 0, b, OP_BARRIER, RSP_OKAY);
	assert_true(blkif_arm(f->vbd));
	assert_int_equal(turn(f), 1);
	step(f, BLKIF_WRITE, PAGE);
	expect(f, 0, c, OP_WRITE, RSP_OKAY);
	assert_int_equal(blkif_stats(f->vbd)->barriers, 1);
	disconnect(f);
}

/* Two queues, a barrier each: the later one waits for the earlier one. */
static void test_two_barriers(void **state)
{
	struct fixture *f = fixture();
	uint64_t a, b;

	f->config.nr_queues = 2;
	f->disk.deferred = true;
	connect_vbd(f);
	a = put_pages(f, 0, OP_BARRIER, 0, 0, 0);
	b = put_pages(f, 1, OP_BARRIER, 8, 1, DATA_GREF);
	assert_int_equal(turn(f), 2);
	step(f, BLKIF_FLUSH, 0);
	expect(f, 0, a, OP_BARRIER, RSP_OKAY);
	step(f, BLKIF_FLUSH, 0);
	step(f, BLKIF_WRITE, PAGE);
	step(f, BLKIF_FLUSH, 0);
	expect(f, 1, b, OP_BARRIER, RSP_OKAY);
	assert_true(blkif_idle(f->vbd));
	disconnect(f);
}

/* Barriers, good and bad, with an owner that answers at once. */
static void test_barrier_at_once(void **state)
{
	static const enum blkif_op want[] = {
		BLKIF_WRITE, BLKIF_FLUSH, BLKIF_WRITE, BLKIF_FLUSH, BLKIF_READ,
	};
	struct fixture *f = fixture();
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
	expect(f, 0, id, OP_WRITE, RSP_OKAY);
	expect(f, 0, id + 1, OP_READ, RSP_ERROR);
	expect(f, 0, id + 2, OP_BARRIER, RSP_OKAY);
	expect(f, 0, id + 3, OP_BARRIER, RSP_ERROR);
	expect(f, 0, id + 4, OP_BARRIER, RSP_ERROR);
	expect(f, 0, id + 5, OP_READ, RSP_OKAY);
	assert_true(blkif_idle(f->vbd));
	disconnect(f);
}

/* ---- memory ----------------------------------------------------------------------- */

/* 256 requests of 1 MiB would be 256 MiB: they are taken as memory allows. */
static void test_bounce_bound(void **state)
{
	struct fixture *f = fixture();

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
	struct fixture *f = fixture();
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

/* ---- connecting -------------------------------------------------------------------- */

static void test_attach_running_ring(void **state)
{
	struct fixture *f = fixture();
	struct front *fr = &f->front[0];
	struct error err = ERROR_INIT;

	make_front(f, 0);
	fr->prod = fr->cons = 0xfffffff0;	/* and wrap */
	fr->ring->rsp_prod = fr->prod;
	for (unsigned int i = 0; i < 32; i++)
		put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	show(fr);
	if (blkif_connect(&f->config, &ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(turn(f), 32);
	for (unsigned int i = 1; i <= 32; i++)
		expect(f, 0, i, OP_READ, RSP_OKAY);
	disconnect(f);
}

static void test_bad_config(void **state)
{
	struct fixture *f = fixture();
	struct blkif_config good = f->config;
	struct error err;

#define REFUSED(expr, ret)                                                    \
	do {                                                                  \
		struct blkif_config bad = good;                               \
		expr;                                                         \
		assert_int_equal(blkif_connect(&bad, &ops, NULL, &f->vbd,     \
					       &err), ret);                   \
		assert_null(f->vbd);                                          \
		assert_int_equal(fake.mapped + fake.bound + fake.handles, 0); \
	} while (0)
	REFUSED(bad.nr_queues = 0, -EINVAL);
	REFUSED(bad.nr_queues = 17, -EINVAL);
	REFUSED(bad.queue[0].ring_order = 5, -EINVAL);
	REFUSED(bad.max_indirect = 257, -EINVAL);
	REFUSED(bad.sector_size = 0, -EINVAL);
	REFUSED(bad.sector_size = 1000, -EINVAL);
	REFUSED(bad.sector_size = 8192, -EINVAL);
	REFUSED(bad.domid = 0x7ff0, -EINVAL);
	REFUSED(bad.domid = 3, -EINVAL);
	REFUSED(bad.queue[0].ring_ref[0] = FAKE_GRANTS, -EINVAL);
	REFUSED(bad.queue[0].port = FAKE_PORTS, -EINVAL);
	REFUSED((bad.nr_queues = 2, bad.queue[1].port = FAKE_PORTS), -EINVAL);
#undef REFUSED
	blkif_disconnect(NULL);
}

/* ---- a successor ------------------------------------------------------------------- */

/* The first one dies with answers written out of order, one answer done but
 * not pushed, and requests that it had not taken: the second one answers each
 * of the rest exactly once, in the order in which they came. */
static void test_successor(void **state)
{
	struct fixture *f = fixture();
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
	show(&f->front[0]);		/* not taken */

	dead = f->vbd;
	f->vbd = NULL;
	f->disk.nr_held = f->disk.nr_log = 0;
	f->config.resume = true;
	if (blkif_connect(&f->config, &ops, &f->disk, &f->vbd, &err))
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
	assert_int_equal(blkif_connect(&f->config, &ops, &f->disk, &f->vbd,
				       &err), -EPROTO);
	free(journal);
}

/* A barrier that still waited goes on waiting, and holds its queue. */
static void test_successor_of_barrier(void **state)
{
	struct fixture *f = fixture();
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
	show(&f->front[0]);

	dead = f->vbd;
	f->disk.nr_held = 0;
	f->config.resume = true;
	if (blkif_connect(&f->config, &ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(turn(f), 2);
	assert_int_equal(turn(f), 0);
	step(f, BLKIF_WRITE, PAGE);
	step(f, BLKIF_FLUSH, 0);
	step(f, BLKIF_WRITE, PAGE);
	step(f, BLKIF_FLUSH, 0);
	assert_int_equal(turn(f), 1);
	step(f, BLKIF_READ, PAGE);
	expect(f, 0, id, OP_WRITE, RSP_OKAY);
	expect(f, 0, id + 1, OP_BARRIER, RSP_OKAY);
	expect(f, 0, id + 2, OP_READ, RSP_OKAY);
	blkif_disconnect(dead);
	disconnect(f);
	free(f->config.journal);
}

static void test_successor_finds_nothing(void **state)
{
	struct fixture *f = fixture();
	uint64_t id;

	f->config.journal = calloc(1, blkif_journal_size(&f->config));
	f->config.resume = true;
	connect_vbd(f);
	id = put_pages(f, 0, OP_READ, 0, 1, DATA_GREF);
	turn(f);
	expect(f, 0, id, OP_READ, RSP_OKAY);
	disconnect(f);
	free(f->config.journal);
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
		cmocka_unit_test(test_bad_segment),
		cmocka_unit_test(test_eagain),
		cmocka_unit_test(test_copy_fails),
		cmocka_unit_test(test_batching),
		cmocka_unit_test(test_notify_holdoff),
		cmocka_unit_test(test_persistent_reuse),
		cmocka_unit_test(test_persistent_readonly),
		cmocka_unit_test(test_persistent_bound),
		cmocka_unit_test(test_grants_in_use_stay),
		cmocka_unit_test(test_mad_index),
		cmocka_unit_test(test_mad_neighbour),
		cmocka_unit_test(test_arm),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_multi_queue),
		cmocka_unit_test(test_fairness),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_two_barriers),
		cmocka_unit_test(test_barrier_at_once),
		cmocka_unit_test(test_bounce_bound),
		cmocka_unit_test(test_bounce_moves_on),
		cmocka_unit_test(test_attach_running_ring),
		cmocka_unit_test(test_bad_config),
		cmocka_unit_test(test_successor),
		cmocka_unit_test(test_successor_of_barrier),
		cmocka_unit_test(test_successor_finds_nothing),
	};

	log_init("test-blkif", LOG_LEVEL_ERROR, true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
