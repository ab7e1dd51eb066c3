/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot-table.h: the table of internal snapshots in memory, and a new one in
 * the file.
 */
#ifndef XD_IMAGE_QCOW2_SNAPSHOT_TABLE_H
#define XD_IMAGE_QCOW2_SNAPSHOT_TABLE_H

#include "image/qcow2/snapshot.h"

struct qcow2_snapshot_record {
	struct qcow2_snapshot sn;	/* id and name are owned */
	uint8_t *unknown;		/* extra data that we do not know */
	uint32_t unknown_size;		/* bytes */
};

struct qcow2_snapshot_table {
	struct qcow2_snapshot_record *v;
	unsigned int nr, max;
	uint64_t bytes;			/* what it takes up in the file now */
};

/* co. Zeroed or filled: to be freed. */
int qcow2_snapshot_table_load(struct qcow2 *q, struct qcow2_snapshot_table *t,
			      struct error *err);
void qcow2_snapshot_table_free(struct qcow2_snapshot_table *t);
/* A zeroed record at the end. NULL: no memory */
struct qcow2_snapshot_record *
qcow2_snapshot_table_add(struct qcow2_snapshot_table *t);
void qcow2_snapshot_table_remove(struct qcow2_snapshot_table *t,
				 unsigned int i);

/* co. Lays the table down in new clusters: *offset, 0 where it is empty, and
 * *bytes. The header does not lead there yet, nor is it committed. -EFBIG */
int qcow2_snapshot_table_write(struct qcow2 *q,
			       const struct qcow2_snapshot_table *t,
			       uint64_t *offset, uint64_t *bytes,
			       struct error *err);

/* Lets go of clusters of a table or an L1 table. */
void qcow2_forget_clusters(struct qcow2 *q, uint64_t offset, uint64_t bytes);

#endif
