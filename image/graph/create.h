/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create.h: for drivers that make small images: options, the file, identifiers.
 */
#ifndef XD_IMAGE_CREATE_H
#define XD_IMAGE_CREATE_H

#include "image/create-options.h"
#include "image/image.h"

/* co. A file of `len` bytes (multiple of 512) that reads as zeroes, opened as a
 * raw image to be filled. On a device what was there is zeroed as far as the
 * first `head` bytes. */
int create_file(struct loop *loop, const char *path, uint64_t len,
		uint64_t head, struct image **out, struct error *err);
/* co. Flushes and closes; removes nothing on errors. `ret` (if not 0) is handed
 * on with its reason. */
int create_done(struct image *img, int ret, struct error *err);

/* A random (version 4) UUID. */
int create_uuid(uint8_t uuid[16]);

#endif
