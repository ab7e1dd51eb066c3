/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * probe.h: what a file looks like, for people who want a guess.
 */
#ifndef XD_IMAGE_PROBE_H
#define XD_IMAGE_PROBE_H

#include "common/error.h"

struct image_node;
struct loop;

/* Reads a file's first bytes and tells what they look like, or else "raw".
 * Only for people who asked for a guess; the daemon never does. */
int image_probe(const char *file, const char **format, struct error *err);
/* co. The same for a name of any protocol. */
int image_probe_name(struct loop *loop, const char *name, const char **format,
		     struct error *err);
/* co. The same for what `node` says that an image stands on. */
int image_probe_node(struct loop *loop, const struct image_node *node,
		     const char **format, struct error *err);

#endif
