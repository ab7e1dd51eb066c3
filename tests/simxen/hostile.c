/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile.c: see hostile.h.
 *
 * Four kinds of cases, one table each: requests that must be answered with a
 * failure and leave the disk alone; nodes that must stop the backend from
 * connecting, with a reason; acts against the ring's shared memory; and
 * frontends that come and go as they please. Each ends with an honest
 * frontend that does verified I/O on the same disk.
 */
#include "config.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/simxen/hostile-acts.h"
#include "tests/simxen/hostile.h"
#include "tests/simxen/workload.h"

#define SKIP 77
#define VDISK_READONLY 4u

static void skip(const char *why)
{
	printf("skipped: %s\n", why);
	exit(SKIP);
}

/* ---- afterwards -------------------------------------------------------- */

void use(struct front *f)
{
	struct workload w = WORKLOAD_DEFAULTS;
	struct workload_totals totals;

	w.ops = 100;
	w.qd = 8;
	workload_run(f, &w, &totals);
}

/* From whatever state to one in which it may connect. */
static void start_over(struct front *f)
{
	front_set_state(f, XenbusStateClosing);
	front_wait_backend(f, STATE_BIT(XenbusStateClosing) |
			      STATE_BIT(XenbusStateClosed));
	front_set_state(f, XenbusStateClosed);
	front_wait_backend(f, STATE_BIT(XenbusStateClosed));
	front_check_released(f);
	front_free_rings(f);
	front_set_state(f, XenbusStateInitialising);
}

/* ...and on to one that works. */
void recover(struct front *f)
{
	start_over(f);
	front_connect(f);
	use(f);
	front_disconnect(f);
}

/* ---- bad requests ------------------------------------------------------ */

void take_answer(void *ctx, void *cookie, int status)
{
	struct answer *a = cookie;

	a->came = true;
	a->status = status;
}

void wait_answer(struct front *f, struct answer *a)
{
	struct queue *q = &f->queue[0];

	queue_push(q);
	while (!a->came) {
		if (queue_reap(q, take_answer, NULL) || queue_final_check(q))
			continue;
		if (!front_wait(f, REACTION_MS))
			die("no answer");
	}
}

/* Everything a case may play with; the request it makes lies in slot. */
struct bad {
	struct front *f;
	uint8_t *slot;
	uint32_t ref;		/* 16 pages, granted for writing */
	uint32_t page;		/* an indirect page, granted */
};

static void set_sector(struct bad *b, uint64_t sector)
{
	memcpy(b->slot + b->f->abi->sector, &sector, 8);
}

static struct seg *slot_seg(struct bad *b, unsigned int n)
{
	return (struct seg *)(b->slot + b->f->abi->seg) + n;
}

static void set_segs(struct bad *b, uint8_t op, unsigned int nr)
{
	unsigned int i;

	b->slot[0] = op;
	b->slot[1] = nr;
	for (i = 0; i < nr && i < DIRECT_SEGMENTS; i++)
		*slot_seg(b, i) = (struct seg){ .gref = b->ref + i, .last = 7 };
}

static void set_nr_sectors(struct bad *b, uint64_t nr)
{
	b->slot[0] = BLK_DISCARD;
	memcpy(b->slot + b->f->abi->seg, &nr, 8);
}

static void set_indirect(struct bad *b, uint8_t op, uint16_t nr)
{
	struct seg *segs = page_at(&b->f->machine, b->page);
	unsigned int i;

	b->slot[0] = BLK_INDIRECT;
	b->slot[1] = op;
	memcpy(b->slot + 2, &nr, 2);
	memset(b->slot + b->f->abi->indirect_handle, 0, 2);
	memset(b->slot + b->f->abi->indirect_grefs, 0, 4 * MAX_INDIRECT_PAGES);
	memcpy(b->slot + b->f->abi->indirect_grefs, &b->page, 4);
	for (i = 0; i < SEGMENTS_PER_PAGE; i++)
		segs[i] = (struct seg){ .gref = b->ref + i % 16, .last = 7 };
}

