/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hostile frontend: the input says how the device is set up and then, one
 * command after the other, what is written to the rings and pages, which
 * indexes are shown, what the owner answers and when. Input that ends reads as
 * zeros.
 *
 * What must hold: every request that reaches the owner lies within the device
 * and has all of its memory; responses are never more than requests were
 * taken; when all is answered nothing is in flight, and after the end nothing
 * is mapped or bound.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/grant_table.h>

#include "blkif/blkif.h"
#include "common/log.h"
#include "tests/unit/fake-xen.h"

#define RING_GREF 64
#define MAX_ORDER 1
#define NR_QUEUES 2
#define MAX_HELD 256
#define SECTORS 1000
#define MAX_COMMANDS 400

struct input {
	const uint8_t *data;
	size_t size;
};

static struct {
	struct blkif *vbd;
	struct blkif_io *held[MAX_HELD];
	unsigned int nr_held;
	bool at_once, readonly, discard;
	unsigned int nr_submitted, nr_completed;
} owner;

static uint8_t get(struct input *in)
{
	if (!in->size)
		return 0;
	in->size--;
	return *in->data++;
}

static uint32_t get16(struct input *in)
{
	uint32_t low = get(in);

	return low | (uint32_t)get(in) << 8;
}

/* ---- the owner ---- */

/* Touches all of the memory, so that a bad address is noticed. */
static void check(struct blkif_io *io)
{
	uint64_t sum = 0;

	MUST(io->offset + io->length >= io->offset);
	MUST(io->offset + io->length <= SECTORS * 512);
	MUST(!owner.readonly || io->op == BLKIF_READ || io->op == BLKIF_FLUSH);
	MUST(io->op != BLKIF_DISCARD || owner.discard);
	if (io->op == BLKIF_FLUSH || io->op == BLKIF_DISCARD)
		return;
	for (int i = 0; i < io->niov; i++) {
		char *p = io->iov[i].iov_base;

		sum += io->iov[i].iov_len;
		for (size_t j = 0; j < io->iov[i].iov_len; j += 512) {
			if (io->op == BLKIF_READ)
				p[j] = 'r';
			else
				sum += 0 * ((volatile char *)p)[j];
		}
	}
	MUST(sum == io->length && sum);
}

static void complete(struct blkif_io *io, int ret)
{
	owner.nr_completed++;
	memset(io->state, 0x55, 16);
	blkif_complete(io, ret);
}

static void submit(void *opaque, struct blkif_io *io)
{
	owner.nr_submitted++;
	check(io);
	if (owner.at_once || owner.nr_held == MAX_HELD)
		complete(io, 0);
	else
		owner.held[owner.nr_held++] = io;
}

static void complete_one(unsigned int which, int ret)
{
	struct blkif_io *io;

	if (!owner.nr_held)
		return;
	which %= owner.nr_held;
	io = owner.held[which];
	owner.held[which] = owner.held[--owner.nr_held];
	complete(io, ret);
}

/* ---- the frontend ---- */

struct indexes {
	uint32_t req_prod, req_event, rsp_prod, rsp_event;
};

static void put_bytes(struct input *in, uint32_t gref, unsigned int at,
		      unsigned int n)
{
	char *page = fake_page(gref);

	for (; n-- && at < 4096; at++)
		page[at] = (char)get(in);
}

static void spoil_grant(struct input *in, struct fake_grant *g)
{
	uint8_t how = get(in);

	g->status = how & 1 ? GNTST_bad_page : GNTST_okay;
	g->readonly = how & 2;
	g->unmappable = how & 4;
	g->times = how >> 4;
}

