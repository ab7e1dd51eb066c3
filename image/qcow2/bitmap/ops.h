/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ops.h: dirty bitmaps as users change them and see them. */
#ifndef XD_IMAGE_QCOW2_BITMAP_OPS_H
#define XD_IMAGE_QCOW2_BITMAP_OPS_H

#include "image/driver.h"
#include "image/qcow2/core/header.h"

/* co. image_bitmap() for this format. */
int qcow2_bitmap_op(struct image *img, enum image_bitmap_op op,
		    const char *name, const struct image_bitmap_args *args,
		    struct error *err);
/* co. The list of image_get_info(). */
int qcow2_bitmap_info(struct image *file, const struct qcow2_header *h,
		      struct image_info *info, struct error *err);

#endif
