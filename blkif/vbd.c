/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vbd.c: the way of requests through a device.
 *
 *	ring --take--> fresh --judge, fetch data--> begin --submit--> owner
 *	                                              ^                 |
 *	                                        ready +---next step-----+
 *	                                                                |
 *	ring <--answer, push, notify-- done <--collect read data--------+
 *
 * Everything moves in batches: all requests found in one look at the rings
 * share one grant copy for their indirect descriptors and one for their data,
 * and all that are done share one for what was read. A request that turns out
 * bad walks the same way with `ret` set, and is answered like any other.
 *
 * A barrier waits until all requests that were taken before it, on any queue,
 * are through (they count down `older`), flushes, writes and flushes again;
 * its own queue is not taken from meanwhile. A flush with data is flushed and
 * then written, as Linux has it, and waits for nobody.
 *
 * The owner is called from blkif_process() and blkif_push() only; completions
 * may arrive inside of that or at any other time and only move slots between
 * lists. They may also answer a full batch, which calls nobody.
 */
#include "blkif/vbd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <xentoollog.h>

#include "blkif/copy.h"
#include "blkif/queue.h"
#include "common/bits.h"
#include "common/log.h"

/* Requests taken in one blkif_process(). */
#define BATCH 64

/* Answers that are worth a push of their own, so that the frontend sends more
 * while the rest is in the works. */
#define PUSH_EVERY 8

/* Bounce memory: no request is taken that could exceed it; and what was
 * touched above it is given back at once, not at the next trim. */
#define BOUNCE_MAX (64 * MiB)

struct blkif {
	/* identity */
	const struct blkif_ops *ops;
	void *owner;
	struct limits limits;
	unsigned int nr_queues;

	/* handles, journal; owned ones are closed at the end */
	xengnttab_handle *gnttab, *own_gnttab;
	xenevtchn_handle *evtchn, *own_evtchn;
	void *own_journal;

	/* requests by stage of life */
	struct slot **replay;	/* a predecessor's, to be taken again */
	unsigned int replay_next, nr_replay;
	struct slot *fresh[BATCH];
	unsigned int nr_fresh;
	struct list ready;	/* the next step may be submitted */
	struct slot *done[PUSH_EVERY];
	unsigned int nr_done;

	/* counts */
	uint64_t seq;
	unsigned int in_flight;	/* taken, not pushed */
	unsigned int unfinished;	/* taken, not done */
	unsigned int nr_barriers;
	uint64_t reserved;	/* bytes of bounce memory spoken for */
	uint64_t touched;	/* pages of it with memory behind */

	/* state */
	unsigned int first;	/* the queue that is looked at first */
	bool dead;		/* a ring went mad */
	bool quiesced;
	bool starved;		/* a request waits for bounce memory */

	struct blkif_stats stats;
	struct log_limit log;
	struct copy in, out;	/* guest to us, us to guest */
	struct queue queue[BLKIF_MAX_QUEUES];
};

/* ---- answering ----------------------------------------------------------- */

static int16_t wire_status(int ret)
{
	if (!ret)
		return BLKIF_RSP_OKAY;
	return ret == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
}

static void count_success(struct blkif_stats *st, const struct request *req)
{
	switch (req->kind) {
	case REQUEST_READ:
		st->reads++;
		st->bytes_read += req->length;
		return;
	case REQUEST_DISCARD:
		st->discards++;
		st->bytes_discarded += req->length;
		return;
	case REQUEST_WRITE:
		st->writes++;
		break;
	case REQUEST_FLUSH:
		st->flushes++;
		break;
	case REQUEST_BARRIER:
		st->barriers++;
		break;
	}
	st->bytes_written += req->length;
}

static void count_failure(struct blkif *vbd, const struct slot *s)
{
	static const char *const what[] = {
		[BLKIF_ERR_OP] = "operation not supported",
		[BLKIF_ERR_SEGMENTS] = "bad segments",
		[BLKIF_ERR_RANGE] = "beyond the end or not aligned",
		[BLKIF_ERR_READONLY] = "device is read-only",
		[BLKIF_ERR_GRANT] = "bad grant",
	};
	const struct blkif_request *raw = &slot_record(s)->raw;

	vbd->stats.errors[s->error]++;
	if (s->error == BLKIF_ERR_IO)	/* the owner knows, and says, why */
		return;
	log_limited(&vbd->log, LOG_LEVEL_WARN, "queue %u: request refused: %s "
		    "(operation %u, %u segments, sector %llu)",
		    s->queue->index, what[s->error], raw->operation,
		    s->req.nr_segments,
		    (unsigned long long)raw->sector_number);
}