static void bad_unknown_op(struct bad *b)
{
	set_segs(b, 77, 1);
}

static void bad_reserved_op(struct bad *b)
{
	set_segs(b, 4, 1);
}

static void bad_segments_0(struct bad *b)
{
	set_segs(b, BLK_READ, 0);
}

static void bad_segments_12(struct bad *b)
{
	set_segs(b, BLK_WRITE, 12);
}

static void bad_segments_255(struct bad *b)
{
	set_segs(b, BLK_READ, 255);
}

static void bad_first_after_last(struct bad *b)
{
	set_segs(b, BLK_WRITE, 2);
	slot_seg(b, 1)->first = 5;
	slot_seg(b, 1)->last = 4;
}

static void bad_last_8(struct bad *b)
{
	set_segs(b, BLK_READ, 1);
	slot_seg(b, 0)->last = 8;
}

static void bad_last_255(struct bad *b)
{
	set_segs(b, BLK_WRITE, 1);
	slot_seg(b, 0)->last = 255;
}

static void bad_at_end(struct bad *b)
{
	set_segs(b, BLK_READ, 1);
	set_sector(b, b->f->sectors);
}

static void bad_across_end(struct bad *b)
{
	set_segs(b, BLK_WRITE, 1);
	set_sector(b, b->f->sectors - 1);
}

static void bad_sector_wraps(struct bad *b)
{
	set_segs(b, BLK_WRITE, 1);
	set_sector(b, UINT64_MAX);
}

static void bad_bytes_wrap(struct bad *b)
{
	set_segs(b, BLK_READ, 1);
	set_sector(b, (uint64_t)1 << 55);
}

static void bad_gref(struct bad *b)
{
	set_segs(b, BLK_READ, 1);
	slot_seg(b, 0)->gref = NO_SUCH_GREF;
}

static void bad_gref_among_good(struct bad *b)
{
	set_segs(b, BLK_WRITE, 3);
	slot_seg(b, 1)->gref = NO_SUCH_GREF;
}

static void bad_gref_revoked(struct bad *b)
{
	set_segs(b, BLK_WRITE, 1);
	grant_set(&b->f->machine, b->ref, GRANT_NONE);
}

static void bad_gref_readonly(struct bad *b)
{
	set_segs(b, BLK_READ, 1);
	grant_set(&b->f->machine, b->ref, GRANT_READONLY);
}

static void bad_indirect_0(struct bad *b)
{
	set_indirect(b, BLK_READ, 0);
}

static void bad_indirect_65535(struct bad *b)
{
	set_indirect(b, BLK_READ, 65535);
}

static void bad_indirect_too_many(struct bad *b)
{
	set_indirect(b, BLK_WRITE,
		     store_number(0, "%s/feature-max-indirect-segments",
				  b->f->vbd.be) + 1);
}

static void bad_indirect_gref(struct bad *b)
{
	uint32_t gref = NO_SUCH_GREF;

	set_indirect(b, BLK_READ, 12);
	memcpy(b->slot + b->f->abi->indirect_grefs, &gref, 4);
}

static void bad_indirect_flush(struct bad *b)
{
	set_indirect(b, BLK_FLUSH, 12);
}

static void bad_indirect_discard(struct bad *b)
{
	set_indirect(b, BLK_DISCARD, 12);
}

static void bad_indirect_nested(struct bad *b)
{
	set_indirect(b, BLK_INDIRECT, 12);
}

static void bad_indirect_segment(struct bad *b)
{
	struct seg *segs = page_at(&b->f->machine, b->page);

	set_indirect(b, BLK_WRITE, 12);
	segs[11].last = 8;
}

static void bad_indirect_data_gref(struct bad *b)
{
	struct seg *segs = page_at(&b->f->machine, b->page);

	set_indirect(b, BLK_WRITE, 12);
	segs[7].gref = NO_SUCH_GREF;
}

