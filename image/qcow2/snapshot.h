/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h: the snapshot table in the file, read an entry at a time. */
#ifndef XD_IMAGE_QCOW2_SNAPSHOT_H
#define XD_IMAGE_QCOW2_SNAPSHOT_H

#include "image/qcow2/core/qcow2.h"

#define QCOW2_SNAPSHOT_FIXED 40u	/* bytes, before the extra data */
#define QCOW2_SNAPSHOT_EXTRA 24u	/* bytes of extra data that we know */
#define QCOW2_MAX_SNAPSHOT_TABLE (64 * MiB)

struct qcow2_snapshot {
	uint64_t l1_offset;		/* bytes */
	uint32_t l1_size;		/* entries */
	uint32_t extra_size;		/* bytes */
	const uint8_t *extra;		/* those, while it is read */
	struct image_info_snapshot info;
};

/* Which one is meant. */
struct qcow2_snapshot_pick {
	const char *id, *name;		/* NULL: any */
};

/* co. The first that fits: *out, to be freed with qcow2_snapshot_deinit(). 1:
 * found, 0: there is none. */
int qcow2_pick_snapshot(struct image *file, const struct qcow2_header *h,
			struct qcow2_snapshot_pick pick,
			struct qcow2_snapshot *out, struct error *err);
void qcow2_snapshot_deinit(struct qcow2_snapshot *sn);	/* may be called twice */

/* Are its size and L1 table such as can be used? */
int qcow2_judge_snapshot(const struct qcow2 *q, const struct qcow2_snapshot *sn,
			 struct error *err);

/* co. From now on the image is what the snapshot `which` (struct image_options)
 * holds. Before the tables are loaded. */
int qcow2_show_snapshot(struct qcow2 *q, const char *which, struct error *err);

/* co. Calls each() for each entry of the snapshot table as it is read: nothing
 * is kept. *bytes (may be NULL): what the table takes up. */
int qcow2_for_each_snapshot(struct image *file, const struct qcow2_header *h,
			    int (*each)(void *arg,
					const struct qcow2_snapshot *sn,
					struct error *err),
			    void *arg, uint64_t *bytes, struct error *err);

#endif
