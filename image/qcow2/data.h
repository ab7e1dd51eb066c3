/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* data.h: the external data file. */
#ifndef XD_IMAGE_QCOW2_DATA_H
#define XD_IMAGE_QCOW2_DATA_H

#include "image/qcow2/core/qcow2.h"

/* co. Opens the external data file, where the image has one. */
int qcow2_open_data_file(struct qcow2 *q, struct error *err);
/* co. 1 to max clusters for the guest clusters from `index` on, as
 * qcow2_alloc_clusters(). In a data file there is a place for each. */
int qcow2_alloc_data(struct qcow2 *q, uint64_t index, uint64_t max,
		     uint64_t *host, uint64_t *count, bool *fresh);
void qcow2_free_data(struct qcow2 *q, uint64_t host, uint64_t count);
/* co. Zeroes in the external data file, or with IMAGE_ZERO_FAST perhaps not. */
int qcow2_zero_data(struct qcow2 *q, uint64_t off, uint64_t len,
		    unsigned int flags);
/* co. As long as the disk, if there is one. -ENOSPC: a device is too small. */
int qcow2_resize_data(struct qcow2 *q, uint64_t size, struct error *err);

#endif