static void bad_indirect_across_end(struct bad *b)
{
	set_indirect(b, BLK_WRITE, 12);
	set_sector(b, b->f->sectors - 12 * PAGE_SECTORS + 1);
}

static void bad_discard_at_end(struct bad *b)
{
	set_nr_sectors(b, 8);
	set_sector(b, b->f->sectors);
}

static void bad_discard_across_end(struct bad *b)
{
	set_nr_sectors(b, b->f->sectors + 1);
}

static void bad_discard_wraps(struct bad *b)
{
	set_nr_sectors(b, UINT64_MAX);
	set_sector(b, 1);
}

static void bad_discard_bytes_wrap(struct bad *b)
{
	set_nr_sectors(b, (uint64_t)1 << 55);
}

static void ro_write(struct bad *b)
{
	set_segs(b, BLK_WRITE, 1);
}

static void ro_barrier(struct bad *b)
{
	set_segs(b, BLK_BARRIER, 1);
}

static void ro_flush_write(struct bad *b)
{
	set_segs(b, BLK_FLUSH, 1);
}

static void ro_discard(struct bad *b)
{
	set_nr_sectors(b, 8);
}

static void ro_indirect_write(struct bad *b)
{
	set_indirect(b, BLK_WRITE, 12);
}

#define ANY_FAILURE (-99)

enum { NEEDS_RO = 1, NEEDS_RW = 2, NEEDS_INDIRECT = 4 };

static const struct {
	const char *name;
	void (*make)(struct bad *b);
	int status;
	int flags;
} bad_requests[] = {
	{ "unknown-op", bad_unknown_op, BLK_EOPNOTSUPP, 0 },
	{ "reserved-op", bad_reserved_op, BLK_EOPNOTSUPP, 0 },
	{ "segments-0", bad_segments_0, BLK_ERROR, 0 },
	{ "segments-12", bad_segments_12, BLK_ERROR, 0 },
	{ "segments-255", bad_segments_255, BLK_ERROR, 0 },
	{ "first-after-last", bad_first_after_last, BLK_ERROR, 0 },
	{ "last-8", bad_last_8, BLK_ERROR, 0 },
	{ "last-255", bad_last_255, BLK_ERROR, 0 },
	{ "at-end", bad_at_end, BLK_ERROR, 0 },
	{ "across-end", bad_across_end, BLK_ERROR, 0 },
	{ "sector-wraps", bad_sector_wraps, BLK_ERROR, 0 },
	{ "bytes-wrap", bad_bytes_wrap, BLK_ERROR, 0 },
	{ "bad-gref", bad_gref, BLK_ERROR, 0 },
	{ "bad-gref-among-good", bad_gref_among_good, BLK_ERROR, NEEDS_RW },
	{ "revoked-gref", bad_gref_revoked, BLK_ERROR, NEEDS_RW },
	{ "readonly-gref", bad_gref_readonly, BLK_ERROR, 0 },
	{ "indirect-0", bad_indirect_0, BLK_ERROR, NEEDS_INDIRECT },
	{ "indirect-65535", bad_indirect_65535, BLK_ERROR, NEEDS_INDIRECT },
	{ "indirect-too-many", bad_indirect_too_many, BLK_ERROR,
	  NEEDS_INDIRECT },
	{ "indirect-bad-gref", bad_indirect_gref, BLK_ERROR, NEEDS_INDIRECT },
	{ "indirect-flush", bad_indirect_flush, BLK_ERROR, NEEDS_INDIRECT },
	{ "indirect-discard", bad_indirect_discard, BLK_ERROR, NEEDS_INDIRECT },
	{ "indirect-nested", bad_indirect_nested, BLK_ERROR, NEEDS_INDIRECT },
	{ "indirect-bad-segment", bad_indirect_segment, BLK_ERROR,
	  NEEDS_INDIRECT },
	{ "indirect-bad-data-gref", bad_indirect_data_gref, BLK_ERROR,
	  NEEDS_INDIRECT | NEEDS_RW },
	{ "indirect-across-end", bad_indirect_across_end, BLK_ERROR,
	  NEEDS_INDIRECT },
	{ "discard-at-end", bad_discard_at_end, BLK_ERROR, NEEDS_RW },
	{ "discard-across-end", bad_discard_across_end, BLK_ERROR, NEEDS_RW },
	{ "discard-wraps", bad_discard_wraps, BLK_ERROR, NEEDS_RW },
	{ "discard-bytes-wrap", bad_discard_bytes_wrap, BLK_ERROR, NEEDS_RW },
	{ "readonly-write", ro_write, BLK_ERROR, NEEDS_RO },
	{ "readonly-barrier", ro_barrier, BLK_ERROR, NEEDS_RO },
	{ "readonly-flush-write", ro_flush_write, BLK_ERROR, NEEDS_RO },
	{ "readonly-discard", ro_discard, ANY_FAILURE, NEEDS_RO },
	{ "readonly-indirect-write", ro_indirect_write, BLK_ERROR,
	  NEEDS_RO | NEEDS_INDIRECT },
};

