/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* aio-threads.c: the engine that works everywhere: a thread per request. */
#include "config.h"
#include "io/aio-engine.h"

#include <errno.h>
#include <stdlib.h>

#include "io/loop.h"

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
