/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/bits.h"
#include "tests/unit/fake-front.h"

/* ---- the layouts ---- */

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

/* ---- the owner ---- */

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

void release(struct disk *d, unsigned int i)
{
	struct blkif_io *io = d->held[i];

	assert_true(i < d->nr_held);
	memmove(&d->held[i], &d->held[i + 1],
		(--d->nr_held - i) * sizeof(d->held[0]));
	disk_complete(d, io);
}

const struct blkif_ops disk_ops = { .submit = disk_submit };

/* ---- the frontend ---- */

static bool is_32(const struct fixture *f)
{
	return f->config.abi == BLKIF_ABI_X86_32;
}

static void *next_entry(struct front *fr)
{
	return fr->ring->entry + (fr->prod++ & (fr->size - 1)) * fr->stride;
}

uint64_t put_rw(struct fixture *f, unsigned int queue, int op, uint64_t sector,
		unsigned int nr, const struct seg *seg)
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

uint64_t put_pages(struct fixture *f, unsigned int queue, int op,
		   uint64_t sector, unsigned int nr, uint32_t gref)
{
	struct seg seg[11];

	for (unsigned int i = 0; i < nr; i++)
		seg[i] = (struct seg){ gref + i, 0, 7, 0x5a5a };
	return put_rw(f, queue, op, sector, nr, seg);
}

uint64_t put_discard(struct fixture *f, uint64_t sector, uint64_t nr)
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

uint64_t put_indirect(struct fixture *f, int inner, uint64_t sector,
		      unsigned int nr, uint32_t gref)
{
	return put_indirect_on(f, 0, inner, sector, nr, gref);
}

uint64_t put_indirect_on(struct fixture *f, unsigned int queue, int inner,
			 uint64_t sector, unsigned int nr, uint32_t gref)
{
	struct front *fr = &f->front[queue];
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

void publish(struct front *fr)
{
	fr->ring->req_prod = fr->prod;
}

bool get_rsp(struct front *fr, struct rsp *out)
{
	if (fr->cons == fr->ring->rsp_prod)
		return false;
	memcpy(out, fr->ring->entry + (fr->cons++ & (fr->size - 1)) *
	       fr->stride, sizeof(*out));
	return true;
}

int turn(struct fixture *f)
{
	int n;

	for (unsigned int i = 0; i < f->config.nr_queues; i++)
		publish(&f->front[i]);
	n = blkif_process(f->vbd);
	blkif_push(f->vbd);
	return n;
}

void expect_rsp(struct fixture *f, unsigned int queue, uint64_t id, int op,
		int status)
{
	struct rsp rsp;

	assert_true(get_rsp(&f->front[queue], &rsp));
	assert_int_equal(rsp.id, id);
	assert_int_equal(rsp.op, op);
	assert_int_equal(rsp.status, status);
}

void expect_no_rsp(struct fixture *f, unsigned int queue)
{
	struct rsp rsp;

	assert_false(get_rsp(&f->front[queue], &rsp));
}

void expect_log(struct fixture *f, unsigned int i, enum blkif_op op,
		uint64_t offset, uint64_t length)
{
	assert_true(i < f->disk.nr_log);
	assert_int_equal(f->disk.log[i].op, op);
	assert_int_equal(f->disk.log[i].offset, offset);
	assert_int_equal(f->disk.log[i].length, length);
}

void barrier_step(struct fixture *f, enum blkif_op op, uint64_t length)
{
	assert_int_equal(f->disk.nr_held, 1);
	assert_int_equal(f->disk.held[0]->op, op);
	assert_int_equal(f->disk.held[0]->length, length);
	release(&f->disk, 0);
	assert_int_equal(f->disk.nr_held, 0);
	blkif_push(f->vbd);
}

void fill_descriptors(unsigned int nr)
{
	struct seg *d = fake_page(DESC_GREF);

	for (unsigned int i = 0; i < nr; i++)
		d[i] = (struct seg){ DATA_GREF + i, 0, 7, 0xffff };
}

/* ---- setting up ---- */

void make_front(struct fixture *f, unsigned int i)
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

void fixture_init(struct fixture *f)
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

void connect_vbd(struct fixture *f)
{
	struct error err = ERROR_INIT;

	for (unsigned int i = 0; i < f->config.nr_queues; i++)
		make_front(f, i);
	if (blkif_connect(&f->config, &disk_ops, &f->disk, &f->vbd, &err))
		fail_msg("%s", err.msg);
}

void disconnect(struct fixture *f)
{
	blkif_disconnect(f->vbd);
	assert_int_equal(fake.mapped, 0);
	assert_int_equal(fake.bound, 0);
	assert_int_equal(fake.handles, 0);
}

struct fixture *new_fixture(void)
{
	static struct fixture f;

	fixture_init(&f);
	return &f;
}
