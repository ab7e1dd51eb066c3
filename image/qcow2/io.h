/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h: reads and writes of the guest's; contracts of the verbs in driver.h. */
#ifndef XD_IMAGE_QCOW2_IO_H
#define XD_IMAGE_QCOW2_IO_H

#include "image/qcow2/core/qcow2.h"

int qcow2_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w);
int qcow2_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w);
int qcow2_flush(struct image *img);

/* co. A write, within a request (qcow2_request_begin()). */
int qcow2_write_range(struct qcow2 *q, uint64_t off, uint64_t len,
		      struct iow w);

#endif
