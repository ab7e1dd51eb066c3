/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aio-threads.c: the engine that works everywhere: a thread per request. */
#include "config.h"
#include "io/aio-engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/loop.h"

static int64_t result_of(ssize_t ret)
{
	return ret < 0 ? -errno : ret;
}

int64_t aio_blocking_call(void *arg)
{
	struct aio_request *req = arg;

	switch (req->op) {
	case AIO_READ:
		return result_of(preadv2(req->fd, req->iov, req->niov,
					 (off_t)req->off, 0));
	case AIO_WRITE:
		return result_of(pwritev(req->fd, req->iov, req->niov,
					 (off_t)req->off));
	case AIO_FDATASYNC:
		return result_of(fdatasync(req->fd));
	case AIO_FALLOCATE:
		return result_of(fallocate(req->fd, req->mode, (off_t)req->off,
					   (off_t)req->len));
	}
	return -EINVAL;
}

static int threads_open(struct loop *loop, struct aio **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void threads_close(struct aio *aio)
{
	free(aio);
}

static int64_t threads_run(struct aio *aio, struct aio_request *req)
{
	return loop_offload(aio->loop, aio_blocking_call, req);
}

const struct aio_engine aio_engine_threads = {
	.name = "threads",
	.kind = AIO_THREADS,
	.open = threads_open,
	.close = threads_close,
	.run = threads_run,
};
