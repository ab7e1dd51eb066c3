/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hostile-grants.c: see hostile-acts.h. */
#include "config.h"

#include <string.h>
#include <unistd.h>

#include "tests/simxen/hostile-acts.h"

#define DATA_PAGES 32

/* What the backend of this domain has mapped now; the store has a page, too. */
static uint32_t all_mapped(const struct front *f)
{
	return pages_mapped(&f->machine, SIMXEN_RESERVED_GREFS,
			    f->machine.grants->nr - SIMXEN_RESERVED_GREFS);
}

static void expect_nothing_mapped(const struct front *f)
{
	uint32_t n = all_mapped(f);

	if (n)
		die("%u pages are mapped still", n);
}

static unsigned int segments(const struct front *f, unsigned int most)
{
	return f->max_segs < most ? f->max_segs : most;
}

static void whole_pages(struct seg *seg, uint32_t ref, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		seg[i] = (struct seg){ .gref = ref + i, .last = 7 };
}

static int request(struct front *f, enum blk_op op, const struct seg *seg,
		   unsigned int n)
{
	struct answer a = { 0 };

	if (!queue_submit(&f->queue[0], op, 0, seg, n, &a))
		die("the ring is full");
	wait_answer(f, &a);
	return a.status;
}

/* Each has one bad grant, the last of all: those before it are given back. */
void grants_of_refused(struct front *f)
{
	struct seg seg[DATA_PAGES];
	uint32_t ref, rings;
	unsigned int i, n;

	front_connect(f);
	n = segments(f, DATA_PAGES);
	rings = all_mapped(f);
	for (i = 0; i < 100; i++) {
		ref = pages_alloc(&f->machine, n, GRANT_WRITABLE);
		whole_pages(seg, ref, n);
		seg[n - 1].gref = NO_SUCH_GREF;
		if (request(f, i % 2 ? BLK_READ : BLK_WRITE, seg, n) !=
		    BLK_ERROR)
			die("a request with a bad grant was carried out");
		if (!f->persistent && all_mapped(f) != rings)
			die("%u pages are mapped after a refused request, "
			    "%u before it", all_mapped(f), rings);
		front_free_pages(f, ref, n);
	}
	use(f);
	front_disconnect(f);
	expect_nothing_mapped(f);
}

/* ---- errors of the hypervisor ------------------------------------------ */

/* For good, on the last page of a request: it must fail, and go well again when
 * the error is gone. New pages: what is mapped once needs no grant any more. */
static void one_status(struct front *f, int status, enum blk_op op,
		       unsigned int n)
{
	uint32_t ref = pages_alloc(&f->machine, n, GRANT_WRITABLE);
	struct seg seg[DATA_PAGES];

	whole_pages(seg, ref, n);
	grant_inject(&f->machine, ref + n - 1, status, SIMXEN_FOREVER);
	if (request(f, op, seg, n) != BLK_ERROR)
		die("operation %d goes well with grant status %d", op, status);
	grant_set(&f->machine, ref + n - 1, GRANT_WRITABLE);
	if (request(f, op, seg, n) != BLK_OKAY)
		die("operation %d fails after grant status %d", op, status);
	front_free_pages(f, ref, n);
}

void grants_of_every_status(struct front *f)
{
	static const enum blk_op ops[] = { BLK_READ, BLK_WRITE };
	unsigned int i;
	int status;

	front_connect(f);
	for (status = -1; status >= -14; status--) {
		for (i = 0; i < 2; i++) {
			one_status(f, status, ops[i], 1);
			one_status(f, status, ops[i], DIRECT_SEGMENTS);
			one_status(f, status, ops[i], segments(f, DATA_PAGES));
		}
	}
	use(f);
	front_disconnect(f);
	expect_nothing_mapped(f);
}

void grants_of_half_a_ring(struct front *f)
{
	xs_transaction_t t;

	f->opts.queues = 1;
	f->opts.ring_order = 2;
	front_wait_backend(f, STATE_BIT(XenbusStateInitWait));
	front_probe(f);
	front_alloc_rings(f);
	grant_set(&f->machine, f->queue[0].ring_ref + 2, GRANT_NONE);
	do {
		t = store_begin();
		front_remove_stale(f, t);
		front_write_rings(f, t);
	} while (!store_commit(t));
	front_set_state(f, XenbusStateInitialised);
	expect_refusal(f);
	recover(f);
	expect_nothing_mapped(f);
}

/* ---- given back in time ------------------------------------------------ */

/* A frontend that has not agreed to persistent grants takes its pages back, and
 * gives them to others, as soon as it sees an answer. */
void grants_back_with_answer(struct front *f)
{
	struct seg seg[DATA_PAGES];
	uint32_t ref, rings;
	unsigned int i, n;

	f->opts.persistent = false;
	front_connect(f);
	n = segments(f, DATA_PAGES);
	rings = all_mapped(f);
	ref = pages_alloc(&f->machine, n, GRANT_WRITABLE);
	whole_pages(seg, ref, n);
	for (i = 0; i < 200; i++) {
		if (request(f, i % 2 ? BLK_READ : BLK_WRITE, seg,
			    i % 3 ? n : 1) != BLK_OKAY)
			die("an honest request fails");
		if (all_mapped(f) != rings)
			die("pages of an answered request are mapped still");
	}
	pages_free(&f->machine, ref, n);
	front_disconnect(f);
	expect_nothing_mapped(f);
}

