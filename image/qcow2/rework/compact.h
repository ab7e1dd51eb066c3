/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compact.h: the driver's verb; contract in image.h. */
#ifndef XD_IMAGE_QCOW2_COMPACT_H
#define XD_IMAGE_QCOW2_COMPACT_H

#include "image/qcow2/qcow2.h"

int qcow2_compact(struct image *img, struct image_compact *result,
		  struct error *err);

#endif