static void unmap_data(struct slot *s)
{
	if (!s->mapped)
		return;
	for (unsigned int i = 0; i < s->req.nr_segments; i++)
		grants_put(s->queue->grants, s->segments[i].grant);
	s->mapped = false;
}

static void answer(struct blkif *vbd, struct slot *s)
{
	struct ring *r = &s->queue->ring;
	struct record *rec = slot_record(s);

	if (s->ret)
		count_failure(vbd, s);
	else
		count_success(&vbd->stats, &s->req);
	unmap_data(s);
	rec->rsp = r->rsp_prod;
	record_set(rec, RECORD_ANSWERED);
	ring_respond(r, s->req.id, s->req.operation, wire_status(s->ret));
}

static void free_slot(struct blkif *vbd, struct slot *s)
{
	struct queue *q = s->queue;

	record_set(slot_record(s), RECORD_FREE);
	vbd->reserved -= s->reserved;
	vbd->starved = false;
	vbd->in_flight--;
	if (unlikely(vbd->touched * GRANT_PAGE > BOUNCE_MAX))
		vbd->touched -= queue_drop_bounce(q, s->index);
	q->unused[q->nr_unused++] = (uint16_t)s->index;
}

/* Calls nobody: also reached out of completions. */
static void push_done(struct blkif *vbd)
{
	if (!vbd->nr_done)
		return;
	copy_run(&vbd->out);
	for (unsigned int i = 0; i < vbd->nr_done; i++)
		answer(vbd, vbd->done[i]);
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		if (ring_push(&q->ring)) {
			xenevtchn_notify(vbd->evtchn, (evtchn_port_t)q->port);
			vbd->stats.notifies++;
		}
	}
	for (unsigned int i = 0; i < vbd->nr_done; i++)
		free_slot(vbd, vbd->done[i]);
	vbd->nr_done = 0;
}

/* ---- steps --------------------------------------------------------------- */

static enum step first_step(const struct slot *s)
{
	switch (s->req.kind) {
	case REQUEST_READ:
	case REQUEST_WRITE:
	case REQUEST_DISCARD:
		return STEP_DATA;
	case REQUEST_FLUSH:
		return STEP_PREFLUSH;
	case REQUEST_BARRIER:
		return s->older ? STEP_DRAIN : STEP_PREFLUSH;
	}
	return STEP_DONE;
}

static enum step next_step(const struct slot *s)
{
	switch (s->step) {
	case STEP_DRAIN:
		return STEP_PREFLUSH;
	case STEP_PREFLUSH:
		return s->req.length ? STEP_DATA : STEP_DONE;
	case STEP_DATA:
		return s->req.kind == REQUEST_BARRIER ? STEP_POSTFLUSH
						      : STEP_DONE;
	case STEP_POSTFLUSH:
	case STEP_DONE:
		break;
	}
	return STEP_DONE;
}

static void submit(struct blkif *vbd, struct slot *s)
{
	struct blkif_io *io = &s->io;

	if (s->step == STEP_DATA) {
		io->op = s->req.kind == REQUEST_READ ? BLKIF_READ :
			 s->req.kind == REQUEST_DISCARD ? BLKIF_DISCARD :
							  BLKIF_WRITE;
		io->offset = s->req.offset;
		io->length = s->req.length;
	} else {
		io->op = BLKIF_FLUSH;
		io->offset = io->length = 0;
	}
	vbd->ops->submit(vbd->owner, io);
}

static void submit_ready(struct blkif *vbd)
{
	while (!list_empty(&vbd->ready)) {
		struct slot *s = list_first(&vbd->ready, struct slot, ready);

		list_del(&s->ready);
		submit(vbd, s);
	}
}

/* s is through: barriers that were taken after it wait for one less. */
static void release_barriers(struct blkif *vbd, struct slot *s)
{
	if (s->queue->barrier == s) {
		s->queue->barrier = NULL;
		vbd->nr_barriers--;
	}
	for (unsigned int i = 0; vbd->nr_barriers && i < vbd->nr_queues; i++) {
		struct slot *b = vbd->queue[i].barrier;

		if (!b || b->seq < s->seq || --b->older ||
		    b->step != STEP_DRAIN)
			continue;
		b->step = STEP_PREFLUSH;
		list_add_tail(&vbd->ready, &b->ready);
	}
}

static void collect_read_data(struct blkif *vbd, struct slot *s)
{
	char *from = s->bounce;

	for (unsigned int i = 0; i < s->req.nr_segments; i++) {
		const struct segment *seg = &s->segments[i];

		copy_to_guest(&vbd->out, seg->gref, segment_offset(seg),
			      segment_length(seg), from, &s->ret);
		from += segment_length(seg);
	}
}

