/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* overwrite.c: see overwrite.h. */
#include "image/graph/overwrite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/file-id.h"
#include "image/driver.h"
#include "image/graph/files.h"
#include "image/graph/format.h"
#include "image/graph/open.h"
#include "image/graph/path.h"
#include "image/graph/protocol.h"

/* ---- what is to be made ---- */

static const char *option(const struct image_create_option *options,
			  unsigned int nr, const char *name)
{
	while (nr--)
		if (!strcmp(options[nr].name, name))
			return options[nr].value;
	return NULL;
}

/* The files that image_create() empties where they are there already. */
struct made {
	const char *path;
	char *data;			/* NULL: none; free()d */
	struct file_id path_id, data_id;
};

static void find_made(struct made *m, const char *path,
		      const struct image_create_option *options,
		      unsigned int nr)
{
	const char *data = option(options, nr, "data_file");
	const struct image_driver *protocol;

	*m = (struct made){ .path = path };
	protocol = protocol_of(&m->path, NULL);
	if (!protocol || !protocol->host_file)
		return;			/* nothing is made there */
	file_id_find(m->path, &m->path_id);
	if (data && !image_backing_path(m->path, data, &m->data, NULL))
		file_id_find(m->data, &m->data_id);
}

static int judge_made(const struct image *img, const char *path,
		      const struct file_id *id, struct error *err)
{
	const struct image *found = image_find_file(img, id);

	return !found ? 0 :
		error_set(err, EINVAL, "'%s' would be overwritten, but it is "
			  "the file '%s' that the image '%s' is read from: what "
			  "is written needs another name", path, found->path,
			  img->path);
}

int image_judge_create(const struct image *img, const char *path,
		       const struct image_create_option *options,
		       unsigned int nr_options, struct error *err)
{
	struct made m;
	int ret;

	find_made(&m, path, options, nr_options);
	ret = judge_made(img, m.path, &m.path_id, err);
	if (!ret && m.data)
		ret = judge_made(img, m.data, &m.data_id, err);
	free(m.data);
	return ret;
}

bool image_would_empty(const char *path,
		       const struct image_create_option *options,
		       unsigned int nr_options)
{
	struct made m;

	find_made(&m, path, options, nr_options);
	free(m.data);
	return m.path_id.kind != FILE_NONE || m.data_id.kind != FILE_NONE;
}

int image_judge_backing(struct loop *loop, const char *path,
			const struct image_create_option *options,
			unsigned int nr_options, struct error *err)
{
	const struct image_options opts = {
		.flags = IMAGE_NO_IO | IMAGE_SHARE | IMAGE_ALL_FILES,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	const char *name = option(options, nr_options, "backing_file");
	const char *format = image_backing_format(
		option(options, nr_options, "backing_fmt"));
	cleanup_free char *full = NULL;
	struct file_id id;
	struct image *img;
	int ret;

	if (!name || !format || !image_would_empty(path, options, nr_options) ||
	    image_backing_path(path, name, &full, NULL) ||
	    file_id_find(full, &id))
		return 0;
	ret = image_open(loop, full, format, &opts, &img, err);
	if (ret)
		return error_prefix(err, ret, "'%s' is there already, and "
				    "whether the backing file stands on it "
				    "cannot be told (remove it first if "
				    "nothing does)", path);
	ret = image_judge_create(img, path, options, nr_options, err);
	image_close(img, NULL);
	return ret;
}

/* ---- what a header is to say ---- */

/* What stands in the image under that name, which need not be there. */
static void find_named(const struct image *img, const char *name, char **full,
		       struct file_id *id)
{
	*id = (struct file_id){ FILE_NONE, 0, 0 };
	if (name && *name && !image_backing_path(img->path, name, full, NULL))
		file_id_find(*full, id);
}

static int judge_chain(const struct image *img, const struct image *chain,
		       const struct file_id *data, struct error *err)
{
	const struct image *found = image_find_written(chain, img->file);

	if (!found)
		found = image_find_file(chain, data);
	return !found ? 0 :
		error_set(err, EINVAL, "'%s' cannot stand on '%s', which is "
			  "read from the file '%s' that '%s' writes to: another "
			  "name is needed", img->path, chain->path, found->path,
			  img->path);
}

int image_judge_names(const struct image *img, const char *backing,
		      const char *format, const char *data, struct error *err)
{
	const struct image_options opts = {
		.flags = IMAGE_NO_IO | IMAGE_SHARE | IMAGE_ALL_FILES,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	cleanup_free char *base = NULL, *full = NULL;
	struct file_id base_id, data_id;
	struct image *chain;
	int ret;

	find_named(img, data, &full, &data_id);
	if (!data && img->data)
		data_id = img->data->id;
	if (data && image_find_file(img->file, &data_id))
		return error_set(err, EINVAL, "the data file '%s' is the image "
				 "'%s': it needs a name of its own", data,
				 img->path);
	find_named(img, backing, &base, &base_id);
	if (base_id.kind == FILE_NONE)
		return 0;		/* it will be, perhaps */
	if (image_find_file(img->file, &base_id) ||
	    same_file(&base_id, &data_id))
		return error_set(err, EINVAL, "'%s' cannot stand on '%s', "
				 "which is a file of its own: another name is "
				 "needed", img->path, base);
	format = image_backing_format(format ? format : "raw");
	if (image_open(img->loop, base, format, &opts, &chain, NULL))
		return 0;
	ret = judge_chain(img, chain, &data_id, err);
	image_close(chain, NULL);
	return ret;
}
