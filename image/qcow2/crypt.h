/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crypt.h: the guest's data, encrypted or not. */
#ifndef XD_IMAGE_QCOW2_CRYPT_H
#define XD_IMAGE_QCOW2_CRYPT_H

#include "image/qcow2/core/qcow2.h"

struct luks_area;

/* co. [guest, guest + len) of the disk, at `host` in the file: all of the
 * guest's data that is not compressed goes through these. */
int qcow2_read_data(struct qcow2 *q, uint64_t guest, uint64_t host,
		    uint64_t len, struct iow w);
int qcow2_write_data(struct qcow2 *q, uint64_t guest, uint64_t host,
		     uint64_t len, struct iow w);
/* co. Sets q->crypto up, with the secret that `node` (may be NULL) names. */
int qcow2_crypt_open(struct qcow2 *q, const struct image_node *node,
		     struct error *err);
/* co. */
int qcow2_crypt_info(const struct qcow2 *q, struct image_info_encrypt *e,
		     struct error *err);
struct luks_area qcow2_luks_area(const struct qcow2 *q);

#endif
