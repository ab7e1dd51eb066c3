/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file-zero.h: zeroes and discards of files and devices.
 *
 * A discard of a block device leaves to the device what is read afterwards.
 */
#ifndef XD_IMAGE_FILE_ZERO_H
#define XD_IMAGE_FILE_ZERO_H

#include "image/driver.h"

/* co. Verbs of the driver: driver.h. */
int file_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
		       unsigned int flags);
int file_pdiscard(struct image *img, uint64_t off, uint64_t len);

#endif