static void check_needs(const struct front *f, int flags)
{
	bool ro = f->info & VDISK_READONLY;

	if ((flags & NEEDS_RO) && !ro)
		skip("the disk is not read-only");
	if ((flags & NEEDS_RW) && ro)
		skip("the disk is read-only");
	if ((flags & NEEDS_INDIRECT) && !f->indirect_pages)
		skip("no indirect requests are offered");
}

/* Every byte of the disk, before and after: read by an honest request. */
static uint64_t disk_sum(struct front *f, uint32_t ref)
{
	struct seg segs[DIRECT_SEGMENTS];
	struct answer a;
	uint64_t sector, sum = 0, n;
	unsigned int i;
	const uint64_t *p = page_at(&f->machine, ref);

	for (i = 0; i < DIRECT_SEGMENTS; i++)
		segs[i] = (struct seg){ .gref = ref + i,
					.last = PAGE_SECTORS - 1 };
	for (sector = 0; sector + PAGE_SECTORS <= f->sectors; sector += n) {
		n = DIRECT_SEGMENTS * PAGE_SECTORS;
		if (n > f->sectors - sector)
			n = (f->sectors - sector) / PAGE_SECTORS * PAGE_SECTORS;
		a.came = false;
		queue_submit(&f->queue[0], BLK_READ, sector, segs,
			     n / PAGE_SECTORS, &a);
		wait_answer(f, &a);
		if (a.status != BLK_OKAY)
			die("an honest read fails: %d", a.status);
		for (i = 0; i < n * SECTOR / 8; i++)
			sum = (sum ^ p[i]) * 0x100000001b3u;
	}
	return sum;
}

static uint8_t answered_op(const uint8_t *slot)
{
	return slot[0] == BLK_INDIRECT ? slot[1] : slot[0];
}

static void run_bad_request(struct front *f, void (*make)(struct bad *b),
			    int status, int flags)
{
	struct bad b = { .f = f };
	struct answer a = { 0 };
	uint64_t before;
	uint32_t honest;

	front_connect(f);
	check_needs(f, flags);
	honest = pages_alloc(&f->machine, 16, GRANT_WRITABLE);
	b.ref = pages_alloc(&f->machine, 16, GRANT_WRITABLE);
	memset(page_at(&f->machine, b.ref), 0xbd, 16 * SIMXEN_PAGE);
	b.page = pages_alloc(&f->machine, 1, GRANT_READONLY);
	before = disk_sum(f, honest);
	memset(page_at(&f->machine, honest), 0xbd, 16 * SIMXEN_PAGE);

	b.slot = queue_raw(&f->queue[0], &a);
	make(&b);
	queue_expect(&f->queue[0], answered_op(b.slot));
	wait_answer(f, &a);
	if (status == ANY_FAILURE ? a.status >= 0 : a.status != status)
		die("answered with status %d instead of %d", a.status, status);
	if (memcmp(page_at(&f->machine, b.ref), page_at(&f->machine, honest),
		   16 * SIMXEN_PAGE) != 0)
		die("the refused request changed the guest's pages");
	if (disk_sum(f, honest) != before)
		die("the refused request changed the disk");
	use(f);
	front_disconnect(f);
	pages_free(&f->machine, honest, 16);
	pages_free(&f->machine, b.ref, 16);
	pages_free(&f->machine, b.page, 1);
}

