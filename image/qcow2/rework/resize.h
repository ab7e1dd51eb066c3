/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* resize.h: the resizing verbs of the driver; contracts in driver.h. */
#ifndef XD_IMAGE_QCOW2_RESIZE_H
#define XD_IMAGE_QCOW2_RESIZE_H

#include "image/qcow2/qcow2.h"

int qcow2_truncate(struct image *img, uint64_t size, struct error *err);
int qcow2_preallocate(struct image *img, uint64_t off, uint64_t len,
		      enum image_preallocation mode, struct error *err);

/* co. Lets go of all that the L1 entry `i` leads to; once committed the guest
 * clusters are unallocated. Alone. */
int qcow2_drop_l2(struct qcow2 *q, uint32_t i);

#endif
