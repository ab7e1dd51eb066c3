/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * workload.c: see workload.h.
 *
 * Every request lies in a slot with pages of its own and covers a range that
 * no other slot touches, so what the disk holds is known at each moment. The
 * segments are whole pages, or odd pieces of pages with poison around them,
 * which must still be there after a read. Without persistent grants a slot's
 * pages are granted while it is in flight and no longer, for a write without
 * the right to write to them.
 *
 * After a discard a sector holds what it held, or zeros: "loose" in the model
 * until it is written again.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/simxen/workload.h"

#define SLOT_PAGES 256
#define POISON 0xa5

struct slot {
	bool busy;
	enum blk_op op;
	uint64_t sector;
	uint64_t nr_sectors;
	uint32_t ref;		/* SLOT_PAGES pages */
	struct seg seg[SLOT_PAGES];
	unsigned int nr_segs;
	unsigned int next_seg;	/* the first that is not yet in a request */
	uint64_t next_sector;
	bool submitted;		/* all of it */
	unsigned int in_ring;
};

struct run {
	struct front *f;
	const struct workload *w;
	struct workload_totals *totals;
	uint64_t rng;
	uint8_t *data;		/* the model: all bytes of the disk */
	uint8_t *loose;		/* one byte a sector */
	struct slot *slot;
	unsigned int nr_slots;
	unsigned int busy;
	uint64_t version;	/* makes each write's bytes its own */
	bool learning;		/* what is read is right */
};

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static uint64_t random_below(struct run *r, uint64_t limit)
{
	return (next_random(&r->rng) >> 11) % limit;
}

static bool one_in(struct run *r, unsigned int n)
{
	return random_below(r, n) == 0;
}

static uint8_t *seg_data(const struct run *r, const struct seg *s)
{
	return (uint8_t *)page_at(&r->f->machine, s->gref) + s->first * SECTOR;
}

/* ---- the model --------------------------------------------------------- */

static void read_image(struct run *r, const char *path)
{
	size_t size = r->f->sectors * SECTOR;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		die("%s: %s", path, strerror(errno));
	if ((size_t)st.st_size != size)
		die("%s: has %lld bytes, the disk %zu", path,
		    (long long)st.st_size, size);
	if (pread(fd, r->data, size, 0) != (ssize_t)size)
		die("%s: short read", path);
	close(fd);
}

static void write_image(const struct run *r, const char *path)
{
	size_t size = r->f->sectors * SECTOR;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || pwrite(fd, r->data, size, 0) != (ssize_t)size)
		die("%s: %s", path, strerror(errno));
	close(fd);
}

static bool is_zero_sector(const uint8_t *p)
{
	static const uint8_t zeros[SECTOR];

	return memcmp(p, zeros, SECTOR) == 0;
}

/* What a loose sector turned out to be, it must stay. */
static void check_sector(struct run *r, uint64_t sector, const uint8_t *got)
{
	uint8_t *want = r->data + sector * SECTOR;
	bool loose = r->loose[sector];
	unsigned int i;

	r->loose[sector] = 0;
	if (memcmp(got, want, SECTOR) == 0)
		return;
	if (r->learning || (loose && is_zero_sector(got))) {
		memcpy(want, got, SECTOR);
		return;
	}
	for (i = 0; got[i] == want[i]; i++)
		;
	die("wrong data in sector %llu byte %u: %02x instead of %02x%s",
	    (unsigned long long)sector, i, got[i], want[i],
	    loose ? " (or a discarded sector's zeros)" : "");
}

/* ---- making a request -------------------------------------------------- */

static enum blk_op pick_op(struct run *r)
{
	const struct mix *m = &r->w->mix;
	unsigned int n = random_below(r, m->read + m->write + m->flush +
					 m->barrier + m->discard);
	bool ro = r->f->info & 4;	/* VDISK_READONLY */

