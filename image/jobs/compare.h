/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare.h: do two images show the same disk?
 *
 * The extents of both are walked side by side. What is a hole in both is not
 * read, nor what both take from the same place of the same file (a base that
 * they share); where only one is a hole the other is read and must be zeroes.
 * Pieces are read several at a time; of those that differ the first one counts,
 * since all before it have been started too.
 *
 * A job prints nothing and writes nothing, and runs in the coroutine that calls
 * it and those that it starts. Its finding holds for images to which nobody
 * writes meanwhile.
 */
#ifndef XD_IMAGE_JOBS_COMPARE_H
#define XD_IMAGE_JOBS_COMPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/jobs/pieces.h"
#include "image/jobs/walk.h"

enum compare_finding {
	COMPARE_SAME,
	COMPARE_CONTENT,	/* the bytes differ */
	COMPARE_STATUS,		/* strict: what is allocated differs */
	COMPARE_SIZE,		/* strict: the sizes differ */
	COMPARE_NO_STATUS,	/* the block status of a side cannot be read */
	COMPARE_NOT_READ,	/* data of a side cannot be read */
};

struct compare_job {
	/* given */
	struct image *img[2];
	bool strict;
	const struct image_progress *progress;	/* bytes; NULL: nobody asks */

	/* found */
	enum compare_finding finding;
	uint64_t offset;		/* of the finding that lies first */
	int side, errnum;		/* of COMPARE_NO_STATUS, _NOT_READ */
	bool sizes_differ;
	/* All that both have is the same: what one has beyond the other's end
	 * was compared with zeroes. */
	bool common_same;

	/* its own */
	uint64_t size[2];		/* bytes */
	struct walk walk[2];
	struct pieces pieces;
};

/* co. 0: see the finding. -ENOMEM */
int compare_job_run(struct compare_job *c);

#endif