static void finish(struct blkif *vbd, struct slot *s)
{
	s->step = STEP_DONE;
	vbd->unfinished--;
	if (unlikely(vbd->nr_barriers))
		release_barriers(vbd, s);
	if (!s->ret && s->req.kind == REQUEST_READ && !s->mapped)
		collect_read_data(vbd, s);
	vbd->done[vbd->nr_done++] = s;
	if (vbd->nr_done == PUSH_EVERY)
		push_done(vbd);
}

void blkif_complete(struct blkif_io *io, int ret)
{
	struct slot *s = container_of(io, struct slot, io);
	struct blkif *vbd = s->queue->vbd;

	if (ret < 0) {
		s->ret = ret;
		s->error = BLKIF_ERR_IO;
		finish(vbd, s);
		return;
	}
	s->step = next_step(s);
	if (s->step == STEP_DONE)
		finish(vbd, s);
	else
		list_add_tail(&vbd->ready, &s->ready);
}

/* ---- taking -------------------------------------------------------------- */

static void refuse(struct slot *s, int ret)
{
	s->ret = ret;
	s->error = request_error(ret);
}

/* Whether there is memory for its data, assuming that it has to bounce. One
 * request may always go ahead. */
static bool reserve_bounce(struct blkif *vbd, struct slot *s)
{
	s->reserved = s->ret ? 0 : s->req.nr_segments * (uint64_t)GRANT_PAGE;
	if (vbd->reserved && vbd->reserved + s->reserved > BOUNCE_MAX) {
		vbd->starved = true;
		return false;
	}
	vbd->reserved += s->reserved;
	return true;
}

/* The request in this slot's record; false: it has to wait. */
static bool admit(struct blkif *vbd, struct queue *q, unsigned int index)
{
	struct slot *s = queue_slot(q, index);
	struct record *rec = slot_record(s);
	int ret = request_judge(&rec->raw, &vbd->limits, &s->req);

	s->error = BLKIF_ERR_GRANT;	/* that is all that can still happen */
	if (ret)
		refuse(s, ret);
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
	for (; n && !q->barrier && vbd->nr_fresh < BATCH; n--) {
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

static bool replaying(const struct blkif *vbd)
{
	return vbd->replay_next < vbd->nr_replay;
}

static void take(struct blkif *vbd)
{
	unsigned int n = vbd->nr_queues;

	vbd->nr_fresh = 0;
	if (unlikely(replaying(vbd))) {
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
	struct grants *g = s->queue->grants;
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
		refuse(s, ret);
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
static bool map_data(struct slot *s)
{
	struct grants *g = s->queue->grants;
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
	if (!s->req.nr_segments || map_data(s))
		return;
	bounce_data(vbd, s);
}

static void begin(struct blkif *vbd, struct slot *s)
{
	if (s->ret) {
		finish(vbd, s);
		return;
	}
	s->step = first_step(s);
	if (s->step != STEP_DRAIN)
		submit(vbd, s);
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
	submit_ready(vbd);
	if (vbd->quiesced)
		return 0;
	take(vbd);
	if (vbd->nr_fresh) {
		vbd->stats.batches++;
		for_each_good(vbd, fetch_segments);
		copy_run(&vbd->in);
		for_each_good(vbd, judge_segments);
		for_each_good(vbd, fetch_data);
		copy_run(&vbd->in);
		for (unsigned int i = 0; i < vbd->nr_fresh; i++)
			begin(vbd, vbd->fresh[i]);
	}
	return vbd->dead ? -EPROTO : (int)vbd->nr_fresh;
}

void blkif_push(struct blkif *vbd)
{
	do {
		submit_ready(vbd);
		push_done(vbd);
	} while (!list_empty(&vbd->ready));
}

/* ---- events -------------------------------------------------------------- */

int blkif_fd(const struct blkif *vbd)
{
	return xenevtchn_fd(vbd->evtchn);
}

static struct queue *queue_of_port(struct blkif *vbd, int port)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		if (vbd->queue[i].port == port)
			return &vbd->queue[i];
	}
	return NULL;
}

/* A masked port does not fire, so one read a queue empties the device; with a
 * single queue the read that would only say so is spared. */
int blkif_event(struct blkif *vbd)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		int port = xenevtchn_pending(vbd->evtchn);
		struct queue *q;

		if (port < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		q = queue_of_port(vbd, port);
		if (q)
			q->masked = true;
		vbd->stats.events++;
	}
	return 0;
}

/* May its requests be taken? If not, what it waits for will wake the owner. */
static bool open_for_taking(const struct blkif *vbd, const struct queue *q)
{
	return !vbd->dead && !vbd->quiesced && !vbd->starved && !q->barrier &&
	       !replaying(vbd);
}

bool blkif_arm(struct blkif *vbd)
{
	bool more = vbd->nr_done || !list_empty(&vbd->ready) ||
		    (replaying(vbd) && !vbd->in_flight);

	for (unsigned int i = 0; !more && i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		more = open_for_taking(vbd, q) && ring_arm(&q->ring);
	}
	if (more)
		return true;
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		if (q->masked)
			xenevtchn_unmask(vbd->evtchn, (evtchn_port_t)q->port);
		q->masked = false;
	}
	return false;
}

