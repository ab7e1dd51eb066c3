/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* rewrite.h: a changed header to the file. */
#ifndef XD_IMAGE_QCOW2_REWRITE_H
#define XD_IMAGE_QCOW2_REWRITE_H

#include "image/qcow2/core/qcow2.h"

/* co. Writes the header's first 104 (72) bytes anew and makes them durable. */
int qcow2_write_header(struct qcow2 *q);
/* co. q->h as a whole, extensions and names too, made durable: a power cut
 * leaves the old header or the new one. A failure stops the image, unless it
 * did not fit (-ENOSPC, nothing written). */
int qcow2_rewrite_header(struct qcow2 *q, struct error *err);

#endif
