/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* store.h: dirty bitmaps to the file. */
#ifndef XD_IMAGE_QCOW2_BITMAP_STORE_H
#define XD_IMAGE_QCOW2_BITMAP_STORE_H

#include "image/qcow2/core/qcow2.h"

/* co. Makes changes durable and gives up what is in use. Nothing in flight. */
int qcow2_bitmaps_store(struct qcow2 *q, struct error *err);

#endif