	if (n < m->read)
		return BLK_READ;
	n -= m->read;
	if (n < m->write)
		return ro ? BLK_READ : BLK_WRITE;
	n -= m->write;
	if (n < m->flush)
		return r->f->has_flush ? BLK_FLUSH : BLK_READ;
	n -= m->flush;
	if (n < m->barrier)
		return r->f->has_barrier && !ro ? BLK_BARRIER : BLK_READ;
	return r->f->has_discard && !ro ? BLK_DISCARD : BLK_READ;
}

static bool range_is_free(const struct run *r, uint64_t sector, uint64_t n)
{
	unsigned int i;

	for (i = 0; i < r->nr_slots; i++) {
		const struct slot *s = &r->slot[i];

		if (s->busy && sector < s->sector + s->nr_sectors &&
		    s->sector < sector + n)
			return false;
	}
	return true;
}

/* Whole pages, or pieces of them; as many sectors as the slot can hold. */
static void add_segs(struct run *r, struct slot *s, uint64_t sectors,
		     bool pieces)
{
	s->nr_segs = 0;
	s->nr_sectors = 0;
	while (s->nr_sectors < sectors && s->nr_segs < SLOT_PAGES) {
		struct seg *g = &s->seg[s->nr_segs];
		uint64_t left = sectors - s->nr_sectors;

		g->gref = s->ref + s->nr_segs++;
		g->first = pieces ? random_below(r, PAGE_SECTORS) : 0;
		g->last = pieces ? g->first +
			random_below(r, PAGE_SECTORS - g->first) :
			PAGE_SECTORS - 1;
		if (seg_sectors(g) > left)
			g->last = g->first + left - 1;
		s->nr_sectors += seg_sectors(g);
	}
}

static void fill_segs(struct run *r, struct slot *s)
{
	uint64_t x = r->w->seed * 0x9e3779b97f4a7c15u + ++r->version;
	unsigned int i, j;

	for (i = 0; i < s->nr_segs; i++) {
		uint64_t *p = (uint64_t *)seg_data(r, &s->seg[i]);

		for (j = 0; j < seg_sectors(&s->seg[i]) * SECTOR / 8; j++)
			p[j] = next_random(&x);
	}
}

static void poison_segs(struct run *r, struct slot *s)
{
	memset(page_at(&r->f->machine, s->ref), POISON,
	       (size_t)s->nr_segs * SIMXEN_PAGE);
}

static void grant_slot(struct run *r, struct slot *s, enum grant_access access)
{
	unsigned int i;

	if (r->f->persistent)
		return;
	for (i = 0; i < s->nr_segs; i++)
		grant_set(&r->f->machine, s->ref + i, access);
}

/* Where and how long: often small and aligned, sometimes anything. */
static uint64_t pick_length(struct run *r)
{
	uint32_t unit = r->f->sector_size / SECTOR;
	uint64_t max = r->w->max_bytes / SECTOR / unit;

	if (one_in(r, 2))
		max = max < 8 ? max : 8;
	return (1 + random_below(r, max)) * unit;
}

static bool prepare(struct run *r, struct slot *s)
{
	uint32_t unit = r->f->sector_size / SECTOR;
	uint64_t n;

	s->op = pick_op(r);
	s->nr_segs = s->next_seg = s->in_ring = 0;
	s->nr_sectors = 0;
	s->sector = 0;
	s->submitted = false;
	if (s->op == BLK_FLUSH)
		return true;
	n = pick_length(r) * (s->op == BLK_DISCARD ? 8 : 1);
	if (n > r->f->sectors)
		n = r->f->sectors;
	s->nr_sectors = n;
	if (s->op != BLK_DISCARD)
		add_segs(r, s, n, unit == 1 && one_in(r, 3));
	s->sector = random_below(r, (r->f->sectors - s->nr_sectors) / unit + 1)
		    * unit;
	s->next_sector = s->sector;
	return range_is_free(r, s->sector, s->nr_sectors);
}

static void start(struct run *r, struct slot *s)
{
	if (s->op == BLK_READ) {
		poison_segs(r, s);
		grant_slot(r, s, GRANT_WRITABLE);
	} else if (s->op != BLK_DISCARD && s->op != BLK_FLUSH) {
		fill_segs(r, s);
		grant_slot(r, s, GRANT_READONLY);
	}
	s->busy = true;
	r->busy++;
	r->totals->requests[s->op]++;
}

