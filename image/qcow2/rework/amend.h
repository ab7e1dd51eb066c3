/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* amend.h: the larger parts of an amendment; see rework.h. */
#ifndef XD_IMAGE_QCOW2_AMEND_H
#define XD_IMAGE_QCOW2_AMEND_H

#include "image/qcow2/rework/rework.h"

/* ---- amend-width.c ---- */

/* co. Refcounts of 1 << order bits. -ERANGE: one does not fit; -EFBIG: the
 * refcount table would be too large. Nothing has changed then. */
int qcow2_change_refcount_order(struct qcow2 *q, uint32_t order,
				const struct image_progress *progress,
				struct error *err);

/* ---- amend-zero.c ---- */

/* co. Turns the zero clusters of all L2 tables, snapshots' too, into what
 * version 2 knows: data clusters full of zeroes, or nothing at all where no
 * backing image would show. */
int qcow2_expand_zero_clusters(struct qcow2 *q,
			       const struct image_progress *progress,
			       struct error *err);

#endif