/* ---- bad nodes --------------------------------------------------------- */

static const struct {
	const char *name;
	const char *node, *value;	/* NULL: the node is removed */
} bad_nodes[] = {
	{ "ring-ref-text", "ring-ref", "abc" },
	{ "ring-ref-negative", "ring-ref", "-1" },
	{ "ring-ref-huge", "ring-ref", "1099511627776" },
	{ "ring-ref-empty", "ring-ref", "" },
	{ "ring-ref-trailing", "ring-ref", "8 8" },
	{ "ring-ref-missing", "ring-ref", NULL },
	{ "ring-ref-not-granted", "ring-ref", "200000" },
	{ "event-channel-0", "event-channel", "0" },
	{ "event-channel-text", "event-channel", "abc" },
	{ "event-channel-huge", "event-channel", "1099511627776" },
	{ "event-channel-unbound", "event-channel", "999999" },
	{ "event-channel-missing", "event-channel", NULL },
	{ "ring-page-order-99", "ring-page-order", "99" },
	{ "ring-page-order-5", "ring-page-order", "5" },
	{ "ring-page-order-negative", "ring-page-order", "-1" },
	{ "ring-page-order-text", "ring-page-order", "abc" },
	{ "queues-1000", "multi-queue-num-queues", "1000" },
	{ "queues-0", "multi-queue-num-queues", "0" },
	{ "queues-text", "multi-queue-num-queues", "abc" },
	{ "queues-without-rings", "multi-queue-num-queues", "2" },
	{ "protocol-foo", "protocol", "foo" },
	{ "protocol-long", "protocol", NULL },	/* 2000 letters: see below */
};

static void write_bad_node(struct front *f, xs_transaction_t t, size_t n)
{
	char text[2001];

	if (bad_nodes[n].value) {
		store_write(t, f->vbd.fe, bad_nodes[n].node, "%s",
			    bad_nodes[n].value);
	} else if (strcmp(bad_nodes[n].name, "protocol-long") == 0) {
		memset(text, 'x', 2000);
		text[2000] = '\0';
		store_write(t, f->vbd.fe, "protocol", "%s", text);
	} else {
		store_remove(t, "%s/%s", f->vbd.fe, bad_nodes[n].node);
	}
}

void expect_refusal(struct front *f)
{
	uint64_t end = now_ns() + (uint64_t)REACTION_MS * 1000000;
	char *why = NULL;

	do {
		free(why);
		usleep(10000);
		if (store_state(f->vbd.be) == XenbusStateConnected)
			die("the backend connected all the same");
		why = front_backend_error(f);
	} while (!*why && now_ns() < end);
	if (!*why)
		die("the backend does not say what is wrong (state %d)",
		    store_state(f->vbd.be));
	printf("refused: %s\n", why);
	free(why);
}

static void run_bad_node(struct front *f, size_t n)
{
	xs_transaction_t t;

	f->opts.queues = 1;
	f->opts.ring_order = 0;
	front_wait_backend(f, STATE_BIT(XenbusStateInitWait));
	front_probe(f);
	front_alloc_rings(f);
	do {
		t = store_begin();
		front_remove_stale(f, t);
		front_write_rings(f, t);
		write_bad_node(f, t, n);
	} while (!store_commit(t));
	front_set_state(f, XenbusStateInitialised);
	expect_refusal(f);
	recover(f);
}

/* ---- the ring's shared memory ------------------------------------------ */

