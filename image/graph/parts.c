/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* parts.c: see parts.h. */
#include "image/graph/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "image/driver.h"
#include "image/graph/files.h"
#include "image/graph/open.h"
#include "image/graph/path.h"
#include "opener/local.h"

/* A file that `parent` names (full NULL: it records none), or a person for it
 * (OPENER_IMAGE), not yet a node. */
static int ask_for(const struct image *parent, enum opener_purpose purpose,
		   const char *full, const char *what, struct opened *out,
		   struct error *err)
{
	const struct opener_ask ask = {
		.purpose = purpose,
		.write = parent->flags & IMAGE_RDWR,
		.by = purpose == OPENER_IMAGE ? NULL : parent->path,
		.name = full,
	};
	struct error why = ERROR_INIT;
	int ret = opener_open(parent->options.opener, &ask, out, &why);

	if (ret && why.msg[0])
		return error_set(err, -ret, "%s", why.msg);
	return ret ? error_set_errno(err, -ret, "%s '%s'", what, full) : 0;
}

/* Is it the file of `img` or of an image that stands on it? */
static int require_other_file(const struct image *img, const struct opened *o,
			      struct error *err)
{
	struct file_id id;
	int ret = file_id_of_fd(o->fd, &id);

	for (; !ret && img; img = img->overlay)
		if (image_find_file(img->file, &id))
			return error_set(err, ELOOP, "the data file '%s' is the "
					 "image '%s'", o->name, img->path);
	return ret;
}

static bool opener_names_data(const struct image *img)
{
	return img->options.opener && img->options.opener->names_data;
}

/* Opens what the image records, relative to it, or what the opener knows. */
static int open_recorded(struct image *parent, const char *path,
			 struct opened *out, struct error *err)
{
	cleanup_free char *full = NULL;
	int ret = 0;

	if (!path && !opener_names_data(parent))
		return error_set(err, EINVAL, "'data-file' is required for this "
				 "image: its data lies in another file, whose "
				 "name is not recorded");
	if (parent->flags & IMAGE_GUESSED)
		return error_set(err, EACCES, "the image's data is said to be "
				 "in '%.200s', which is not opened for an image "
				 "whose format is a guess (-f qcow2 says so)",
				 path);
	if (path)
		ret = image_named_path(parent->path, "data file", path, &full,
				       err);
	return ret ? ret : ask_for(parent, OPENER_DATA, full, "data file",
				   out, err);
}

int image_judge_data_file(struct image *parent, const char *path,
			  struct error *err)
{
	struct opened opened;
	int ret;

	if (!opener_names_data(parent))
		return 0;
	ret = open_recorded(parent, path, &opened, err);
	if (ret == 0)
		opened_clear(&opened);
	return ret;
}

int image_open_data_file(struct image *parent, const char *path,
			 struct error *err)
{
	const struct image_node *node = parent->options.node;
	struct opened opened = OPENED_INIT;
	int ret = node && node->data_file ?
		ask_for(parent, OPENER_IMAGE, node->data_file, "data file",
			&opened, err) :
		open_recorded(parent, path, &opened, err);

	if (!ret)
		ret = require_other_file(parent, &opened, err);
	if (!ret)
		ret = image_open_opened(parent->loop, &opened, &parent->options,
					&parent->data, err);
	opened_clear(&opened);
	return ret;
}

int image_open_part(struct image *parent, const char *name,
		    struct image **part, struct error *err)
{
	struct opened opened = OPENED_INIT;
	cleanup_free char *full = NULL;
	int ret;

	if ((parent->flags & IMAGE_GUESSED) && !(parent->flags & IMAGE_NO_IO))
		return error_set(err, EACCES, "the image's data is said to be "
				 "in '%.200s', which is not opened for an image "
				 "whose format is a guess (-f %s says so)", name,
				 parent->driver->name);
	ret = image_named_path(parent->path, "file", name, &full, err);
	if (!ret)
		ret = ask_for(parent, OPENER_PART, full, "file", &opened,
			      err);
	if (!ret)
		ret = image_open_opened(parent->loop, &opened, &parent->options,
					part, err);
	opened_clear(&opened);
	return ret;
}
