/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options.h: what a new qcow2 image is to be like. */
#ifndef XD_IMAGE_QCOW2_OPTIONS_H
#define XD_IMAGE_QCOW2_OPTIONS_H

#include "image/image.h"
#include "image/qcow2/make/encrypt.h"
#include "image/resize.h"

/* Strings are those of the options. */
struct qcow2_settings {
	uint64_t size;			/* bytes, UINT64_MAX: not given */
	uint32_t cluster_bits, refcount_order;
	unsigned int version;
	bool lazy_refcounts, extended_l2, nocow;
	uint8_t compression_type;
	enum image_preallocation preallocation;
	const char *backing_file, *backing_fmt;	/* NULL: none */
	const char *data_file;		/* NULL: none */
	bool data_file_raw;
	struct qcow2_encrypt encrypt;
};

/* Defaults, the options, what contradicts itself. `size` as image_create()'s.
 * -EINVAL, -ENOTSUP, with the sentence. */
int qcow2_parse_settings(struct qcow2_settings *s, uint64_t size,
			 const struct image_create_option *options,
			 unsigned int nr, struct error *err);

#endif