/* ---- through the ring -------------------------------------------------- */

static bool submit_part(struct run *r, struct queue *q, struct slot *s)
{
	unsigned int n = s->nr_segs - s->next_seg, i;

	if (s->op == BLK_DISCARD) {
		s->submitted = true;
		return queue_discard(q, s->sector, s->nr_sectors, s);
	}
	/* a part of a barrier in more than one request is still a barrier */
	if (n > r->f->max_segs)
		n = r->f->max_segs;
	if (s->op == BLK_BARRIER && n > DIRECT_SEGMENTS)
		n = DIRECT_SEGMENTS;
	if (!queue_submit(q, s->op, s->next_sector, s->seg + s->next_seg, n, s))
		return false;
	for (i = 0; i < n; i++)
		s->next_sector += seg_sectors(&s->seg[s->next_seg + i]);
	s->next_seg += n;
	s->submitted = s->next_seg == s->nr_segs;
	return true;
}

static void pump(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nr_slots; i++) {
		struct slot *s = &r->slot[i];
		struct queue *q = &r->f->queue[i % r->f->nr_queues];

		while (s->busy && !s->submitted && q->nr_free) {
			submit_part(r, q, s);
			s->in_ring++;
			r->totals->ring_requests++;
		}
	}
	for (i = 0; i < r->f->nr_queues; i++)
		queue_push(&r->f->queue[i]);
}

static void check_poison(const uint8_t *p, unsigned int sectors)
{
	unsigned int i;

	for (i = 0; i < sectors * SECTOR; i++)
		if (p[i] != POISON)
			die("a read wrote outside its segments");
}

static void check_read(struct run *r, struct slot *s)
{
	uint64_t sector = s->sector;
	unsigned int i, j;

	for (i = 0; i < s->nr_segs; i++) {
		const struct seg *g = &s->seg[i];
		const uint8_t *page = page_at(&r->f->machine, g->gref);

		check_poison(page, g->first);
		check_poison(page + (g->last + 1) * SECTOR,
			     PAGE_SECTORS - 1 - g->last);
		for (j = g->first; j <= g->last; j++)
			check_sector(r, sector++, page + j * SECTOR);
	}
	r->totals->bytes_read += s->nr_sectors * SECTOR;
}

static void note_write(struct run *r, struct slot *s)
{
	uint64_t sector = s->sector;
	unsigned int i;

	for (i = 0; i < s->nr_segs; i++) {
		uint32_t n = seg_sectors(&s->seg[i]);

		memcpy(r->data + sector * SECTOR, seg_data(r, &s->seg[i]),
		       n * SECTOR);
		sector += n;
	}
	memset(r->loose + s->sector, 0, s->nr_sectors);
	r->totals->bytes_written += s->nr_sectors * SECTOR;
}

static void finish(struct run *r, struct slot *s)
{
	switch (s->op) {
	case BLK_READ:
		check_read(r, s);
		break;
	case BLK_WRITE:
	case BLK_BARRIER:
		note_write(r, s);
		break;
	case BLK_DISCARD:
		memset(r->loose + s->sector, 1, s->nr_sectors);
		r->totals->bytes_discarded += s->nr_sectors * SECTOR;
		break;
	case BLK_FLUSH:
	case BLK_INDIRECT:
		break;
	}
	grant_slot(r, s, GRANT_NONE);
	s->busy = false;
	r->busy--;
}

static void part_done(void *ctx, void *cookie, int status)
{
	struct slot *s = cookie;

	if (status != BLK_OKAY)
		die("operation %d at sector %llu + %llu: status %d", s->op,
		    (unsigned long long)s->sector,
		    (unsigned long long)s->nr_sectors, status);
	if (--s->in_ring == 0 && s->submitted)
		finish(ctx, s);
}

