/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create-options.h: the options of an image that is to be made, by name.
 */
#ifndef XD_IMAGE_CREATE_OPTIONS_H
#define XD_IMAGE_CREATE_OPTIONS_H

#include <stdbool.h>

#include "common/error.h"

struct image_create_option {
	const char *name, *value;
};

struct image_create_help {
	const char *name, *help;
};

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

#endif