/* ---- state --------------------------------------------------------------- */

unsigned int blkif_in_flight(const struct blkif *vbd)
{
	return vbd->in_flight;
}

bool blkif_idle(const struct blkif *vbd)
{
	if (vbd->in_flight || replaying(vbd))
		return false;
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		if (open_for_taking(vbd, &vbd->queue[i]) &&
		    ring_waiting(&vbd->queue[i].ring))
			return false;
	}
	return true;
}

void blkif_quiesce(struct blkif *vbd, bool on)
{
	vbd->quiesced = on;
}

void blkif_set_sectors(struct blkif *vbd, uint64_t sectors)
{
	vbd->limits.size = min(sectors, (uint64_t)INT64_MAX / SECTOR_SIZE) *
			   SECTOR_SIZE;
}

void blkif_trim(struct blkif *vbd)
{
	bool unused = !vbd->in_flight && !replaying(vbd);

	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		if (q->grants)
			grants_trim(q->grants);
		if (unused)
			queue_drop_all(q);
	}
	if (unused)
		vbd->touched = 0;
}

const struct blkif_stats *blkif_stats(const struct blkif *vbd)
{
	return &vbd->stats;
}

/* ---- connecting ---------------------------------------------------------- */

static int judge_config(const struct blkif_config *c, struct error *err)
{
	if (c->domid >= DOMID_FIRST_RESERVED)
		return error_set(err, EINVAL, "no domain id: %u", c->domid);
	if (!c->nr_queues || c->nr_queues > BLKIF_MAX_QUEUES)
		return error_set(err, EINVAL, "%u queues: 1 to %d are possible",
				 c->nr_queues, BLKIF_MAX_QUEUES);
	if (c->max_indirect > BLKIF_MAX_INDIRECT)
		return error_set(err, EINVAL, "%u indirect segments: at most "
				 "%d are possible", c->max_indirect,
				 BLKIF_MAX_INDIRECT);
	if (!is_pow2(c->sector_size) || c->sector_size < SECTOR_SIZE ||
	    c->sector_size > GRANT_PAGE)
		return error_set(err, EINVAL, "no sector size: %u",
				 c->sector_size);
	for (unsigned int i = 0; i < c->nr_queues; i++) {
		if (c->queue[i].ring_order > BLKIF_MAX_RING_ORDER)
			return error_set(err, EINVAL, "ring order %u: at most "
					 "%d is possible",
					 c->queue[i].ring_order,
					 BLKIF_MAX_RING_ORDER);
	}
	return 0;
}

static void log_nothing(struct xentoollog_logger *logger, xentoollog_level level,
			int errnoval, const char *context, const char *format,
			va_list al)
{
}

static void progress_nothing(struct xentoollog_logger *logger,
			     const char *context, const char *what, int percent,
			     unsigned long done, unsigned long total)
{
}

struct xentoollog_logger *blkif_quiet_logger(void)
{
	static struct xentoollog_logger quiet = {
		.vmessage = log_nothing, .progress = progress_nothing,
	};

	return &quiet;
}

static int open_handles(struct blkif *vbd, const struct blkif_config *config,
			struct error *err)
{
	int fd, flags;

	vbd->gnttab = config->gnttab;
	if (!vbd->gnttab)
		vbd->gnttab = vbd->own_gnttab = 
			xengnttab_open(blkif_quiet_logger(), 0);
	if (!vbd->gnttab)
		return error_set_errno(err, errno, "grant device");
	vbd->evtchn = config->evtchn;
	if (!vbd->evtchn)
		vbd->evtchn = vbd->own_evtchn = 
			xenevtchn_open(blkif_quiet_logger(), 0);
	if (!vbd->evtchn)
		return error_set_errno(err, errno, "event channel device");
	fd = xenevtchn_fd(vbd->evtchn);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set_errno(err, errno, "event channel device");
	return 0;
}

