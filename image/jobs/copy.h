/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.h: the contents of images into another, as convert does it.
 *
 * The sources stand one behind the other. What of them reads as zeroes is not
 * read where the format says so, and found by looking where it does not; it is
 * not written either where the target is known to be zero. Pieces are read,
 * looked at, compressed and written side by side and out of order, unless the
 * target is a stream.
 *
 * A job prints nothing, opens and closes nothing, and runs in the coroutine
 * that calls it and those that it starts, all in the loop of its images; a
 * stream waits in the offload pool. So it may run beside the requests of a
 * guest: those that the guest sends meanwhile are not held back, and what they
 * write to the sources may or may not be in the target. Memory is taken at the
 * beginning: c->parts pieces. Others may read the counters between two waiting
 * points; a job that failed leaves a target that is partly written.
 */
#ifndef XD_IMAGE_JOBS_COPY_H
#define XD_IMAGE_JOBS_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/jobs/pieces.h"

#define COPY_PARTS_MAX 16
#define COPY_SPARSE_MAX (UINT64_C(16) << 20)

struct copy_source {
	struct image *img;
	uint64_t start;			/* of it in the target, bytes */
	uint64_t skip;			/* of it that is left out before */
};

struct copy_job {
	/* given */
	struct loop *loop;
	struct copy_source *sources;
	unsigned int nr_sources;
	struct image *target;		/* NULL: a stream */
	int stream;			/* file descriptor, target NULL */
	uint64_t total;			/* bytes, at most of all sources */
	unsigned int parts;		/* side by side, 1 to COPY_PARTS_MAX */
	uint64_t min_sparse;		/* bytes; 0: all is data */
	/* Data is not looked at for zeroes, and copied by the host where it can;
	 * cleared when it cannot. */
	bool no_scan, in_host;
	uint64_t rate;			/* bytes a second, 0: unlimited */
	uint64_t cluster;		/* bytes, of compressed writes; 0: plain */
	bool target_is_zero;
	/* What the first source does not have itself shows through in the
	 * target, as far as the backing image of that reaches. */
	bool shares_backing;
	bool salvage;			/* unreadable sectors become zeroes */
	/* Each of those sectors, as it is found; NULL: nobody asks. */
	void (*unreadable_sector)(void *arg, uint64_t off, int errnum);
	void *unreadable_arg;
	const struct image_progress *progress;	/* bytes; NULL: nobody asks */

	/* counted, bytes */
	uint64_t done, read, written, zeroed;
	uint64_t unreadable;		/* of salvage */

	/* its own */
	struct error *err;		/* of the first failure */
	bool failed;
	struct pieces pieces;
	uint64_t next_write_ns;		/* rate */
	struct co_queue turns;		/* writers to a stream */
};

/* co. -errno of the first failure, with the sentence. */
int copy_job_run(struct copy_job *c, struct error *err);

/*
 * co. The same for a target of size 0 that grows with the bytes that come out of
 * the file descriptor, up to its end; c->total is how much it was.
 */
int copy_job_from_stream(struct copy_job *c, int fd, struct error *err);

#endif
