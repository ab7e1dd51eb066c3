/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostile-ring.c: see hostile-acts.h. */
#include "config.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/simxen/hostile-acts.h"

#define DATA_PAGES 32
#define POISON 0xbd

/* ---- requests that change while they are read -------------------------- */

/* A byte of a request or of its indirect page, good and bad by turns. */
struct flip {
	const char *name;
	unsigned int at;	/* from the start of the slot, or of the page */
	uint8_t good, bad;
	bool in_page;
};

/* A thread that turns one byte of shared memory back and forth. */
struct flipper {
	pthread_t thread;
	uint8_t good, bad;
	uint8_t *at;		/* NULL: the end */
};

static void *flip_bytes(void *arg)
{
	struct flipper *fl = arg;
	uint8_t *at;

	while ((at = __atomic_load_n(&fl->at, __ATOMIC_ACQUIRE))) {
		__atomic_store_n(at, fl->bad, __ATOMIC_RELAXED);
		__atomic_store_n(at, fl->good, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void wait_blindly(struct front *f, const char *name)
{
	struct queue *q = &f->queue[0];

	queue_push(q);
	while (!queue_reap_blindly(q)) {
		if (queue_final_check(q))
			continue;
		if (!front_wait(f, REACTION_MS))
			die("%s: no answer (backend in state %d)", name,
			    store_state(f->vbd.be));
	}
}

/* As many reads as it takes to be sure that the byte changes between any two
 * looks at it. nr_segs above DIRECT_SEGMENTS: indirect. */
static void read_flipping(struct front *f, const struct flip *flip,
			  uint32_t ref, unsigned int nr_segs)
{
	uint8_t unused = 0, *slot, *page;
	struct flipper fl = { .good = flip->good, .bad = flip->bad,
			      .at = &unused };
	struct queue *q = &f->queue[0];
	struct seg seg[DATA_PAGES];
	unsigned int i;

	for (i = 0; i < nr_segs; i++)
		seg[i] = (struct seg){ .gref = ref + i, .last = 7 };
	if (pthread_create(&fl.thread, NULL, flip_bytes, &fl))
		die("no thread");
	for (i = 0; i < 2000; i++) {
		slot = q->ring + 64 + (q->req_prod & (q->size - 1)) *
					      f->abi->entry_size;
		page = page_at(&f->machine, q->indirect_ref +
					    q->free[q->nr_free - 1] *
						    f->indirect_pages);
		queue_submit(q, BLK_READ, i % 64 * 8, seg, nr_segs, NULL);
		__atomic_store_n(&fl.at, (flip->in_page ? page : slot) +
				 flip->at, __ATOMIC_RELEASE);
		wait_blindly(f, flip->name);
		__atomic_store_n(&fl.at, &unused, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&fl.at, NULL, __ATOMIC_RELEASE);
	pthread_join(fl.thread, NULL);
}

/* What is not asked to be read into must stay as it is: the pages beside. */
static void check_poison(const struct front *f, uint32_t ref, const char *name)
{
	const uint8_t *p = page_at(&f->machine, ref);
	unsigned int i;

	for (i = 0; i < SIMXEN_PAGE; i++)
		if (p[i] != POISON)
			die("%s: a page beside those of the request was "
			    "written to", name);
}

static void double_fetch(struct front *f, const struct flip *flips, size_t n,
			 unsigned int nr_segs)
{
	uint32_t ref;
	size_t i;

	front_connect(f);
	ref = pages_alloc(&f->machine, DATA_PAGES + 2, GRANT_WRITABLE);
	memset(page_at(&f->machine, ref), POISON,
	       (DATA_PAGES + 2) * SIMXEN_PAGE);
	for (i = 0; i < n; i++) {
		read_flipping(f, &flips[i], ref + 1, nr_segs);
		check_poison(f, ref, flips[i].name);
		check_poison(f, ref + 1 + nr_segs, flips[i].name);
	}
	use(f);
	front_free_pages(f, ref, DATA_PAGES + 2);
	front_disconnect(f);
}

void ring_double_fetch(struct front *f)
{
	const struct flip flips[] = {
		{ "operation", 0, BLK_READ, BLK_INDIRECT, false },
		{ "segments", 1, 8, 255, false },
		{ "sector", f->abi->sector + 6, 0, 0x7f, false },
		{ "first sector of a segment", f->abi->seg + 4, 0, 200, false },
		{ "last sector of a segment", f->abi->seg + 5, 7, 255, false },
		{ "grant", f->abi->seg + 3, 0, 0xff, false },
	};

	double_fetch(f, flips, sizeof(flips) / sizeof(flips[0]), 8);
}

void ring_double_fetch_indirect(struct front *f)
{
	const struct flip flips[] = {
		{ "operation", 1, BLK_READ, BLK_INDIRECT, false },
		{ "segments", 3, 0, 255, false },
		{ "sector", f->abi->sector + 6, 0, 0x7f, false },
		{ "first sector of a segment", 31 * 8 + 4, 0, 200, true },
		{ "last sector of a segment", 31 * 8 + 5, 7, 255, true },
		{ "grant", 31 * 8 + 3, 0, 0xff, true },
	};

	double_fetch(f, flips, sizeof(flips) / sizeof(flips[0]), 32);
}

/* ---- what answers leave alone ------------------------------------------ */

/* The ring page is the guest's: only an answer's three fields are written. */
static void check_padding(struct front *f, const uint8_t *slot,
			  const uint8_t *before, uint8_t op)
{
	unsigned int i;

	for (i = 0; i < f->abi->entry_size; i++) {
		if (i < 8 || i == 8 || i == 10 || i == 11)
			continue;
		if (slot[i] != before[i])
			die("the answer to operation %u wrote %02x to byte %u "
			    "of its slot", op, slot[i], i);
	}
}

void ring_padding(struct front *f)
{
	static const uint8_t ops[] = {
		BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_INDIRECT, 77,
	};
	uint8_t before[128], *slot;
	struct answer a;
	uint32_t ref;
	unsigned int i;

	front_connect(f);
	ref = pages_alloc(&f->machine, 1, GRANT_WRITABLE);
	for (i = 0; i < 2 * f->queue[0].size; i++) {
		a.came = false;
		slot = queue_raw(&f->queue[0], &a);
		memset(slot + f->abi->seg, 0x5a,
		       f->abi->entry_size - f->abi->seg);
		slot[0] = ops[i % sizeof(ops)];
		slot[1] = slot[0] == BLK_INDIRECT ? BLK_READ :
			  slot[0] == BLK_READ || slot[0] == BLK_WRITE;
		slot[2] = slot[3] = 0x5a;
		*(struct seg *)(slot + f->abi->seg) =
			(struct seg){ .gref = ref, .last = 7, .pad = 0x5a5a };
		queue_expect(&f->queue[0], slot[0] == BLK_INDIRECT ? slot[1] :
								    slot[0]);
		memcpy(before, slot, f->abi->entry_size);
		wait_answer(f, &a);
		check_padding(f, slot, before, before[0]);
	}
	front_free_pages(f, ref, 1);
	use(f);
	front_disconnect(f);
}

/* ---- rings that lie over each other ------------------------------------ */

/* Garbage as requests; whether it is served or given up is all the same. */
static void push_garbage(struct front *f)
{
	struct queue *q = &f->queue[0];
	unsigned int i;

	for (i = 64; i < SIMXEN_PAGE; i++)
		q->ring[i] = rand();
	__atomic_store_n((uint32_t *)q->ring, q->size, __ATOMIC_SEQ_CST);
	for (i = 0; i < f->nr_queues; i++)
		port_notify(f->queue[i].port);
}

/* spoil: changes the nodes of good rings. */
static void connect_oddly(struct front *f,
			  void (*spoil)(struct front *f, xs_transaction_t t))
{
	xs_transaction_t t;

	front_wait_backend(f, STATE_BIT(XenbusStateInitWait));
	front_probe(f);
	front_alloc_rings(f);
	do {
		t = store_begin();
		front_remove_stale(f, t);
		front_write_rings(f, t);
		spoil(f, t);
	} while (!store_commit(t));
	front_set_state(f, XenbusStateInitialised);
	front_wait_backend(f, STATE_BIT(XenbusStateConnected) |
			      STATE_BIT(XenbusStateClosing) |
			      STATE_BIT(XenbusStateClosed));
	if (store_state(f->vbd.be) == XenbusStateConnected) {
		front_set_state(f, XenbusStateConnected);
		push_garbage(f);
		front_wait(f, 100);
	}
	recover(f);
}

static void one_page(struct front *f, xs_transaction_t t)
{
	char name[32];
	unsigned int i;

	for (i = 0; i < 1u << f->ring_order; i++) {
		snprintf(name, sizeof(name), "ring-ref%u", i);
		store_write(t, f->vbd.fe, name, "%u", f->queue[0].ring_ref);
	}
}

void ring_one_page(struct front *f)
{
	f->opts.queues = 1;
	f->opts.ring_order = 4;
	connect_oddly(f, one_page);
}

static void one_queue(struct front *f, xs_transaction_t t)
{
	char dir[256];
	unsigned int i;

	for (i = 0; i < f->nr_queues; i++) {
		snprintf(dir, sizeof(dir), "%s/queue-%u", f->vbd.fe, i);
		store_write(t, dir, "ring-ref", "%u", f->queue[0].ring_ref);
	}
}

void ring_shared_queues(struct front *f)
{
	f->opts.queues = 4;
	f->opts.ring_order = 0;
	connect_oddly(f, one_queue);
}
