/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.h: loads a qcow2 image and validates it.
 *
 * For the driver, in this order; qcow2_deinit() undoes whichever were called.
 */
#ifndef XD_IMAGE_QCOW2_OPEN_H
#define XD_IMAGE_QCOW2_OPEN_H

#include "image/qcow2/core/qcow2.h"

/* co. q->h and the geometry; anew after a repair. */
int qcow2_open_header(struct qcow2 *q, struct error *err);
/* co. The tables, caches and the cipher. */
int qcow2_open_tables(struct qcow2 *q, const struct image_options *opts,
		      struct error *err);
/* Names the backing file, where the image has one, for the chain. */
int qcow2_name_backing(struct qcow2 *q);
void qcow2_deinit(struct qcow2 *q);

#endif
