/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rebase.h: an overlay gets what its new backing image shows differently.
 *
 * The chains of the old and the new backing image are walked side by side;
 * holes, and what both take from the same place of the same file, are not read.
 * The overlay stands on the new one already while the old content is written
 * into it, whole clusters at a time: so nothing of the new one is copied into
 * it, and zeroes that hide the new one's data are recorded as such.
 *
 * A job prints nothing, opens and closes nothing, changes no name in a header,
 * and runs in the coroutine that calls it and those that it starts. Until it is
 * done the overlay shows neither disk: no guest may read it, or write to it,
 * meanwhile.
 */
#ifndef XD_IMAGE_JOBS_REBASE_H
#define XD_IMAGE_JOBS_REBASE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/jobs/pieces.h"
#include "image/jobs/walk.h"

struct rebase_job {
	/* given */
	struct image *img;		/* the overlay */
	struct walk old, new;		/* the two chains */
	uint64_t grain;			/* what it maps at least, bytes */
	uint64_t cluster_size;		/* bytes */
	bool compress;			/* whole clusters */
	const struct image_progress *progress;	/* bytes; NULL: nobody asks */

	/* counted, bytes */
	uint64_t done, written;

	/* its own */
	struct pieces pieces;
	struct error *err;		/* of the first failure */
	bool failed;
};

/* co. Flushes the overlay at the end. -errno of the first failure, with the
 * sentence. */
int rebase_job_run(struct rebase_job *r, struct error *err);

#endif