static void expect_disconnect(struct front *f)
{
	char *why;

	if (!store_wait_state(f->vbd.be, STATE_BIT(XenbusStateClosing) |
			      STATE_BIT(XenbusStateClosed), REACTION_MS))
		die("the backend goes on in state %d", store_state(f->vbd.be));
	why = front_backend_error(f);
	if (!*why)
		die("the backend disconnected without saying why");
	printf("disconnected: %s\n", why);
	free(why);
}

/* struct blkif_sring: req_prod, req_event, rsp_prod, rsp_event */
static void scribble_index(struct queue *q, unsigned int index, uint32_t value)
{
	__atomic_store_n((uint32_t *)q->ring + index, value, __ATOMIC_SEQ_CST);
	port_notify(q->port);
}

static void ring_mad_forward(struct front *f)
{
	front_connect(f);
	use(f);
	scribble_index(&f->queue[0], 0, f->queue[0].req_prod + 100000);
	expect_disconnect(f);
	recover(f);
}

static void ring_mad_backward(struct front *f)
{
	front_connect(f);
	use(f);
	scribble_index(&f->queue[0], 0, f->queue[0].req_prod - 1);
	expect_disconnect(f);
	recover(f);
}

static void ring_mad_again(struct front *f)
{
	for (int i = 0; i < 40; i++) {
		front_connect(f);
		scribble_index(&f->queue[0], 0, 100000);
		expect_disconnect(f);
		start_over(f);
	}
	front_connect(f);
	use(f);
	front_disconnect(f);
}

/* The backend counts for itself and must not read this back. */
static void ring_responses_corrupted(struct front *f)
{
	front_connect(f);
	use(f);
	scribble_index(&f->queue[0], 2, 0x12345678);
	scribble_index(&f->queue[0], 2, f->queue[0].rsp_cons);
	use(f);
	scribble_index(&f->queue[0], 1, f->queue[0].req_prod + 77777);
	port_notify(f->queue[0].port);
	use(f);
	front_disconnect(f);
}

struct scribbler {
	struct front *f;
	bool stop;
};

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	struct queue *q = &s->f->queue[0];
	uint64_t x = 88172645463325252u;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		q->ring[64 + (x >> 32) % (q->size * s->f->abi->entry_size)] = x;
	}
	return NULL;
}

/* A few thousand reads whose requests change under the backend's eyes: every
 * one must be answered, with whatever id and status. Writes may come of it, and
 * reads into the ring itself: a backend that then gives it up is right. */
static void ring_changing_requests(struct front *f)
{
	struct scribbler s = { .f = f };
	unsigned int answers = 0, sent = 0;
	struct seg seg[8];
	struct queue *q;
	pthread_t thread;
	uint32_t ref, i;

	front_connect(f);
	q = &f->queue[0];
	ref = pages_alloc(&f->machine, 8, GRANT_WRITABLE);
	for (i = 0; i < 8; i++)
		seg[i] = (struct seg){ .gref = ref + i, .last = 7 };
	if (pthread_create(&thread, NULL, scribble, &s))
		die("no thread");
	while (answers < 5000) {
		while (sent < 5000 &&
		       queue_submit(q, BLK_READ, sent % 64, seg, 8, NULL))
			sent++;
		queue_push(q);
		i = queue_reap_blindly(q);
		answers += i;
		if (i || queue_final_check(q))
			continue;
		if (front_wait(f, REACTION_MS))
			continue;
		if (store_state(f->vbd.be) == XenbusStateConnected)
			die("%u of %u requests were answered", answers, sent);
		break;		/* a read into the ring's own page: so be it */
	}
	s.stop = true;
	pthread_join(thread, NULL);
	pages_free(&f->machine, ref, 8);
	front_disconnect(f);
	front_set_state(f, XenbusStateInitialising);
	front_connect(f);
	use(f);
	front_disconnect(f);
}

/* ---- coming and going -------------------------------------------------- */

