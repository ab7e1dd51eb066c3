/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * node.h: what a person says of the nodes of a graph (--image-opts, json:).
 */
#ifndef XD_IMAGE_NODE_H
#define XD_IMAGE_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct image_create_option;
struct image_options;

/* What a person says of a node (--image-opts, json:). It and its strings stay
 * the caller's and outlive the image. */
struct image_node {
	/* A format or a protocol; NULL: as recorded, or as the path begins. The
	 * topmost node's and a backing image's are formats. */
	const char *driver;
	const char *path;		/* of a protocol */
	const char *called;		/* image_format(); NULL: the driver */
	const char *data_file;		/* NULL: as recorded */
	/* of an encrypted one */
	const char *key_secret;		/* id: crypto/secret.h; NULL: none */
	const char *encrypt_format;	/* "aes", "luks"; NULL: whichever */
	bool no_backing;		/* whatever is recorded */
	const struct image_node *backing;	/* NULL: nothing is said */
	/* What it stands on; NULL: image_open()'s path, or what is recorded. */
	const struct image_node *file;
	const struct image_node *test;	/* blkverify: what is compared to it */
	/* The driver's own (struct image_driver.node_options). */
	const struct image_create_option *options;
	unsigned int nr_options;
};
/* The name of the file, device or URL that a node stands on at last. */
const char *image_node_path(const struct image_node *node);

/* The value of an option of a protocol's or format's node; NULL: not said. */
const char *image_node_option(const struct image_options *opts,
			      const char *name);
/* The same of a number of bytes; *value stays where nothing is said. -EINVAL */
int image_node_bytes(const struct image_options *opts, const char *name,
		     uint64_t *value, struct error *err);

#endif
