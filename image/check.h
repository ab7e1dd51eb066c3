/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h: an image's metadata checked, and repaired.
 */
#ifndef XD_IMAGE_CHECK_H
#define XD_IMAGE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct image;

enum image_repair { IMAGE_REPAIR_NONE, IMAGE_REPAIR_LEAKS, IMAGE_REPAIR_ALL };

enum image_check_data {
	IMAGE_CHECK_NO_DATA,
	IMAGE_CHECK_SNAPSHOT_DATA,	/* what only snapshots have */
	IMAGE_CHECK_DATA,		/* all */
};

struct image_check {
	uint64_t corruptions, leaks, check_errors;
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t image_end_offset;	/* bytes */
	uint64_t total_clusters, allocated_clusters, fragmented_clusters,
		compressed_clusters, placed_clusters;
	/* Asked for by the caller: a repair writes nothing, but reports what it
	 * would do; *_fixed say what that would mend. */
	bool dry_run;
	/* Asked for by the caller: what is compressed is unpacked, too. */
	enum image_check_data data;
	/* Called for each finding with a sentence; may be NULL. */
	void (*report)(void *arg, const char *sentence);
	/* Called now and then: `done` of `total` bytes; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *report_arg;
};

/* co. -ENOTSUP: the format has nothing to check. 0: done, see the counts
 * (the state found; what repair mended stands in the *_fixed). */
int image_check(struct image *img, enum image_repair repair,
		struct image_check *result, struct error *err);

#endif
