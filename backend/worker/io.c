/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * worker-io.c: see worker-io.h.
 *
 *	rings -> blkif_process() -> submit_request() -> coroutine -> image
 *	                                            |
 *	rings <- blkif_push() <- blkif_complete() <-'
 *
 * To sleep and be woken costs more than a small request. So a turn that found
 * nothing is followed by others for up to poll_ns before the rings are armed
 * and the thread sleeps. How long pays is learnt from what happened: work that
 * came soon after we fell asleep makes the window longer, a long sleep makes
 * it shorter, down to none; an idle disk sleeps without any timer.
 *
 * A guest may fire events without end and without a request (XSA-332). Its
 * ports stay masked until the rings are armed: after some such events in a row
 * each is followed by a short rest.
 */
#include "backend/worker/io.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/bits.h"
#include "common/clock.h"
#include "common/log.h"
#include "image/image.h"
#include "io/memory.h"

#define POLL_START_NS 20000
#define POLL_LEAST_NS 4000	/* what a window grows from, and ends below */
#define POLL_MOST_NS 60000
#define LOOK_TURNS 16		/* turns between looks at descriptors */
#define TRIM_NS (5 * NS_PER_S)
#define EMPTY_EVENTS_MOST 32	/* in a row */
#define REST_MS 1

/* ---- requests ---- */

static int run_op(struct image *image, struct blkif_io *rq)
{
	if (!image)
		return rq->op == BLKIF_FLUSH ? 0 : -ENOMEDIUM;
	switch (rq->op) {
	case BLKIF_READ:
		return image_preadv(image, rq->offset, rq->length,
				    iow_of(rq->iov, rq->niov));
	case BLKIF_WRITE:
		return image_pwritev(image, rq->offset, rq->length,
				     iow_of(rq->iov, rq->niov));
	case BLKIF_FLUSH:
		return image_flush(image);
	case BLKIF_DISCARD:
		return image_pdiscard(image, rq->offset, rq->length);
	}
	return -EINVAL;
}

static void log_failure(const struct blkif_io *rq, int ret)
{
	static const char *const names[] = {
		[BLKIF_READ] = "read", [BLKIF_WRITE] = "write",
		[BLKIF_FLUSH] = "flush", [BLKIF_DISCARD] = "discard",
	};

	log_error("%s of %llu bytes at %llu failed: %s", names[rq->op],
		  (unsigned long long)rq->length,
		  (unsigned long long)rq->offset, strerror(-ret));
}

/* What is kept with each request, in blkif's pool. */
struct request {
	struct io *io;
};

static void run_request(void *arg)
{
	struct blkif_io *rq = arg;
	struct io *io = ((struct request *)rq->state)->io;
	int ret = run_op(io->image, rq);

	if (unlikely(ret < 0) && !loop_cancelled(io->loop))
		log_failure(rq, ret);
	io->pending--;
	blkif_complete(rq, ret);
}

static void submit_request(void *owner, struct blkif_io *rq)
{
	struct io *io = owner;

	((struct request *)rq->state)->io = io;
	io->pending++;
	if (likely(co_start(run_request, rq) == 0))
		return;
	io->pending--;
	blkif_complete(rq, -ENOMEM);
}

static const struct blkif_ops ops = { .submit = submit_request };

/* ---- connect, disconnect ---- */

static void event_readable(struct loop_fd *watch, uint32_t events)
{
	struct io *io = container_of(watch, struct io, event_fd);
	int ret = blkif_event(io->vbd);

	io->event_seen = true;
	if (ret < 0 && !io->dead) {
		io->dead = true;
		loop_del_fd(io->loop, watch);
		io->failed(io, "the event channel device has failed");
	}
}

static void trim(struct loop_timer *timer)
{
	struct io *io = container_of(timer, struct io, trim_timer);

	io->trimmed = true;
	blkif_trim(io->vbd);
	co_trim();
	memory_trim(loop_memory(io->loop));
}

void io_init(struct io *io, struct loop *loop)
{
	io->loop = loop;
	io->event_fd.fd = -1;
	list_init(&io->trim_timer.link);
	io->trim_timer.expire = trim;
}

int io_connect(struct io *io, struct image *image, struct blkif_config *config,
	       struct error *err)
{
	int ret;