static void command(struct input *in, struct blkif_config *c)
{
	unsigned int q = get(in) % c->nr_queues;
	uint32_t ring = c->queue[q].ring_ref[0];
	struct indexes *idx = fake_page(ring);
	unsigned int stride = c->abi == BLKIF_ABI_X86_32 ? 108 : 112;

	switch (get(in) % 13) {
	case 0:		/* a request: its head, then the rest */
		put_bytes(in, ring, 64 + get(in) % 32 * stride, 24);
		break;
	case 1:
		put_bytes(in, ring, 64 + get(in) % 32 * stride + 24, 88);
		break;
	case 2:
		put_bytes(in, ring, get16(in) % 4096, get(in));
		break;
	case 3:		/* any page, for one as indirect descriptors */
		put_bytes(in, get(in) % RING_GREF, get16(in) % 4096, get(in));
		break;
	case 4:
		idx->req_prod += get(in) % 40;
		break;
	case 5:
		idx->rsp_event = idx->rsp_prod + get(in) % 8;
		break;
	case 6:
		spoil_grant(in, &fake.grant[get(in) % RING_GREF]);
		break;
	case 7:
		blkif_push(owner.vbd);
		break;
	case 8:
		complete_one(get(in), get(in) % 4 ? 0 : -EIO);
		break;
	case 9:
		fake_fire(c->queue[q].port);
		blkif_event(owner.vbd);
		blkif_arm(owner.vbd);
		break;
	case 10:
		owner.at_once = !owner.at_once;
		break;
	case 11:
		blkif_trim(owner.vbd);
		break;
	case 12:
		blkif_quiesce(owner.vbd, get(in) % 4 == 0);
		break;
	}
	if (get(in) % 2)
		blkif_process(owner.vbd);
	MUST(blkif_in_flight(owner.vbd) <=
	     (64u << MAX_ORDER) * c->nr_queues);
}

static void set_up(struct input *in, struct blkif_config *c)
{
	uint8_t flags = get(in), more = get(in);

	*c = (struct blkif_config){
		.domid = FAKE_DOMID,
		.abi = flags & 1 ? BLKIF_ABI_X86_32 : BLKIF_ABI_X86_64,
		.persistent = flags & 2,
		.readonly = flags & 4,
		.discard = flags & 8,
		.nr_queues = flags & 16 ? NR_QUEUES : 1,
		.max_indirect = more % 4 ? 256 : 0,
		.sector_size = flags & 32 ? 4096 : 512,
		.sectors = SECTORS,
		.state_size = 16,
	};
	for (unsigned int i = 0; i < c->nr_queues; i++) {
		c->queue[i].ring_order = more >> 4 & MAX_ORDER;
		c->queue[i].port = i + 1;
		for (unsigned int j = 0; j < 1 << MAX_ORDER; j++)
			c->queue[i].ring_ref[j] = RING_GREF + i * 2 + j;
		/* A page that was used before, not far from wrapping. */
		*(struct indexes *)fake_page(RING_GREF + i * 2) =
			(struct indexes){ .req_prod = -(flags & 64),
					  .rsp_prod = -(flags & 64) };
	}
	owner.readonly = c->readonly;
	owner.discard = c->discard;
	owner.at_once = flags & 128;
}

static void drain(void)
{
	blkif_quiesce(owner.vbd, true);
	do {
		while (owner.nr_held)
			complete_one(0, 0);
		blkif_process(owner.vbd);
		blkif_push(owner.vbd);
	} while (owner.nr_held);
	MUST(owner.nr_submitted == owner.nr_completed);
	MUST(!blkif_in_flight(owner.vbd));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct blkif_ops ops = { .submit = submit };
	struct input in = { data, size };
	struct blkif_config config;
	struct error err;

	log_init("fuzz-ring", LOG_LEVEL_ERROR, true);
	memset(&owner, 0, sizeof(owner));
	fake_reset_first(RING_GREF + 2 * NR_QUEUES);
	set_up(&in, &config);
	MUST(!blkif_connect(&config, &ops, &owner, &owner.vbd, &err));
	for (int i = 0; in.size && i < MAX_COMMANDS; i++)
		command(&in, &config);
	drain();
	blkif_disconnect(owner.vbd);
	MUST(!fake.mapped && !fake.bound && !fake.handles);
	return 0;
}
