/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio-libaio.c: the engine over the kernel's older asynchronous interface,
 * io_submit(2). Asynchronous with O_DIRECT only; what it does not know or would
 * block on (fdatasync, fallocate) goes to the loop's threads.
 */
#include "config.h"
#include "io/aio-engine.h"

#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/loop.h"

#define MAX_IN_FLIGHT 256

struct libaio {
	struct aio aio;
	io_context_t ctx;
	int eventfd;
	unsigned int in_flight;		/* queued ones included */
	struct co_queue full;		/* waiting for in_flight to sink */
	struct iocb *queued[MAX_IN_FLIGHT];
	unsigned int nr_queued;
	struct loop_fd watch;
	struct loop_hook hook;
	struct loop_call again;		/* keeps the loop from waiting */
};

static void libaio_again(struct loop_call *call)
{
}

static void libaio_complete(struct libaio *l, struct iocb *iocb, int64_t result)
{
	struct aio_request *req = iocb->data;

	req->result = result;
	l->in_flight--;
	co_wake(req->co);
}

static void wake_waiting(struct libaio *l)
{
	while (l->in_flight < MAX_IN_FLIGHT && co_queue_wake_one(&l->full))
		;
	l->aio.reaping = false;
}

static void drop_queued(struct libaio *l, unsigned int n)
{
	l->nr_queued -= n;
	memmove(l->queued, l->queued + n, l->nr_queued * sizeof(*l->queued));
}

/* Before the loop waits. io_submit() stops before the first request it refuses:
 * -EAGAIN means later, anything else is that request's own error. */
static void libaio_submit(struct loop_hook *hook)
{
	struct libaio *l = container_of(hook, struct libaio, hook);
	struct iocb *failed;
	int n;

	while (l->nr_queued) {
		n = io_submit(l->ctx, (long)l->nr_queued, l->queued);
		if (n > 0) {
			drop_queued(l, (unsigned int)n);
		} else if (n == -EAGAIN || n == 0) {
			loop_defer(l->aio.loop, &l->again);
			return;
		} else {
			failed = l->queued[0];
			drop_queued(l, 1);
			l->aio.reaping = true;
			libaio_complete(l, failed, n);
			wake_waiting(l);
			loop_defer(l->aio.loop, &l->again);
		}
	}
}

static void libaio_readable(struct loop_fd *watch, uint32_t epoll_events)
{
	struct libaio *l = container_of(watch, struct libaio, watch);
	struct io_event events[64];
	struct timespec now = { 0, 0 };
	eventfd_t count;
	int n;

	eventfd_read(l->eventfd, &count);
	/* Not libaio's, whose newer versions take another call for it. */
	n = (int)syscall(SYS_io_getevents, l->ctx, 0L, (long)ARRAY_SIZE(events),
			 events, &now);
	if (n <= 0)
		return;
	if (n == ARRAY_SIZE(events))		/* maybe more: come back */
		eventfd_write(l->eventfd, 1);
	l->aio.reaping = true;
	for (int i = 0; i < n; i++)
		libaio_complete(l, events[i].obj, (int64_t)events[i].res);
	wake_waiting(l);
}

static int64_t libaio_run(struct aio *aio, struct aio_request *req)
{
	struct libaio *l = container_of(aio, struct libaio, aio);
	struct iocb iocb;

	if (req->op == AIO_READ)
		io_prep_preadv(&iocb, req->fd, req->iov, req->niov,
			       (long long)req->off);
	else if (req->op == AIO_WRITE)
		io_prep_pwritev(&iocb, req->fd, req->iov, req->niov,
				(long long)req->off);
	else
		return loop_offload(aio->loop, aio_blocking_call, req);
	io_set_eventfd(&iocb, l->eventfd);
	iocb.data = req;

	while (l->in_flight >= MAX_IN_FLIGHT)
		co_queue_wait(&l->full);
	l->in_flight++;
	l->queued[l->nr_queued++] = &iocb;
	co_yield();
	return req->result;
}

static int libaio_open(struct loop *loop, struct aio **out, struct error *err)
{
	struct libaio *l = calloc(1, sizeof(*l));
	int ret;

	if (!l)
		return -ENOMEM;
	co_queue_init(&l->full);
	list_init(&l->again.link);
	l->again.run = libaio_again;
	l->hook.before_wait = libaio_submit;
	ret = io_setup(MAX_IN_FLIGHT, &l->ctx);
	if (ret) {
		error_set(err, ENOTSUP, "libaio cannot be used here: io_setup: "
			  "%s (see fs.aio-max-nr)", strerror(-ret));
		free(l);
		return -ENOTSUP;
	}
	l->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = l->eventfd < 0 ? -errno : loop_add_fd(loop, &l->watch, l->eventfd,
						     EPOLLIN, libaio_readable);
	if (ret) {
		if (l->eventfd >= 0)
			close(l->eventfd);
		io_destroy(l->ctx);
		free(l);
		return ret;
	}
	loop_add_hook(loop, &l->hook);
	*out = &l->aio;
	return 0;
}

static void libaio_close(struct aio *aio)
{
	struct libaio *l = container_of(aio, struct libaio, aio);

	loop_del_fd(aio->loop, &l->watch);
	loop_del_hook(&l->hook);
	list_del(&l->again.link);
	io_destroy(l->ctx);
	close(l->eventfd);
	free(l);
}

const struct aio_engine aio_engine_libaio = {
	.name = "libaio",
	.kind = AIO_LIBAIO,
	.direct_only = true,
	.open = libaio_open,
	.close = libaio_close,
	.run = libaio_run,
};