/* More pages than a backend keeps, a part of them with bad grants. */
static void fill_with_bad(struct front *f)
{
	struct seg seg[DATA_PAGES];
	unsigned int n = segments(f, DATA_PAGES), i;
	uint32_t ref;

	for (i = 0; i < f->queue[0].size; i++) {
		ref = pages_alloc(&f->machine, n, GRANT_WRITABLE);
		whole_pages(seg, ref, n);
		if (i % 4 == 0)
			seg[n - 1].gref = NO_SUCH_GREF;
		if (i % 5 == 0)
			grant_set(&f->machine, ref + n / 2, GRANT_READONLY);
		queue_submit(&f->queue[0], i % 2 ? BLK_READ : BLK_WRITE, 0,
			     seg, n, NULL);
		front_free_pages(f, ref, n);
	}
	queue_push(&f->queue[0]);
}

/* Whatever became of the requests, and however the connection ends. */
void grants_persistent(struct front *f)
{
	int i;

	for (i = 0; i < 10; i++) {
		front_set_state(f, XenbusStateInitialising);
		front_connect(f);
		fill_with_bad(f);
		if (i % 2)
			usleep(i * 2000);
		front_set_state(f, i % 3 ? XenbusStateClosed :
					   XenbusStateClosing);
		front_wait_backend(f, STATE_BIT(XenbusStateClosing) |
				      STATE_BIT(XenbusStateClosed));
		front_set_state(f, XenbusStateClosed);
		front_wait_backend(f, STATE_BIT(XenbusStateClosed));
		expect_nothing_mapped(f);
		front_check_released(f);
		front_free_rings(f);
	}
	recover(f);
}

/* ---- side by side ------------------------------------------------------ */

#define PIECES 8

static void put_pattern(struct front *f, uint32_t ref, unsigned int n,
			uint8_t seed)
{
	uint8_t *p = page_at(&f->machine, ref);
	size_t i;

	for (i = 0; i < n * SIMXEN_PAGE; i++)
		p[i] = seed + i / SECTOR;
}

/* Pieces that touch each other, or do not, or lie in one page. */
static void make_pieces(struct seg *seg, uint32_t ref, unsigned int order)
{
	static const uint8_t shape[][2] = {
		{ 0, 3 }, { 4, 7 }, { 0, 7 }, { 0, 7 }, { 2, 5 }, { 0, 0 },
		{ 7, 7 }, { 1, 7 },
	};
	unsigned int i;

	for (i = 0; i < PIECES; i++)
		seg[i] = (struct seg){
			.gref = ref + (order == 0 ? i :
				       order == 1 ? PIECES - 1 - i : i / 2),
			.first = shape[i][0], .last = shape[i][1],
		};
}

/* The bytes of the pieces, one after the other; how many there are. */
static size_t gather(const struct front *f, const struct seg *seg, uint8_t *to)
{
	size_t n = 0;
	unsigned int i;

	for (i = 0; i < PIECES; i++) {
		memcpy(to + n, (uint8_t *)page_at(&f->machine, seg[i].gref) +
			       seg[i].first * SECTOR,
		       seg_sectors(&seg[i]) * SECTOR);
		n += seg_sectors(&seg[i]) * SECTOR;
	}
	return n;
}

static void write_and_read(struct front *f, uint32_t ref, uint32_t whole,
			   const struct seg *seg)
{
	uint8_t wrote[PIECES * SIMXEN_PAGE], got[PIECES * SIMXEN_PAGE];
	struct seg all[PIECES];
	size_t n;

	put_pattern(f, ref, PIECES, 1);
	n = gather(f, seg, wrote);
	if (request(f, BLK_WRITE, seg, PIECES) != BLK_OKAY)
		die("a write of pieces fails");
	whole_pages(all, whole, PIECES);
	if (request(f, BLK_READ, all, PIECES) != BLK_OKAY)
		die("a read of pages fails");
	if (memcmp(page_at(&f->machine, whole), wrote, n) != 0)
		die("pieces were written from other places");
	put_pattern(f, ref, PIECES, 99);
	if (request(f, BLK_READ, seg, PIECES) != BLK_OKAY)
		die("a read of pieces fails");
	gather(f, seg, got);
	if (memcmp(got, wrote, n) != 0)
		die("pieces were read into other places");
}

/* Pages that were mapped one before the other lie the one way round in the
 * backend's memory, and the other way round when they were mapped after. */
void grants_side_by_side(struct front *f)
{
	unsigned int order, i;
	uint32_t ref, whole;
	struct seg seg[PIECES];

	front_connect(f);
	for (order = 0; order < 6; order++) {
		ref = pages_alloc(&f->machine, PIECES, GRANT_WRITABLE);
		whole = pages_alloc(&f->machine, PIECES, GRANT_WRITABLE);
		for (i = 0; i < PIECES; i++) {
			whole_pages(seg, ref + (order % 2 ? i : PIECES - 1 - i),
				    1);
			request(f, BLK_READ, seg, 1);
		}
		make_pieces(seg, ref, order / 2);
		write_and_read(f, ref, whole, seg);
		front_free_pages(f, ref, PIECES);
		front_free_pages(f, whole, PIECES);
	}
	use(f);
	front_disconnect(f);
}
