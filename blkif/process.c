/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* process.c: requests off the rings: taken, judged, given their data. */
#include "blkif/vbd.h"

#include <errno.h>
#include <string.h>

#include "common/bits.h"
#include "common/log.h"

/* ---- taking -------------------------------------------------------------- */

static void refuse_request(struct slot *s, int ret)
{
	s->ret = ret;
	s->error = request_error(ret);
}

static uint64_t slot_touched(const struct slot *s)
{
	return s->queue->touched[s->index] * (uint64_t)GRANT_PAGE;
}

/* Whether there is memory for its data, assuming that it has to bounce, and for
 * what the slot has touched before. One request may always go ahead. */
static bool reserve_bounce(struct blkif *vbd, struct slot *s)
{
	s->reserved = s->ret ? 0 : s->req.nr_segments * (uint64_t)GRANT_PAGE;
	s->reserved = max(s->reserved, slot_touched(s));
	if (vbd->reserved && vbd->reserved + s->reserved > vbd->bounce_max) {
		vbd->starved = true;
		return false;
	}
	vbd->reserved += s->reserved;
	return true;
}

/* It need not bounce: others may. */
static void unreserve_bounce(struct blkif *vbd, struct slot *s)
{
	vbd->reserved -= s->reserved;
	s->reserved = slot_touched(s);
	vbd->reserved += s->reserved;
	vbd->starved = false;
}

/* The request in this slot's record; false: it has to wait. */
static bool admit(struct blkif *vbd, struct queue *q, unsigned int index)
{
	struct slot *s = queue_slot(q, index);
	struct record *rec = slot_record(s);
	int ret = request_judge(&rec->raw, &vbd->limits, &s->req);

	s->error = BLKIF_ERR_GRANT;	/* that is all that can still happen */
	if (ret)
		refuse_request(s, ret);
	if (!reserve_bounce(vbd, s))
		return false;
	s->seq = rec->seq = vbd->seq++;
	record_set(rec, RECORD_TAKEN);
	if (!ret && s->req.kind == REQUEST_BARRIER) {
		s->step = STEP_DONE;	/* not begun */
		s->older = vbd->unfinished;
		q->barrier = s;
		vbd->nr_barriers++;
	}
	vbd->unfinished++;
	vbd->in_flight++;
	vbd->fresh[vbd->nr_fresh++] = s;
	return true;
}

static void take_queue(struct blkif *vbd, struct queue *q)
{
	struct ring *r = &q->ring;
	uint32_t n = ring_waiting(r);

	if (n > ring_limit(r)) {
		log_error("queue %u: the frontend claims %u requests in a "
			  "ring of %u: it is not served any more", q->index,
			  n, r->size);
		vbd->dead = true;
		return;
	}
	for (; n && !q->barrier && vbd->nr_fresh < BATCH &&
	       queue_has_depth(q); n--) {
		unsigned int index = q->unused[q->nr_unused - 1];

		ring_peek(r, &q->records[index].raw);
		if (!admit(vbd, q, index))
			return;
		q->nr_unused--;
		r->req_cons++;
	}
}

/* In their first order, so that barriers among them still mean something. */
static void take_replay(struct blkif *vbd)
{
	while (vbd->replay_next < vbd->nr_replay && vbd->nr_fresh < BATCH) {
		struct slot *s = vbd->replay[vbd->replay_next];

		if (s->queue->barrier || !admit(vbd, s->queue, s->index))
			return;
		vbd->replay_next++;
	}
}

static void take(struct blkif *vbd)
{
	unsigned int n = vbd->nr_queues;

	vbd->nr_fresh = 0;
	if (unlikely(vbd_replaying(vbd))) {
		take_replay(vbd);
		return;
	}
	for (unsigned int i = 0; i < n && vbd->nr_fresh < BATCH; i++)
		take_queue(vbd, &vbd->queue[(vbd->first + i) % n]);
	vbd->first = (vbd->first + 1) % n;
}

/* ---- segments and data --------------------------------------------------- */

