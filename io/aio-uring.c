/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio-uring.c: the io_uring(7) engine.
 *
 * Coroutines fill submission entries; the loop's hook hands them over before the
 * loop waits and collects completions after it. The ring's own file descriptor
 * ends the wait. Buffers are not registered: they change too often for what it
 * saves. Neither are files, but where the ring is confined: then the kernel takes
 * only operations on a list, and only on files of a table, whatever is written
 * into the ring. IORING_SETUP_DEFER_TASKRUN is not used: with it a ring does not
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
#include <sys/syscall.h>
#include <unistd.h>
#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/memcheck.h>
#endif

#define SQ_ENTRIES 256
#define MOST_FILES 1024		/* of a confined ring */

struct uring {
	struct aio aio;
	struct io_uring ring;
	unsigned int in_flight;		/* queued ones included */
	unsigned int max_in_flight;	/* what the completion queue holds */
	bool confined;			/* files are named by their slots */
	uint8_t slots[MOST_FILES / 8];	/* a bit for each one taken */
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

	if (unlikely(u->confined && req->slot < 0))
		return loop_offload(aio->loop, aio_blocking_call, req);
	while (u->in_flight >= u->max_in_flight)
		co_queue_wait(&u->full);
	u->in_flight++;
	while (!(sqe = io_uring_get_sqe(&u->ring))) {
		if (io_uring_submit(&u->ring) < 0)
			co_sleep(aio->loop, 0);
	}
	uring_prepare(sqe, req);
	if (u->confined) {
		sqe->fd = req->slot;
		sqe->flags |= IOSQE_FIXED_FILE;
	}
	io_uring_sqe_set_data(sqe, req);
	co_yield();
	tell_valgrind(req);
	return req->result;
}

/* ---- files of a confined ring ---- */

static int uring_add_file(struct aio *aio, int fd)
{
	struct uring *u = container_of(aio, struct uring, aio);
	int slot = 0;

	if (!u->confined)
		return -1;
	while (slot < MOST_FILES && (u->slots[slot / 8] & 1 << slot % 8))
		slot++;
	if (slot == MOST_FILES ||
	    io_uring_register_files_update(&u->ring, (unsigned int)slot, &fd,
					   1) != 1)
		return -ENFILE;
	u->slots[slot / 8] |= (uint8_t)(1 << slot % 8);
	return slot;
}

static void uring_del_file(struct aio *aio, int slot)
{
	struct uring *u = container_of(aio, struct uring, aio);
	int none = -1;

	io_uring_register_files_update(&u->ring, (unsigned int)slot, &none, 1);
	u->slots[slot / 8] &= (uint8_t)~(1 << slot % 8);
}

/* What liburing declares and, before its version 2.4, does not export. */
static int register_ring(struct io_uring *ring, unsigned int opcode, void *arg,
			 unsigned int nr)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, opcode, arg, nr) ?
		       -errno : 0;
}

/* Linux 5.10. What uring_prepare() makes, on files of the table; the table alone
 * can be changed afterwards. Whatever else of this kind was allowed once would be
 * so for good. */
static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t operations[] = {
		IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE,
		IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
	};
	struct io_uring_restriction r[ARRAY_SIZE(operations) + 3] = { 0 };
	unsigned int n = 0;

	for (; n < ARRAY_SIZE(operations); n++) {
		r[n].opcode = IORING_RESTRICTION_SQE_OP;
		r[n].sqe_op = operations[n];
	}
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	r[n++].sqe_flags = IOSQE_FIXED_FILE;
	r[n].opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED;
	r[n++].sqe_flags = IOSQE_FIXED_FILE;
	r[n].opcode = IORING_RESTRICTION_REGISTER_OP;
	r[n++].register_op = IORING_REGISTER_FILES_UPDATE;
	return register_ring(ring, IORING_REGISTER_RESTRICTIONS, r, n);
}

static int confine_ring(struct uring *u)
{
	int ret = io_uring_register_files_sparse(&u->ring, MOST_FILES);

	if (!ret)
		ret = restrict_ring(&u->ring);
	io_uring_register_ring_fd(&u->ring);
	if (!ret)
		ret = register_ring(&u->ring, IORING_REGISTER_ENABLE_RINGS,
				    NULL, 0);
	return ret < 0 ? ret : 0;
}

/* ---- open and close ---- */

/* COOP_TASKRUN came with Linux 5.19, SINGLE_ISSUER with 6.0; all else that is
 * used here is in 5.7, as is FAST_POLL. */
static int ring_init(struct uring *u)
{
	static const unsigned int flags[] = {
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	unsigned int disabled = u->confined ? IORING_SETUP_R_DISABLED : 0;
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && ret == -EINVAL; i++) {
		memset(&u->ring, 0, sizeof(u->ring));
		ret = io_uring_queue_init(SQ_ENTRIES, &u->ring,
					  flags[i] | disabled);
	}
	if (ret)
		return ret;
	if (!(u->ring.features & IORING_FEAT_FAST_POLL))
		ret = -ENOSYS;
	else if (u->confined)
		ret = confine_ring(u);
	else
		io_uring_register_ring_fd(&u->ring); /* a little faster, or not */
	if (ret)
		io_uring_queue_exit(&u->ring);
	return ret;
}

static int open_ring(struct loop *loop, bool confined, struct aio **out,
		     struct error *err)
{
	struct uring *u = calloc(1, sizeof(*u));
	int ret;

	if (!u)
		return -ENOMEM;
	u->confined = confined;
	ret = ring_init(u);
	if (ret) {
		error_set_errno(err, ENOTSUP, "io_uring cannot be used here: %s",
				strerror(-ret));
		free(u);
		return -ENOTSUP;
	}
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

static int uring_open(struct loop *loop, struct aio **out, struct error *err)
{
	return open_ring(loop, false, out, err);
}

int aio_uring_open_confined(struct loop *loop, struct aio **out,
			    struct error *err)
{
	return open_ring(loop, true, out, err);
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

int aio_uring_open_confined(struct loop *loop, struct aio **out,
			    struct error *err)
{
	return uring_open(loop, out, err);
}

static void uring_close(struct aio *aio)
{
}

#define uring_add_file NULL
#define uring_del_file NULL

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
	.add_file = uring_add_file,
	.del_file = uring_del_file,
	.run = uring_run,
};
