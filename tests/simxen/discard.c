/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* discard.c: see discard.h. */
#include "config.h"

#include <stdio.h>

#include "tests/simxen/discard.h"

struct discard_totals {
	uint64_t sent, answered, failed;
	uint64_t reads, longest_ns;
};

static void discard_answered(void *ctx, void *cookie, int status)
{
	struct discard_totals *t = ctx;
	bool *read_done = cookie;

	if (status != BLK_OKAY)
		t->failed++;
	if (read_done)
		*read_done = true;
	else
		t->answered++;
}

/* A slot of the first ring is for reads. */
static void send_discards(struct front *f, uint64_t nr,
			  struct discard_totals *t)
{
	for (unsigned int i = 0; i < f->nr_queues; i++) {
		struct queue *q = &f->queue[i];

		while (t->sent < nr && queue_in_flight(q) < q->size - 1) {
			queue_discard(q, 0, f->sectors, NULL);
			t->sent++;
		}
		queue_push(q);
	}
}

static void take_answers(struct front *f, struct discard_totals *t)
{
	bool any = false;

	for (unsigned int i = 0; i < f->nr_queues; i++) {
		any |= queue_reap(&f->queue[i], discard_answered, t) != 0;
		any |= queue_final_check(&f->queue[i]);
	}
	if (!any && !front_wait(f, REQUEST_TIMEOUT_MS))
		die("no answer for %d s", REQUEST_TIMEOUT_MS / 1000);
}

static void read_once(struct front *f, uint32_t ref, struct discard_totals *t)
{
	struct seg seg = { .gref = ref, .last = PAGE_SECTORS - 1 };
	uint64_t begin = now_ns();
	bool done = false;

	queue_submit(&f->queue[0], BLK_READ, 0, &seg, 1, &done);
	queue_push(&f->queue[0]);
	while (!done)
		take_answers(f, t);
	begin = now_ns() - begin;
	if (begin > t->longest_ns)
		t->longest_ns = begin;
	t->reads++;
}

void discard_run(struct front *f, uint64_t nr, bool leave)
{
	struct discard_totals t = { 0 };
	uint64_t begin = now_ns();
	uint32_t ref;

	if (!f->has_discard)
		die("the disk has no discard");
	ref = pages_alloc(&f->machine, 1, GRANT_WRITABLE);
	send_discards(f, nr, &t);
	if (leave)
		return;
	do
		read_once(f, ref, &t);
	while (t.answered < t.sent);
	printf("{\"discards\": %llu, \"failed\": %llu, \"seconds\": %.3f, "
	       "\"reads\": %llu, \"longest_read_ms\": %.1f}\n",
	       (unsigned long long)t.sent, (unsigned long long)t.failed,
	       (now_ns() - begin) / 1e9, (unsigned long long)t.reads,
	       t.longest_ns / 1e6);
	front_free_pages(f, ref, 1);
}
