/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * image-node.h: what image-opts.c, which plants and settles trees of nodes, and
 * image-node-opts.c, which judges the options of each, share.
 */
#ifndef XD_TOOL_IMAGE_NODE_H
#define XD_TOOL_IMAGE_NODE_H

#include <stdbool.h>
#include <string.h>

#include "common/error.h"
#include "image/image.h"
#include "image/node.h"

struct kept;

/* The names by which a node knows those below it. */
enum child { FILE_BELOW, BACKING, DATA_FILE, IMAGE, TEST, RAW, NR_CHILDREN };

/* An option; the strings are its own. */
struct said {
	struct said *next;
	char *key, *value;		/* as it was typed */
	const char *name;		/* the key's end, of the node alone */
};

/* All belong to the list in struct described. */
struct node {
	struct image_node n;		/* what is made of it */
	struct node *next;		/* of all */
	struct node *child[NR_CHILDREN];
	struct said *said;
	const char *filename;
	bool top;			/* what is said is said of the whole */
	unsigned int depth;		/* the topmost: 0 */
	struct image_create_option *options;
};

/* One image. */
struct described {
	struct described *next;
	struct loop *loop;
	struct image_options *opts;
	struct said *said;		/* not planted yet */
	struct node *nodes;		/* all, and the strings' owners */
	struct kept *kept;		/* URLs and the like */
	bool direct, no_flush;
	uint64_t cache_size;			/* of both caches, 0: not said */
	bool has_cache_size, has_l2, has_refcount;
};

static inline bool is_driver(const struct node *n, const char *name)
{
	return n->n.driver && !strcmp(n->n.driver, name);
}

/* Applies all that is said of `n` to it and to d->opts; what is the driver's own
 * is left to it in n->n.options. -EINVAL, -ENOMEM */
int node_apply_options(struct described *d, struct node *n,
		       struct error *err);

#endif