static void fill_ring(struct front *f)
{
	uint32_t pages = f->max_segs, ref, i;
	struct seg *segs = calloc(pages, sizeof(*segs));
	uint64_t sector = 0;

	if (!segs)
		die("out of memory");
	ref = pages_alloc(&f->machine, pages, GRANT_WRITABLE);
	for (i = 0; i < pages; i++)
		segs[i] = (struct seg){ .gref = ref + i, .last = 7 };
	for (i = 0; i < f->nr_queues; i++) {
		while (queue_submit(&f->queue[i], BLK_READ, sector, segs,
				    pages, NULL))
			sector = (sector + pages * 8) % (f->sectors / 2);
		queue_push(&f->queue[i]);
	}
	free(segs);
}

static void life_close_in_flight(struct front *f)
{
	int i;

	for (i = 0; i < 20; i++) {
		front_set_state(f, XenbusStateInitialising);
		front_connect(f);
		fill_ring(f);
		front_disconnect(f);
	}
	front_set_state(f, XenbusStateInitialising);
	front_connect(f);
	use(f);
	front_disconnect(f);
}

static void life_closed_in_flight(struct front *f)
{
	int i;

	for (i = 0; i < 20; i++) {
		front_set_state(f, XenbusStateInitialising);
		front_connect(f);
		fill_ring(f);
		front_set_state(f, XenbusStateClosed);
		front_wait_backend(f, STATE_BIT(XenbusStateClosed));
		front_check_released(f);
		front_free_rings(f);
	}
	front_set_state(f, XenbusStateInitialising);
	front_connect(f);
	use(f);
	front_disconnect(f);
}

/* A process of its own: threads and the store's connection are not inherited
 * over fork(). */
static void exec_verify(const struct front *f)
{
	char domid[16], devid[16];

	snprintf(domid, sizeof(domid), "%u", f->vbd.domid);
	snprintf(devid, sizeof(devid), "%u", f->vbd.devid);
	execl("/proc/self/exe", "simguest", "verify", "--domid", domid,
	      "--vdev", devid, "--seconds", "60", NULL);
	_exit(127);
}

/* A guest that is gone in mid-request; its domain is still there, and the
 * next kernel (a crash kernel, say) starts over. */
static void life_killed(struct front *f)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < 5; i++) {
		front_set_state(f, XenbusStateInitialising);
		front_wait_backend(f, STATE_BIT(XenbusStateInitWait));
		pid = fork();
		if (pid == 0)
			exec_verify(f);
		front_wait_backend(f, STATE_BIT(XenbusStateConnected));
		usleep(20000 + i * 37000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		recover(f);
	}
}

static void life_toggle(struct front *f)
{
	static const uint8_t states[] = { 1, 3, 4, 5, 6, 3, 1, 6, 4, 0, 5, 2 };
	unsigned int i;

	front_connect(f);
	use(f);
	for (i = 0; i < 600; i++) {
		front_set_state(f, states[(i * 7 + i / 5) % sizeof(states)]);
		if (i % 50 == 0)
			usleep(1000);
	}
	front_set_state(f, XenbusStateClosed);
	front_wait_backend(f, STATE_BIT(XenbusStateClosed));
	front_check_released(f);
	recover(f);
}

static void life_bad_state(struct front *f)
{
	static const char *const values[] = { "abc", "99", "-1", "", "4x" };
	unsigned int i;

	front_connect(f);
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		store_write(XBT_NULL, f->vbd.fe, "state", "%s", values[i]);
		usleep(20000);
	}
	front_set_state(f, XenbusStateConnected);
	usleep(20000);
	if (store_state(f->vbd.be) == XenbusStateConnected)
		use(f);
	recover(f);
}

static void life_watch_storm(struct front *f)
{
	unsigned int i;

	front_connect(f);
	for (i = 0; i < 20000; i++) {
		store_write(XBT_NULL, f->vbd.fe, "noise", "%u", i);
		if (i % 100 == 0)
			front_set_state(f, XenbusStateConnected);
	}
	use(f);
	front_disconnect(f);
}

