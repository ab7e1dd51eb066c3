/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * format.h: the formats there are, by name.
 */
#ifndef XD_IMAGE_FORMAT_H
#define XD_IMAGE_FORMAT_H

#include <stdbool.h>

struct image_driver;

/* All formats, with a space between them. */
const char *image_format_names(void);
bool image_format_known(const char *name);
/* What to open a backing file as whose format is given so: as in QEMU, the names
 * of protocols of plain bytes ("file", "host_device", "host_cdrom") are raw. NULL:
 * unknown, or none. */
const char *image_backing_format(const char *name);
/* The options of its own that a node of that format or protocol may have, ended
 * by NULL; "a." stands for all that begin so. NULL: none. */
const char *const *image_node_options(const char *driver);

/* Do images of a format have compressed clusters? */
bool image_can_compress(const char *format);
/* Can images of that format have bitmaps? */
bool image_can_have_bitmaps(const char *format);

/* NULL: there is no such format. */
const struct image_driver *image_find_format(const char *name);

#endif
