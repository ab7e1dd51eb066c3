/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* compress.h: compressed clusters; contract of the verb in driver.h. */
#ifndef XD_IMAGE_QCOW2_COMPRESS_H
#define XD_IMAGE_QCOW2_COMPRESS_H

#include "image/codec/codec.h"
#include "image/qcow2/core/qcow2.h"

enum codec_type qcow2_codec_of(const struct qcow2_header *h);

/* co. `len` bytes from `in` on of the cluster of an L2 entry, which is kept.
 * Waits for memory as memory.h says. */
int qcow2_inflate_part(struct qcow2 *q, uint64_t entry, uint64_t in,
		       uint64_t len, struct iow w);
/* co. All of it, for one who reads on elsewhere: it is not kept. */
int qcow2_inflate_once(struct qcow2 *q, uint64_t entry, uint8_t *out);
/* co. All of it, of any file with that header; outside of the account. */
int qcow2_unpack(struct image *file, const struct qcow2_header *h,
		 uint64_t entry, uint8_t *out);

int qcow2_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w);

#endif