	io->image = image;
	io->pending = 0;
	io->dead = false;
	io->trimmed = false;
	io->poll_ns = POLL_START_NS;
	io->idle_since_ns = 0;
	io->event_seen = false;
	io->empty_events = 0;
	config->sectors = image ? image_size(image) / SECTOR_SIZE : 0;
	config->sector_size = SECTOR_SIZE;
	config->readonly = !image || !image_writable(image);
	config->state_size = sizeof(struct request);
	ret = blkif_connect(config, &ops, io, &io->vbd, err);
	if (ret < 0) {
		io->vbd = NULL;
		return ret;
	}
	ret = loop_add_fd(io->loop, &io->event_fd, blkif_fd(io->vbd), EPOLLIN,
			  event_readable);
	if (ret < 0) {
		blkif_disconnect(io->vbd);
		io->vbd = NULL;
		return error_set_errno(err, -ret, "event channel");
	}
	return 0;
}

void io_disconnect(struct io *io)
{
	if (!io->vbd)
		return;
	blkif_quiesce(io->vbd, true);
	blkif_push(io->vbd);
	while (io->pending || (!io->dead && blkif_in_flight(io->vbd))) {
		io->drainer = co_self();
		co_yield();
	}
	loop_cancel_timer(&io->trim_timer);
	loop_del_fd(io->loop, &io->event_fd);
	blkif_disconnect(io->vbd);
	io->vbd = NULL;
}

/* The drainer goes on outside of blkif, after all of its work of a turn. */
static void wake_drainer(struct io *io)
{
	struct coroutine *co = io->drainer;

	io->drainer = NULL;
	if (co)
		co_wake(co);
}

/* ---- turns ---- */

/* How long polling should last next time, now that work has come. */
static void learn(struct io *io, uint64_t now)
{
	uint64_t idle = now - io->idle_since_ns;

	if (idle > POLL_MOST_NS)
		io->poll_ns = io->poll_ns / 2 < POLL_LEAST_NS ?
				      0 : io->poll_ns / 2;
	else if (idle > io->poll_ns)
		io->poll_ns = min(max(io->poll_ns * 2,
				      (uint64_t)POLL_LEAST_NS),
				  (uint64_t)POLL_MOST_NS);
	io->idle_since_ns = 0;
}

/* Nothing came of the last event, nor of those before it. */
static bool wants_rest(struct io *io)
{
	bool empty = io->event_seen;

	io->event_seen = false;
	if (!empty)
		return false;
	if (io->empty_events == EMPTY_EVENTS_MOST)
		return true;
	io->empty_events++;
	return false;
}

static void sleep_until_event(struct io *io)
{
	if (wants_rest(io)) {
		loop_turn(io->loop, REST_MS);
		return;
	}
	if (!io->dead && blkif_arm(io->vbd))
		return;
	if (!io->trimmed && !io->pending)
		loop_set_timer(io->loop, &io->trim_timer,
			       monotonic_ns() + TRIM_NS);
	loop_turn(io->loop, -1);
	loop_cancel_timer(&io->trim_timer);
}

/* Nothing was found in this turn: once more, or sleep. */
static void idle(struct io *io)
{
	uint64_t now = monotonic_ns();

	if (!io->idle_since_ns)
		io->idle_since_ns = now;
	if (now - io->idle_since_ns >= io->poll_ns)
		sleep_until_event(io);
	else
		__builtin_ia32_pause();
}

/* Requests off the rings. Negative: the device is dead. */
static int take_requests(struct io *io)
{
	int n;

	if (io->dead)
		return 0;
	n = blkif_process(io->vbd);
	if (n > 0)
		io->empty_events = 0;
	if (likely(n >= 0))
		return n;
	io->dead = true;
	io->failed(io, "the frontend has put more requests on a ring than "
		       "fit: it is not served any more");
	return 0;
}

void io_turn(struct io *io)
{
	bool worked;
	int taken;

	if (!io->vbd) {
		loop_turn(io->loop, -1);
		return;
	}
	taken = take_requests(io);
	worked = taken > 0;
	if (io->pending || ++io->turns_unseen >= LOOK_TURNS) {
		io->turns_unseen = 0;
		worked |= loop_turn(io->loop, 0);
	}
	if (!io->vbd)		/* a command has disconnected it */
		return;
	blkif_push(io->vbd);
	wake_drainer(io);
	if (!io->vbd)
		return;
	if (!worked) {
		idle(io);
		return;
	}
	io->trimmed = false;
	if (io->idle_since_ns)
		learn(io, monotonic_ns());
}
