/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio-uring.c: the io_uring(7) engine.
 *
 * Coroutines fill submission entries; the loop's hook hands them over before the
 * loop waits and collects completions after it. The ring's own file descriptor
 * ends the wait. Files and buffers are not registered: they change too often for
 * what it saves. IORING_SETUP_DEFER_TASKRUN is not used: with it a ring does not
 * wake those who wait for it in epoll(7) (seen with Linux 6.18), and an eventfd
 * instead costs more than it brings.
 */
#include "config.h"
#include "io/aio-engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/bits.h"
#include "io/loop.h"

#ifdef HAVE_LIBURING

#include <liburing.h>
#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/memcheck.h>
#endif

#define SQ_ENTRIES 256

struct uring {
	struct aio aio;
	struct io_uring ring;
	unsigned int in_flight;		/* queued ones included */
	unsigned int max_in_flight;	/* what the completion queue holds */
	struct co_queue full;		/* waiting for in_flight to sink */
	struct loop_fd watch;
	struct loop_hook hook;
	struct loop_call again;		/* keeps the loop from waiting */
};

static void uring_again(struct loop_call *call)
{
}

/* Wakes those whose requests are done. A wait for the ring in epoll ends with
 * EINTR as often as with an event: so it is looked at after each. */
static bool reap(struct loop_hook *hook)
{
	struct uring *u = container_of(hook, struct uring, hook);
	unsigned int n = io_uring_cq_ready(&u->ring);
	struct io_uring_cqe *cqe;
	struct aio_request *req;

	if (!n)
		return false;
	u->aio.reaping = true;
	while (n-- && !io_uring_peek_cqe(&u->ring, &cqe)) {
		req = io_uring_cqe_get_data(cqe);
		req->result = cqe->res;
		io_uring_cqe_seen(&u->ring, cqe);
		u->in_flight--;
		co_wake(req->co);
	}
	while (u->in_flight < u->max_in_flight && co_queue_wake_one(&u->full))
		;
	u->aio.reaping = false;
	return true;
}

/* Before the loop waits, which it does not do when requests are done at once.
 * What the kernel has no room for now stays in the queue. */
static void uring_submit(struct loop_hook *hook)
{
	struct uring *u = container_of(hook, struct uring, hook);

	if (io_uring_sq_ready(&u->ring))
		io_uring_submit(&u->ring);
	if (io_uring_sq_ready(&u->ring) || io_uring_cq_ready(&u->ring))
		loop_defer(u->aio.loop, &u->again);
}

/* The hook reaps. */
static void uring_readable(struct loop_fd *watch, uint32_t events)
{
}

static void uring_prepare(struct io_uring_sqe *sqe,
			  const struct aio_request *req)
{
	const struct iovec *iov = req->iov;

	switch (req->op) {
	case AIO_READ:
		if (req->niov == 1)
			io_uring_prep_read(sqe, req->fd, iov->iov_base,
					   (unsigned int)iov->iov_len,
					   req->off);
		else
			io_uring_prep_readv(sqe, req->fd, iov,
					    (unsigned int)req->niov, req->off);
		break;
	case AIO_WRITE:
		if (req->niov == 1)
			io_uring_prep_write(sqe, req->fd, iov->iov_base,
					    (unsigned int)iov->iov_len,
					    req->off);
		else
			io_uring_prep_writev(sqe, req->fd, iov,
					     (unsigned int)req->niov, req->off);
		break;
	case AIO_FDATASYNC:
		io_uring_prep_fsync(sqe, req->fd, IORING_FSYNC_DATASYNC);
		break;
	case AIO_FALLOCATE:
		io_uring_prep_fallocate(sqe, req->fd, req->mode,
					(off_t)req->off, (off_t)req->len);
		break;
	}
}

/* valgrind does not see what the kernel writes by way of a ring. */
static void tell_valgrind(const struct aio_request *req)
{
#ifdef HAVE_VALGRIND_VALGRIND_H
	int64_t left = req->op == AIO_READ ? req->result : 0;

	for (int i = 0; i < req->niov && left > 0; i++) {
		size_t n = min((size_t)left, req->iov[i].iov_len);

		VALGRIND_MAKE_MEM_DEFINED(req->iov[i].iov_base, n);
		left -= (int64_t)n;
	}
#else
	(void)req;
#endif
}

static int64_t uring_run(struct aio *aio, struct aio_request *req)
{
	struct uring *u = container_of(aio, struct uring, aio);
	struct io_uring_sqe *sqe;

	while (u->in_flight >= u->max_in_flight)
		co_queue_wait(&u->full);
	u->in_flight++;
	while (!(sqe = io_uring_get_sqe(&u->ring))) {
		if (io_uring_submit(&u->ring) < 0)
			co_sleep(aio->loop, 0);
	}
	uring_prepare(sqe, req);
	io_uring_sqe_set_data(sqe, req);
	co_yield();
	tell_valgrind(req);
	return req->result;
}

/* COOP_TASKRUN came with Linux 5.19, SINGLE_ISSUER with 6.0; all else that is
 * used here is in 5.7, as is FAST_POLL. */
static int ring_init(struct uring *u)
{
	static const unsigned int flags[] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && ret == -EINVAL; i++) {
		memset(&u->ring, 0, sizeof(u->ring));
		ret = io_uring_queue_init(SQ_ENTRIES, &u->ring, flags[i]);
	}
	if (!ret && !(u->ring.features & IORING_FEAT_FAST_POLL)) {
		io_uring_queue_exit(&u->ring);
		ret = -ENOSYS;
	}
	return ret;
}

static int uring_open(struct loop *loop, struct aio **out, struct error *err)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	ret = ring_init(u);
	if (ret) {
		error_set_errno(err, ENOTSUP, "io_uring cannot be used here: %s",
				strerror(-ret));
		free(u);
		return -ENOTSUP;
	}
	io_uring_register_ring_fd(&u->ring);	/* a little faster, or not */
	u->max_in_flight = u->ring.cq.ring_entries;
	co_queue_init(&u->full);
	list_init(&u->again.link);
	u->again.run = uring_again;
	u->hook.before_wait = uring_submit;
	u->hook.after_wait = reap;
	ret = loop_add_fd(loop, &u->watch, u->ring.ring_fd, EPOLLIN,
			  uring_readable);
	if (ret) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return ret;
	}
	loop_add_hook(loop, &u->hook);
	*out = &u->aio;
	return 0;
}

static void uring_close(struct aio *aio)
{
	struct uring *u = container_of(aio, struct uring, aio);

	loop_del_fd(aio->loop, &u->watch);
	loop_del_hook(&u->hook);
	list_del(&u->again.link);
	io_uring_queue_exit(&u->ring);
	free(u);
}

#else

static int uring_open(struct loop *loop, struct aio **out, struct error *err)
{
	return error_set(err, ENOTSUP, "this program is built without io_uring");
}

static void uring_close(struct aio *aio)
{
}

static int64_t uring_run(struct aio *aio, struct aio_request *req)
{
	return -ENOTSUP;
}

#endif

const struct aio_engine aio_engine_uring = {
	.name = "io_uring",
	.kind = AIO_IO_URING,
	.open = uring_open,
	.close = uring_close,
	.run = uring_run,
};
