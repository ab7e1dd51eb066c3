/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.c: see bench.h.
 *
 * A slot is refilled in the answer's callback and the ring published once for
 * each batch of answers, so frontend and backend work at the same time. The
 * clock is read once a batch. With persistent grants the data is copied between
 * the granted pages and memory of our own, as blkfront has to.
 *
 * A random walk touches every block before any is touched twice (an affine
 * step modulo the number of blocks), so that "allocating" means it.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/simxen/bench.h"

/* Latencies: 64 steps for each power of two of nanoseconds. */
#define SUB_BITS 6
#define BUCKETS (64 << SUB_BITS)

struct bench_slot {
	struct seg *seg;
	unsigned int nr_segs;
	unsigned int parts;	/* requests in the ring */
	uint64_t start_ns;
	uint32_t ref;
	uint8_t *bounce;	/* where the data is wanted, or comes from */
};

struct bencher {
	struct front *f;
	const struct bench *b;
	struct bench_slot *slot;
	uint64_t blocks, step, next;
	uint64_t started, done, errors;
	uint64_t now;		/* at the current batch */
	bool stop;
	uint64_t histogram[BUCKETS];
};

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int shift;

	if (ns < 1u << SUB_BITS)
		return ns;
	shift = 63 - SUB_BITS - __builtin_clzll(ns);
	return ((shift + 1) << SUB_BITS) + (ns >> shift) - (1u << SUB_BITS);
}

static double bucket_us(unsigned int n)
{
	unsigned int shift = n >> SUB_BITS;
	uint64_t v = n & ((1u << SUB_BITS) - 1);

	if (shift)
		v = (v + (1u << SUB_BITS)) << (shift - 1);
	return v / 1000.0;
}

static double percentile(const struct bencher *r, double p)
{
	uint64_t want = r->done * p, seen = 0;
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		seen += r->histogram[i];
		if (seen > want)
			return bucket_us(i);
	}
	return 0;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	return b ? gcd(b, a % b) : a;
}

/* A step that has no factor in common with blocks visits all of them. */
static uint64_t pick_step(uint64_t blocks, uint64_t seed)
{
	uint64_t step = (seed * 0x9e3779b97f4a7c15u >> 8) % blocks;

	while (gcd(step, blocks) != 1)
		step = (step + 1) % blocks;
	return step;
}

static uint64_t next_sector(struct bencher *r)
{
	uint64_t block = r->next;

	r->next += r->step;
	if (r->next >= r->blocks)
		r->next -= r->blocks;
	return block * (r->b->bytes / SECTOR);
}

static void bounce(const struct bencher *r, const struct bench_slot *s)
{
	void *pages = page_at(&r->f->machine, s->ref);

	if (!r->f->persistent)
		return;
	if (r->b->write)
		memcpy(pages, s->bounce, r->b->bytes);
	else
		memcpy(s->bounce, pages, r->b->bytes);
}

/* What does not fit into one request goes into several, as in the block layer
 * of a guest. They are in one queue, which was sized to hold them. */
static void issue(struct bencher *r, struct queue *q, struct bench_slot *s)
{
	enum blk_op op = r->b->write ? BLK_WRITE : BLK_READ;
	uint64_t sector = next_sector(r);
	unsigned int i, n;

	s->start_ns = r->now;
	if (r->b->write)
		bounce(r, s);
	for (i = 0; i < s->nr_segs; i += n) {
		n = s->nr_segs - i;
		if (n > r->f->max_segs)
			n = r->f->max_segs;
		if (!queue_submit(q, op, sector, s->seg + i, n, s))
			die("the ring is too small for --qd");
		sector += n * PAGE_SECTORS;
		s->parts++;
	}
	r->started++;
}

struct bench_queue {
	struct bencher *r;
	struct queue *q;
};

static void bench_done(void *ctx, void *cookie, int status)
{
	struct bench_queue *bq = ctx;
	struct bencher *r = bq->r;
	struct bench_slot *s = cookie;

	if (status != BLK_OKAY)
		r->errors++;
	if (--s->parts)
		return;
	if (!r->b->write)
		bounce(r, s);
	r->histogram[bucket_of(r->now - s->start_ns)]++;
	r->done++;
	if (!r->stop)
		issue(r, bq->q, s);
}

