/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * begin.h: what has to be done before an image that was opened is changed.
 *
 * Each step is done once, before the first change that needs it, and is durable:
 * other programs may rely on what the header and the bitmaps said before.
 */
#ifndef XD_IMAGE_QCOW2_BEGIN_H
#define XD_IMAGE_QCOW2_BEGIN_H

#include "image/qcow2/core/qcow2.h"

/* co. Before the first change of the file: clears unknown autoclear bits. */
int qcow2_begin_write(struct qcow2 *q);
/* The bitmaps have changed: the next write looks which are enabled. */
void qcow2_begin_data_again(struct qcow2 *q);
/* co. All that must be so before [off, off + len) of the disk may change (len
 * 0: only the image); between requests. */
int qcow2_writable(struct qcow2 *q, uint64_t off, uint64_t len);

#endif
