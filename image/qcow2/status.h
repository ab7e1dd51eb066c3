/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* status.h: where the bytes are; contract in driver.h. */
#ifndef XD_IMAGE_QCOW2_STATUS_H
#define XD_IMAGE_QCOW2_STATUS_H

#include "image/driver.h"

int qcow2_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out);

#endif
