/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contiguous.h: several host clusters in a row; the refcount table's own. */
#ifndef XD_IMAGE_QCOW2_CONTIGUOUS_H
#define XD_IMAGE_QCOW2_CONTIGUOUS_H

#include "image/qcow2/core/qcow2.h"

/* co. Exactly `count` contiguous ones, contents undefined. Takes alloc_lock. */
int qcow2_alloc_contiguous(struct qcow2 *q, uint64_t count, uint64_t *offset);
/* co. Takes both locks in their order and makes the refcount table reach
 * `cluster`. */
int qcow2_make_room(struct qcow2 *q, uint64_t cluster);
/* co, alone, all committed but that clusters for it at `offset` were taken. */
int qcow2_move_reftable(struct qcow2 *q, uint64_t offset);

#endif
