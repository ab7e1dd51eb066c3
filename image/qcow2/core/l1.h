/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* l1.h: an L1 table of another length. Alone in the image, all committed. */
#ifndef XD_IMAGE_QCOW2_L1_H
#define XD_IMAGE_QCOW2_L1_H

#include "image/qcow2/core/qcow2.h"

/* co. A table of so many entries, the new ones empty. */
int qcow2_grow_l1(struct qcow2 *q, uint64_t entries);
/* co. One as long as the size in the header wants it. */
int qcow2_shorten_l1(struct qcow2 *q);

#endif
