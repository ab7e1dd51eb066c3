/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact.h: gives back to the host what the file does not need.
 */
#ifndef XD_IMAGE_COMPACT_H
#define XD_IMAGE_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "image/progress.h"

struct image;

struct image_compact {
	bool dry_run;			/* only look; works read-only */
	const struct image_progress *progress;	/* NULL: nobody asks */
	/* filled in; bytes */
	uint64_t before, after;		/* of the file; after: as expected */
	uint64_t moved;
	uint64_t staying;		/* where it could be shorter still, but
					 * what lies there cannot be moved */
};

/* co. Moves what lies at the end of the file into gaps, and gives the end and
 * the gaps that are left back to the host. Nothing else may be in flight. A power
 * cut leaves lost clusters at worst. -ENOTSUP, -EINVAL (corrupt) */
int image_compact(struct image *img, struct image_compact *result,
		  struct error *err);

#endif
