/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* map.h: guest offsets to host offsets: L1 and L2. */
#ifndef XD_IMAGE_QCOW2_MAP_H
#define XD_IMAGE_QCOW2_MAP_H

#include "image/qcow2/core/qcow2.h"

/* Where the VM state begins in the mapping: behind the disk, bytes. */
uint64_t qcow2_vmstate_base(const struct qcow2 *q);

/* What an L2 entry says of a guest offset and of what follows it. */
struct qcow2_mapping {
	enum qcow2_kind kind;
	bool copied;			/* refcount 1: may be written in place */
	struct qcow2_entry entry;	/* of the first cluster */
	uint64_t host;			/* bytes; of that very offset */
	uint64_t len;			/* bytes that go on like that */
};

/* co. The mapping of [off, off + len), or of as much from its start as is of the
 * same kind (at contiguous host offsets where there are any), within a slice.
 * -EIO: corrupt, said once. */
int qcow2_lookup(struct qcow2 *q, uint64_t off, uint64_t len,
		 struct qcow2_mapping *out);

/* co. Makes or copies the L2 table of guest cluster `index` where that is needed
 * before entries of it can change. */
int qcow2_make_l2(struct qcow2 *q, uint64_t index);

/* co. The slice with the entry of guest cluster `index`, pinned and fit to be
 * changed: qcow2_make_l2() is part of it. *table: `nr` entries of
 * the slice, from `index` on, for qcow2_entry_load() and _store(). */
int qcow2_l2_for_write(struct qcow2 *q, uint64_t index,
		       struct qcow2_slice **slice, void **table, uint64_t *nr);

/* Does the subcluster at `off`, which was mapped so, read as zeroes? */
bool qcow2_reads_zero(const struct qcow2 *q, const struct qcow2_mapping *m,
		      uint64_t off);

/* co. Lets go of an L2 table that an L1 entry led to. Where the refcount says that
 * nothing else does it is no table any more; else it stays what it is for the
 * snapshots. */
int qcow2_free_l2(struct qcow2 *q, uint64_t table, bool discard);

/* Lets go of what a replaced entry pointed at. */
void qcow2_free_entry(struct qcow2 *q, struct qcow2_entry e, bool discard);

#endif