static bool sweep(struct bencher *r)
{
	unsigned int i;
	bool any = false;

	for (i = 0; i < r->f->nr_queues; i++) {
		struct bench_queue bq = { .r = r, .q = &r->f->queue[i] };

		r->now = now_ns();
		if (queue_reap(bq.q, bench_done, &bq)) {
			queue_push(bq.q);
			any = true;
		}
	}
	return any;
}

static void sleep_for_answers(struct bencher *r)
{
	unsigned int i;
	bool more = false;

	for (i = 0; i < r->f->nr_queues; i++)
		more |= queue_final_check(&r->f->queue[i]);
	if (!more && !front_wait(r->f, REQUEST_TIMEOUT_MS))
		die("no answer for %d s", REQUEST_TIMEOUT_MS / 1000);
}

static void run(struct bencher *r, uint64_t end)
{
	unsigned int i;

	r->now = now_ns();
	for (i = 0; i < r->b->qd; i++)
		issue(r, &r->f->queue[i % r->f->nr_queues], &r->slot[i]);
	for (i = 0; i < r->f->nr_queues; i++)
		queue_push(&r->f->queue[i]);
	while (r->done < r->started) {
		if (!sweep(r))
			sleep_for_answers(r);
		r->stop = end ? r->now >= end :
				r->started + r->b->qd > r->b->count;
	}
}

static void slots_init(struct bencher *r)
{
	unsigned int i, j, pages = r->b->bytes / SIMXEN_PAGE;

	r->slot = calloc(r->b->qd, sizeof(*r->slot));
	if (!r->slot)
		die("out of memory");
	for (i = 0; i < r->b->qd; i++) {
		struct bench_slot *s = &r->slot[i];

		s->ref = pages_alloc(&r->f->machine, pages, GRANT_WRITABLE);
		s->nr_segs = pages;
		s->seg = calloc(pages, sizeof(*s->seg));
		s->bounce = malloc(r->b->bytes);
		if (!s->seg || !s->bounce)
			die("out of memory");
		memset(s->bounce, 'a' + i % 26, r->b->bytes);
		memset(page_at(&r->f->machine, s->ref), 'a' + i % 26,
		       r->b->bytes);
		for (j = 0; j < pages; j++)
			s->seg[j] = (struct seg){ .gref = s->ref + j,
						  .last = PAGE_SECTORS - 1 };
	}
}

static void slots_deinit(struct bencher *r)
{
	unsigned int i;

	for (i = 0; i < r->b->qd; i++) {
		front_free_pages(r->f, r->slot[i].ref,
				 r->b->bytes / SIMXEN_PAGE);
		free(r->slot[i].seg);
		free(r->slot[i].bounce);
	}
	free(r->slot);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(const struct bencher *r, double seconds, double cpu)
{
	uint64_t notified = 0;
	unsigned int i;

	for (i = 0; i < r->f->nr_queues; i++)
		notified += r->f->queue[i].notified;
	printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.3f, "
	       "\"iops\": %.0f, \"mib_per_second\": %.1f, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"notified\": %llu, "
	       "\"front_cpu_us\": %.3f}\n",
	       (unsigned long long)r->done, (unsigned long long)r->errors,
	       seconds, r->done / seconds,
	       r->done / seconds * r->b->bytes / (1 << 20),
	       percentile(r, 0.5), percentile(r, 0.99),
	       (unsigned long long)notified, cpu * 1e6 / r->done);
}

void bench_run(struct front *f, const struct bench *b)
{
	struct bencher *r = calloc(1, sizeof(*r));
	uint64_t limit = f->sectors * SECTOR, begin;
	double cpu;

	if (!r)
		die("out of memory");
	r->f = f;
	r->b = b;
	if (b->limit && b->limit < limit)
		limit = b->limit;
	r->blocks = limit / b->bytes;
	if (!r->blocks)
		die("the disk is smaller than one request");
	r->step = b->random ? pick_step(r->blocks, b->seed) : 1 % r->blocks;
	slots_init(r);
	cpu = cpu_seconds();
	begin = now_ns();
	run(r, b->seconds ? begin + b->seconds * 1e9 : 0);
	report(r, (now_ns() - begin) / 1e9, cpu_seconds() - cpu);
	slots_deinit(r);
	if (r->errors)
		die("%llu requests failed", (unsigned long long)r->errors);
	free(r);
}
