/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * references.h: all host clusters that an L1 table leads to.
 *
 * For those who have the image to themselves. A tree is walked in the order of
 * its tables, so that what was done to it can be taken back as far as it came.
 * Commits come in between when there is much to write.
 */
#ifndef XD_IMAGE_QCOW2_REFERENCES_H
#define XD_IMAGE_QCOW2_REFERENCES_H

#include "image/qcow2/core/qcow2.h"

/* An L1 table in memory; entries in host order, flags do not matter. */
struct qcow2_tree {
	const uint64_t *l1;
	uint64_t nr;			/* entries */
};

/*
 * co. One reference more to every L2 table, data cluster and cluster with
 * compressed data; COPIED flags in the L2 tables are cleared, as nothing in
 * them has one reference only any more. *done: how many references came to be,
 * also on failure. -EINVAL: the tree is corrupt; -EFBIG: a refcount is as high as
 * it can be; each with a sentence.
 */
int qcow2_raise_tree(struct qcow2 *q, struct qcow2_tree t, uint64_t *done,
		     struct error *err);

/* co. One reference less to the first `limit` of them, once the next commit is
 * on disk. */
int qcow2_lower_tree(struct qcow2 *q, struct qcow2_tree t, uint64_t limit,
		     struct error *err);

/* co. Sets the COPIED flags of the active tables by what the refcounts say. */
int qcow2_mark_copied(struct qcow2 *q, struct error *err);

#endif