static unsigned int reap_ready(struct run *r)
{
	unsigned int i, n = 0;

	for (i = 0; i < r->f->nr_queues; i++)
		n += queue_reap(&r->f->queue[i], part_done, r);
	return n;
}

/* Takes at least one answer, or dies waiting for it. */
static void reap(struct run *r)
{
	unsigned int i;
	bool more = false;

	if (reap_ready(r))
		return;
	for (i = 0; i < r->f->nr_queues; i++)
		more |= queue_final_check(&r->f->queue[i]);
	if (!more && !front_wait(r->f, REQUEST_TIMEOUT_MS))
		die("no answer for %d s", REQUEST_TIMEOUT_MS / 1000);
}

static void drain(struct run *r)
{
	while (r->busy) {
		pump(r);
		reap(r);
	}
}

/* ---- runs -------------------------------------------------------------- */

static struct slot *idle_slot(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nr_slots; i++)
		if (!r->slot[i].busy)
			return &r->slot[i];
	return NULL;
}

/* Reads and checks the whole disk; nothing else may be in flight. */
static void read_all(struct run *r)
{
	uint64_t sector = 0;
	struct slot *s;

	while (sector < r->f->sectors) {
		while (!(s = idle_slot(r))) {
			pump(r);
			reap(r);
		}
		s->op = BLK_READ;
		s->sector = s->next_sector = sector;
		s->next_seg = s->in_ring = 0;
		s->submitted = false;
		add_segs(r, s, r->f->sectors - sector, false);
		sector += s->nr_sectors;
		start(r, s);
	}
	drain(r);
}

static void reconnect(struct run *r)
{
	drain(r);
	front_disconnect(r->f);
	front_set_state(r->f, XenbusStateInitialising);
	front_connect(r->f);
}

static void random_ops(struct run *r)
{
	uint64_t end = now_ns() + r->w->seconds * 1000000000u;
	uint64_t n = 0, every = r->w->ops / (r->w->reconnects + 1);
	unsigned int left = r->w->reconnects;
	struct slot *s;

	while (r->w->seconds ? now_ns() < end : n < r->w->ops) {
		s = idle_slot(r);
		if (s && prepare(r, s)) {
			start(r, s);
			n++;
		} else if (r->busy) {
			pump(r);
			reap(r);
		}
		if (one_in(r, 8)) {
			pump(r);
			reap_ready(r);
		}
		if (left && n % every == 0 && n) {
			reconnect(r);
			left--;
		}
	}
	drain(r);
}

static void run_init(struct run *r, struct front *f, const struct workload *w,
		     struct workload_totals *totals)
{
	unsigned int i;

	memset(r, 0, sizeof(*r));
	memset(totals, 0, sizeof(*totals));
	r->f = f;
	r->w = w;
	r->totals = totals;
	r->rng = w->seed * 0x2545f4914f6cdd1du | 1;
	r->data = calloc(f->sectors, SECTOR);
	r->loose = calloc(f->sectors, 1);
	r->nr_slots = w->qd;
	r->slot = calloc(w->qd, sizeof(*r->slot));
	if (!r->data || !r->loose || !r->slot)
		die("out of memory");
	for (i = 0; i < w->qd; i++)
		r->slot[i].ref = pages_alloc(&f->machine, SLOT_PAGES,
					     f->persistent ? GRANT_WRITABLE :
							     GRANT_NONE);
}

static void run_deinit(struct run *r)
{
	unsigned int i;

	for (i = 0; i < r->nr_slots; i++)
		front_free_pages(r->f, r->slot[i].ref, SLOT_PAGES);
	free(r->slot);
	free(r->loose);
	free(r->data);
}

void workload_run(struct front *f, const struct workload *w,
		  struct workload_totals *totals)
{
	struct run r;

	run_init(&r, f, w, totals);
	if (w->expect) {
		read_image(&r, w->expect);
	} else {
		r.learning = true;
		read_all(&r);
		r.learning = false;
	}
	random_ops(&r);
	read_all(&r);
	if (w->save)
		write_image(&r, w->save);
	run_deinit(&r);
}