/* Segments have the same layout on the ring, in an indirect page and here. */
static void fetch_segments(struct blkif *vbd, struct slot *s)
{
	size_t size = s->req.nr_segments * sizeof(*s->segments);
	struct grants *g = vbd->grants;
	int place;

	if (!s->req.indirect) {
		memcpy(s->segments, slot_record(s)->raw.seg, size);
		return;
	}
	place = g ? grants_get(g, s->req.indirect_gref) : -1;
	if (place < 0) {
		copy_from_guest(&vbd->in, s->req.indirect_gref, 0,
				(unsigned int)size, s->segments, &s->ret);
		return;
	}
	memcpy(s->segments, grants_page(g, (unsigned int)place), size);
	/* Not to be read from the guest's page again (XSA-155). */
	__asm__ volatile("" ::: "memory");
	grants_put(g, (unsigned int)place);
}

static void judge_segments(struct blkif *vbd, struct slot *s)
{
	int ret = request_judge_segments(&s->req, s->segments, &vbd->limits);

	if (ret)
		refuse_request(s, ret);
}

static void add_iov(struct blkif_io *io, void *base, size_t len)
{
	struct iovec *last = io->niov ? &io->iov[io->niov - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == base)
		last->iov_len += len;
	else
		io->iov[io->niov++] = (struct iovec){ base, len };
}

/* All pages or none. */
static bool map_data(struct blkif *vbd, struct slot *s)
{
	struct grants *g = vbd->grants;
	unsigned int i;

	if (!g)
		return false;
	for (i = 0; i < s->req.nr_segments; i++) {
		struct segment *seg = &s->segments[i];
		int place = grants_get(g, seg->gref);

		if (place < 0)
			goto undo;
		seg->grant = (uint16_t)place;
		add_iov(&s->io, (char *)grants_page(g, seg->grant) +
				segment_offset(seg), segment_length(seg));
	}
	s->mapped = true;
	return true;
undo:
	while (i--)
		grants_put(g, s->segments[i].grant);
	return false;
}

/* What slots hold that nobody uses. */
static void drop_idle_bounce(struct blkif *vbd)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		for (unsigned int j = 0; j < q->nr_unused; j++)
			vbd->touched -= queue_drop_bounce(q, q->unused[j]);
	}
}

static void bounce_data(struct blkif *vbd, struct slot *s)
{
	uint16_t *touched = &s->queue->touched[s->index];
	uint64_t pages = div_round_up(s->req.length, GRANT_PAGE);
	char *to = s->bounce;

	s->io.niov = 1;
	s->io.iov[0] = (struct iovec){ s->bounce, s->req.length };
	if (pages > *touched) {
		vbd->touched += pages - *touched;
		*touched = (uint16_t)pages;
		if (unlikely(vbd->touched * GRANT_PAGE > vbd->bounce_max))
			drop_idle_bounce(vbd);
	}
	if (s->req.kind == REQUEST_READ)
		return;
	for (unsigned int i = 0; i < s->req.nr_segments; i++) {
		const struct segment *seg = &s->segments[i];

		copy_from_guest(&vbd->in, seg->gref, segment_offset(seg),
				segment_length(seg), to, &s->ret);
		to += segment_length(seg);
	}
}

static void fetch_data(struct blkif *vbd, struct slot *s)
{
	s->io.iov = s->iov;
	s->io.niov = 0;
	if (!s->req.nr_segments)
		return;
	if (map_data(vbd, s))
		unreserve_bounce(vbd, s);
	else
		bounce_data(vbd, s);
}

static void for_each_good(struct blkif *vbd,
			  void (*step)(struct blkif *, struct slot *))
{
	for (unsigned int i = 0; i < vbd->nr_fresh; i++) {
		if (!vbd->fresh[i]->ret)
			step(vbd, vbd->fresh[i]);
	}
}

int blkif_process(struct blkif *vbd)
{
	if (vbd->dead)
		return -EPROTO;
	vbd_submit_ready(vbd);
	if (vbd->quiesced)
		return 0;
	take(vbd);
	if (vbd->nr_fresh) {
		vbd->stats.batches++;
		for_each_good(vbd, fetch_segments);
		copy_submit(&vbd->in);
		for_each_good(vbd, judge_segments);
		for_each_good(vbd, fetch_data);
		copy_submit(&vbd->in);
		for (unsigned int i = 0; i < vbd->nr_fresh; i++)
			vbd_begin(vbd, vbd->fresh[i]);
	}
	return vbd->dead ? -EPROTO : (int)vbd->nr_fresh;
}
