/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vmstate.h: the state of a virtual machine behind the disk; contracts of the
 * verbs in driver.h. */
#ifndef XD_IMAGE_QCOW2_VMSTATE_H
#define XD_IMAGE_QCOW2_VMSTATE_H

#include "image/qcow2/core/qcow2.h"

int qcow2_vmstate_preadv(struct image *img, uint64_t off, uint64_t len,
			 struct iow w);
int qcow2_vmstate_pwritev(struct image *img, uint64_t off, uint64_t len,
			  struct iow w);

#endif
