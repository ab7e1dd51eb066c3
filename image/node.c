/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* node.c: see node.h. */
#include "image/node.h"

#include <errno.h>
#include <string.h>

#include "common/size.h"
#include "image/create-options.h"
#include "image/image.h"

const char *image_node_path(const struct image_node *node)
{
	while (node->file)
		node = node->file;
	return node->path;
}

const char *image_node_option(const struct image_options *opts,
			      const char *name)
{
	const struct image_node *node = opts->node;

	for (unsigned int i = 0; node && i < node->nr_options; i++)
		if (!strcmp(node->options[i].name, name))
			return node->options[i].value;
	return NULL;
}

int image_node_bytes(const struct image_options *opts, const char *name,
		     uint64_t *value, struct error *err)
{
	const char *text = image_node_option(opts, name);

	if (!text || !size_parse(text, value))
		return 0;
	return error_set(err, EINVAL, "Parameter '%s' expects a size, not '%s'",
			 name, text);
}
