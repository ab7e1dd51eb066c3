/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bytes.h: room for compressed clusters. */
#ifndef XD_IMAGE_QCOW2_BYTES_H
#define XD_IMAGE_QCOW2_BYTES_H

#include "image/qcow2/core/qcow2.h"

/* co. `len` bytes, less than a cluster, anywhere in host clusters that count
 * them (not yet on disk). To be freed as a compressed entry is. */
int qcow2_alloc_bytes(struct qcow2 *q, uint64_t len, uint64_t *offset);
/* alloc_lock held. The host cluster is free now. */
void qcow2_forget_tails(struct qcow2 *q, uint64_t cluster);

#endif
