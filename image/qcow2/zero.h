/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* zero.h: zeroes and discards; contracts in driver.h. */
#ifndef XD_IMAGE_QCOW2_ZERO_H
#define XD_IMAGE_QCOW2_ZERO_H

#include "image/driver.h"

int qcow2_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags);
int qcow2_pdiscard(struct image *img, uint64_t off, uint64_t len);

#endif
