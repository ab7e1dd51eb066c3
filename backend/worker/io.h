/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * worker-io.h: a frontend's rings served from an image, and the worker's loop.
 *
 * One thread, one disk. Requests run as coroutines between blkif/blkif.h and
 * image/image.h.
 */
#ifndef XD_BACKEND_WORKER_IO_H
#define XD_BACKEND_WORKER_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "blkif/blkif.h"
#include "io/coroutine.h"
#include "io/loop.h"

struct image;

/* Zeroed and io_init()ed. */
struct io {
	struct loop *loop;
	struct image *image;		/* NULL: a drive without a medium */
	struct blkif *vbd;		/* NULL: not connected */
	struct loop_fd event_fd;
	struct loop_timer trim_timer;
	bool trimmed;			/* since the last request */
	bool dead;			/* the rings are mad; told once */
	unsigned int pending;		/* submitted, not completed */
	unsigned int turns_unseen;	/* since a look at descriptors */
	struct coroutine *drainer;	/* waits for pending to be 0 */
	uint64_t idle_since_ns;		/* 0: busy */
	uint64_t poll_ns;		/* spin so long before sleeping */
	bool event_seen;		/* since the last sleep */
	unsigned int empty_events;	/* in a row that brought no request */
	/* The rings cannot be served any more; disconnect. */
	void (*failed)(struct io *io, const char *why);
};

void io_init(struct io *io, struct loop *loop);

/* Maps the rings and serves them from image; config's size, read-only and
 * state fields are filled in here. */
int io_connect(struct io *io, struct image *image, struct blkif_config *config,
	       struct error *err);

/* Takes no more requests, waits for those in flight, answers them, unmaps. co;
 * idempotent. */
void io_disconnect(struct io *io);

/* One turn of the worker: serves, polls for a while, sleeps. */
void io_turn(struct io *io);

#endif
