/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create.h: qcow2 images made, or their size told before. */
#ifndef XD_IMAGE_QCOW2_CREATE_H
#define XD_IMAGE_QCOW2_CREATE_H

#include "image/driver.h"

/* co. image_create() for this format. */
int qcow2_create(struct loop *loop, const char *path, uint64_t size,
		 const struct image_create_option *options, unsigned int nr,
		 struct error *err);
extern const struct image_create_help qcow2_create_help[];

/* What the options say about the size of the new file. */
struct qcow2_create_facts {
	unsigned int version;		/* of the header, 2 or 3 */
	uint64_t cluster_size;		/* bytes */
	uint32_t refcount_order;
	bool extended_l2;
	bool has_backing;
	bool filled;			/* the host's space is taken at once */
	uint64_t encrypt_len;		/* bytes of what encryption adds */
};
int qcow2_create_facts(uint64_t size, const struct image_create_option *options,
		       unsigned int nr, struct qcow2_create_facts *facts,
		       struct error *err);

/* co. image_measure() for this format (measure.c). */
int qcow2_measure(uint64_t size, const struct image_create_option *options,
		  unsigned int nr, struct image *from,
		  struct image_measure *out, struct error *err);

#endif