/* libxl takes the frontend's directory away first when it destroys. */
static void life_vanish(struct front *f)
{
	uint64_t end = now_ns() + (uint64_t)REACTION_MS * 1000000;
	unsigned int i;
	bool held;

	front_connect(f);
	fill_ring(f);
	store_remove(XBT_NULL, "%s", f->vbd.fe);
	do {
		usleep(10000);
		held = false;
		for (i = 0; i < f->nr_queues; i++)
			held |= port_bound(f->queue[i].port) ||
				pages_mapped(&f->machine, f->queue[i].ring_ref,
					     1u << f->ring_order);
	} while (held && now_ns() < end);
	front_check_released(f);
}

static void life_eagain(struct front *f)
{
	struct answer a = { 0 };
	struct seg seg = { .last = 7 };

	f->opts.persistent = false;
	front_connect(f);
	seg.gref = pages_alloc(&f->machine, 1, GRANT_WRITABLE);
	grant_inject(&f->machine, seg.gref, -12 /* GNTST_eagain */, 1);
	queue_submit(&f->queue[0], BLK_READ, 0, &seg, 1, &a);
	wait_answer(f, &a);
	if (a.status != BLK_OKAY && a.status != BLK_ERROR)
		die("status %d", a.status);
	use(f);
	pages_free(&f->machine, seg.gref, 1);
	front_disconnect(f);
}

static const struct {
	const char *name;
	void (*run)(struct front *f);
} acts[] = {
	{ "ring-forward", ring_mad_forward },
	{ "ring-backward", ring_mad_backward },
	{ "ring-forward-again", ring_mad_again },
	{ "responses-corrupted", ring_responses_corrupted },
	{ "changing-requests", ring_changing_requests },
	{ "double-fetch", ring_double_fetch },
	{ "double-fetch-indirect", ring_double_fetch_indirect },
	{ "padding", ring_padding },
	{ "ring-of-one-page", ring_one_page },
	{ "queues-share-a-ring", ring_shared_queues },
	{ "refused-grants", grants_of_refused },
	{ "grant-statuses", grants_of_every_status },
	{ "half-a-ring", grants_of_half_a_ring },
	{ "back-with-answer", grants_back_with_answer },
	{ "persistent-grants", grants_persistent },
	{ "side-by-side", grants_side_by_side },
	{ "close-in-flight", life_close_in_flight },
	{ "closed-in-flight", life_closed_in_flight },
	{ "killed", life_killed },
	{ "toggle", life_toggle },
	{ "bad-state", life_bad_state },
	{ "watch-storm", life_watch_storm },
	{ "node-storm", storm_of_nodes },
	{ "kick-storm", storm_of_kicks },
	{ "kick-and-close", storm_and_close },
	{ "events-as-asked", events_as_asked },
	{ "eagain", life_eagain },
	{ "vanish", life_vanish },	/* the last: the device is gone */
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

void hostile_list(void)
{
	size_t i;

	for (i = 0; i < COUNT(bad_requests); i++)
		puts(bad_requests[i].name);
	for (i = 0; i < COUNT(bad_nodes); i++)
		puts(bad_nodes[i].name);
	for (i = 0; i < COUNT(acts); i++)
		puts(acts[i].name);
}

void hostile_run(struct front *f, const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(bad_requests); i++) {
		if (strcmp(name, bad_requests[i].name) == 0) {
			run_bad_request(f, bad_requests[i].make,
					bad_requests[i].status,
					bad_requests[i].flags);
			return;
		}
	}
	for (i = 0; i < COUNT(bad_nodes); i++) {
		if (strcmp(name, bad_nodes[i].name) == 0) {
			run_bad_node(f, i);
			return;
		}
	}
	for (i = 0; i < COUNT(acts); i++) {
		if (strcmp(name, acts[i].name) == 0) {
			acts[i].run(f);
			return;
		}
	}
	die("no case is called '%s'", name);
}
