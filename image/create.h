/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create.h: for drivers that make small images: options, the file, identifiers.
 */
#ifndef XD_IMAGE_CREATE_H
#define XD_IMAGE_CREATE_H

#include "image/image.h"

struct create_args {
	const struct image_create_help *known;	/* what options there are */
	const struct image_create_option *options;
	unsigned int nr;
};

/* Is every option a known one? -EINVAL with the known ones. */
int create_judge(const struct create_args *a, struct error *err);
/* The value, NULL: not given. */
const char *create_text(const struct create_args *a, const char *name);
/* "on" or "off"; *value stays as it is when not given. -EINVAL */
int create_bool(const struct create_args *a, const char *name, bool *value,
		struct error *err);
/* The place in names[], ended by NULL; *value stays when not given. -EINVAL */
int create_choice(const struct create_args *a, const char *name,
		  const char *const *names, unsigned int *value,
		  struct error *err);

/* Asks the file system not to copy on write in the file, which is empty. Only btrfs
 * does so; others are not asked for anything. */
void create_set_nocow(int fd);

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
