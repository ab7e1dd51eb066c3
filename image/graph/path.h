/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * path.h: file names that stand in images.
 *
 * Such a name is foreign: whoever wrote the image chose it. It is taken as a
 * plain path, relative to the image that names it; "file:" before it is
 * allowed. A protocol prefix ("nbd:", "json:", "http:") is refused: nothing an
 * image says may open anything but a file.
 */
#ifndef XD_IMAGE_PATH_H
#define XD_IMAGE_PATH_H

#include "common/error.h"

/* The name of a file without "file:", and so that it needs none: "./nbd:x".
 * malloc()ed; NULL: -ENOMEM. */
char *image_plain_path(const char *name);

/* *full: malloc()ed. `what` is named so: "backing file". -EINVAL with the sentence,
 * -ENOMEM. */
int image_named_path(const char *image_path, const char *what, const char *name,
		     char **full, struct error *err);
int image_backing_path(const char *image_path, const char *name, char **full,
		       struct error *err);

#endif