static int open_journal(struct blkif *vbd, const struct blkif_config *config,
			struct error *err)
{
	void *journal = config->journal;
	int ret;

	if (!journal)
		journal = vbd->own_journal =
			calloc(1, blkif_journal_size(config));
	if (!journal)
		return error_set_errno(err, ENOMEM, "journal");
	ret = journal_open(journal, config, err);
	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		vbd->queue[i].records = journal_records(journal, config, i);
	return ret;
}

static int by_seq(const void *a, const void *b)
{
	uint64_t x = slot_record(*(struct slot *const *)a)->seq;
	uint64_t y = slot_record(*(struct slot *const *)b)->seq;

	return x < y ? -1 : x > y;
}

/* Slots whose records were pending are those that attaching left out. */
static int find_replay(struct blkif *vbd, struct error *err)
{
	size_t n = 0;

	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		n += vbd->queue[i].ring.size - vbd->queue[i].nr_unused;
	if (!n)
		return 0;
	vbd->replay = calloc(n, sizeof(*vbd->replay));
	if (!vbd->replay)
		return error_set_errno(err, ENOMEM, "requests to replay");
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		for (unsigned int j = 0; j < q->ring.size; j++) {
			if (q->records[j].state != RECORD_FREE)
				vbd->replay[vbd->nr_replay++] =
					queue_slot(q, j);
		}
	}
	qsort(vbd->replay, n, sizeof(*vbd->replay), by_seq);
	vbd->seq = slot_record(vbd->replay[n - 1])->seq + 1;
	log_info("%zu requests of a predecessor are taken again", n);
	return 0;
}

static int connect_queues(struct blkif *vbd, const struct blkif_config *config,
			  struct error *err)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		int ret = queue_connect(&vbd->queue[i], config, vbd->gnttab,
					vbd->evtchn, &vbd->stats, err);

		if (ret)
			return ret;
	}
	return find_replay(vbd, err);
}

/* The predecessor may have died between a push and its event. */
static void notify_all(struct blkif *vbd)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		xenevtchn_notify(vbd->evtchn,
				 (evtchn_port_t)vbd->queue[i].port);
}

static struct blkif *new_vbd(const struct blkif_config *config,
			     const struct blkif_ops *ops, void *owner)
{
	struct blkif *vbd = calloc(1, sizeof(*vbd));

	if (!vbd)
		return NULL;
	vbd->ops = ops;
	vbd->owner = owner;
	vbd->nr_queues = config->nr_queues;
	vbd->limits = (struct limits){
		.sector_size = config->sector_size,
		.max_indirect = config->max_indirect,
		.readonly = config->readonly,
		.discard = config->discard,
	};
	blkif_set_sectors(vbd, config->sectors);
	list_init(&vbd->ready);
	for (unsigned int i = 0; i < BLKIF_MAX_QUEUES; i++) {
		vbd->queue[i].vbd = vbd;
		vbd->queue[i].index = i;
		vbd->queue[i].port = -1;
	}
	return vbd;
}

int blkif_connect(const struct blkif_config *config,
		  const struct blkif_ops *ops, void *owner, struct blkif **out,
		  struct error *err)
{
	struct blkif *vbd;
	int ret = judge_config(config, err);

	*out = NULL;
	if (ret)
		return ret;
	vbd = new_vbd(config, ops, owner);
	if (!vbd)
		return error_set_errno(err, ENOMEM, "vbd");
	ret = open_handles(vbd, config, err);
	if (!ret)
		ret = open_journal(vbd, config, err);
	if (!ret) {
		vbd->in.gnttab = vbd->out.gnttab = vbd->gnttab;
		vbd->in.stats = vbd->out.stats = &vbd->stats;
		vbd->in.domid = vbd->out.domid = (uint16_t)config->domid;
		ret = connect_queues(vbd, config, err);
	}
	if (ret) {
		blkif_disconnect(vbd);
		return ret;
	}
	if (config->resume)
		notify_all(vbd);
	*out = vbd;
	return 0;
}

void blkif_disconnect(struct blkif *vbd)
{
	if (!vbd)
		return;
	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		queue_disconnect(&vbd->queue[i], vbd->gnttab, vbd->evtchn);
	if (vbd->own_gnttab)
		xengnttab_close(vbd->own_gnttab);
	if (vbd->own_evtchn)
		xenevtchn_close(vbd->own_evtchn);
	free(vbd->own_journal);
	free(vbd->replay);
	free(vbd);
}
