/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parts.c: see parts.h. */
#include "image/graph/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/file-id.h"
#include "image/graph/data-rule.h"
#include "image/driver.h"
#include "image/graph/files.h"
#include "image/graph/open.h"
#include "image/graph/path.h"

/* Is it the file of `img` or of an image that stands on it? */
static int require_other_file(const struct image *img, const char *path,
			      struct error *err)
{
	struct file_id id;
	int ret = file_id_find(path, &id);

	if (ret)
		return error_set_errno(err, -ret, "data file '%s'", path);
	for (; img; img = img->overlay)
		if (image_find_file(img->file, &id))
			return error_set(err, ELOOP, "the data file '%s' is the "
					 "image '%s'", path, img->path);
	return 0;
}

/* A path that the user gives is taken as it is; a recorded one is relative to
 * the image, and has to fit the data rule. */
static int data_path(const struct image *parent, const char *path, char **full,
		     struct error *err)
{
	const struct image_data_rule *rule = &parent->options.data_rule;
	const struct image_node *node = parent->options.node;

	if (node && node->data_file) {
		*full = strdup(node->data_file);
		return *full ? 0 : -ENOMEM;
	}
	if (rule->kind != IMAGE_DATA_ANY)
		return data_rule_judge(rule, parent->path, !parent->overlay,
				       path, full, err);
	if (!path)
		return error_set(err, EINVAL, "'data-file' is required for this "
				 "image: its data lies in another file, whose "
				 "name is not recorded");
	if (parent->flags & IMAGE_GUESSED)
		return error_set(err, EACCES, "the image's data is said to be "
				 "in '%.200s', which is not opened for an image "
				 "whose format is a guess (-f qcow2 says so)",
				 path);
	return image_named_path(parent->path, "data file", path, full, err);
}

int image_judge_data_file(struct image *parent, const char *path,
			  struct error *err)
{
	cleanup_free char *full = NULL;

	if (parent->options.data_rule.kind == IMAGE_DATA_ANY)
		return 0;
	return data_path(parent, path, &full, err);
}

int image_open_data_file(struct image *parent, const char *path,
			 struct error *err)
{
	struct image_options opts = parent->options;
	cleanup_free char *full = NULL;
	int ret = data_path(parent, path, &full, err);

	if (!ret)
		ret = require_other_file(parent, full, err);
	if (!ret)
		ret = image_open_file(parent->loop, full, true, &opts,
				&parent->data, err);
	return error_prefix(ret ? err : NULL, ret, "data file");
}

int image_open_part(struct image *parent, const char *name,
		    struct image **part, struct error *err)
{
	cleanup_free char *full = NULL;
	int ret;

	if ((parent->flags & IMAGE_GUESSED) && !(parent->flags & IMAGE_NO_IO))
		return error_set(err, EACCES, "the image's data is said to be "
				 "in '%.200s', which is not opened for an image "
				 "whose format is a guess (-f %s says so)", name,
				 parent->driver->name);
	ret = image_named_path(parent->path, "file", name, &full, err);
	if (!ret)
		ret = image_judge_beside(parent->path, full, err);
	return ret ? ret : image_open_file(parent->loop, full, true,
					   &parent->options, part, err);
}
