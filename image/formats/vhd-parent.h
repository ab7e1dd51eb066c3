/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhd-parent.h: what a differencing VHD image says of its parent.
 */
#ifndef XD_IMAGE_VHD_PARENT_H
#define XD_IMAGE_VHD_PARENT_H

#include <stdint.h>

#include "common/error.h"

struct image;

/* co. Out of the dynamic header and the file: *name, malloc()ed, is the parent's
 * path, absolute or relative to the image, with slashes; it is not judged. NULL:
 * none is recorded. -EINVAL with the sentence, -ENOMEM. */
int vhd_parent_name(struct image *file, const uint8_t *header, char **name,
		    struct error *err);

#endif
