/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * chain.h: reads through a backing chain, at the price of one image however
 * long it is.
 *
 * The layers below an open image do not change. So which of them a block of the
 * disk comes from is looked up once, layer by layer, and kept in a map of the
 * image on top: later reads of the block go to that layer at once.
 */
#ifndef XD_IMAGE_CHAIN_H
#define XD_IMAGE_CHAIN_H

#include "image/driver.h"

/* co. What `img` reads where it has nothing of its own: its backing image's
 * bytes, zeroes beyond the end of that and where there is none. */
int chain_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w);

/* When the image is closed, or gets another backing image. */
void chain_free(struct image *img);

#endif
