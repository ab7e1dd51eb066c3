/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * make.h: images are made, measured before, and amended afterwards.
 */
#ifndef XD_IMAGE_MAKE_H
#define XD_IMAGE_MAKE_H

#include <stdint.h>

#include "common/error.h"
#include "image/create-options.h"
#include "image/progress.h"

struct image;
struct loop;

struct image_measure {
	uint64_t required;		/* bytes in the file, to begin with */
	uint64_t fully_allocated;	/* bytes, when all has been written */
	bool has_bitmaps;
	uint64_t bitmaps;		/* bytes that bitmaps take besides */
};

/* co. Makes a new image file (an existing file is overwritten, as qemu-img
 * does). size: bytes, UINT64_MAX takes the backing file's. Options by
 * qemu-img's names; unknown ones are -EINVAL with the known ones listed. */
int image_create(struct loop *loop, const char *path, const char *format,
		 uint64_t size, const struct image_create_option *options,
		 unsigned int nr_options, struct error *err);

/* co. What a new image would take with the contents of `from`, or with none
 * (NULL) and a disk of `size` bytes. Options as for image_create(); of the
 * preallocation's modes off and metadata are the same. -ENOTSUP: the format
 * cannot tell. */
int image_measure(const char *format, uint64_t size,
		  const struct image_create_option *options,
		  unsigned int nr_options, struct image *from,
		  struct image_measure *out, struct error *err);

/* The options of a format, ended by { NULL, NULL }; NULL: unknown format. */
const struct image_create_help *image_create_options(const char *format);

/* ---- amend ---- */

enum image_amend_flags {
	IMAGE_AMEND_FORCE = 1 << 0,	/* even what cannot be undone */
};

/* co. Changes options of an existing image, open for writing with nothing in
 * flight. Options as image_amend_options() lists them; all are judged before
 * the first is carried out. progress may be NULL. -ENOTSUP: the format has
 * nothing to amend, or not in this image; -EINVAL: a wrong option or value. */
int image_amend(struct image *img, const struct image_create_option *options,
		unsigned int nr_options, unsigned int flags,
		const struct image_progress *progress, struct error *err);
/* The options, ended by { NULL, NULL }; NULL: unknown format or none. */
const struct image_create_help *image_amend_options(const char *format);

#endif
