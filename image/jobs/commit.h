/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * commit.h: what the images above a base hold goes into the base.
 *
 * All that an image above the base decides is copied, several pieces at a time;
 * zeroes become holes. The images above still hide what has been copied, so a
 * job that ends in the middle loses nothing and can be run again.
 *
 * A job prints nothing, opens and closes nothing, and runs in the coroutine
 * that calls it and those that it starts. It knows of no writes beside it: what a
 * guest writes into the topmost image meanwhile may or may not be in the base.
 */
#ifndef XD_IMAGE_JOBS_COMMIT_H
#define XD_IMAGE_JOBS_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/jobs/pieces.h"

struct commit_job {
	/* given */
	struct loop *loop;
	struct image *img;		/* the topmost */
	struct image *base;		/* of its chain, writable, as large */
	unsigned int depth;		/* of the base below img */
	uint64_t base_size;		/* bytes, before it grew */
	uint64_t rate;			/* bytes a second, 0: unlimited */
	const struct image_progress *progress;	/* bytes; NULL: nobody asks */

	/* counted, bytes */
	uint64_t started, copied;

	/* its own */
	uint64_t begin_ns;
	struct pieces pieces;
	struct error *err;		/* of the first failure */
	bool failed;
};

/* co. Flushes the base at the end. -errno of the first failure, with the
 * sentence. */
int commit_job_run(struct commit_job *c, struct error *err);

#endif
