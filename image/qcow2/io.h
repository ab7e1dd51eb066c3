/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io.h: the data verbs of the qcow2 driver; contracts in driver.h. */
#ifndef XD_IMAGE_QCOW2_IO_H
#define XD_IMAGE_QCOW2_IO_H

#include "image/driver.h"

int qcow2_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w);
int qcow2_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w);
int qcow2_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w);
int qcow2_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags);
int qcow2_pdiscard(struct image *img, uint64_t off, uint64_t len);
int qcow2_flush(struct image *img);
int qcow2_vmstate_preadv(struct image *img, uint64_t off, uint64_t len,
			 struct iow w);
int qcow2_vmstate_pwritev(struct image *img, uint64_t off, uint64_t len,
			  struct iow w);
int qcow2_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out);

#endif
