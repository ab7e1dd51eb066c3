/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* path.c: see path.h. */
#include "image/graph/path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* "nbd:..." but neither "/nbd:..." nor "dir/a:b". */
static bool has_protocol(const char *name)
{
	size_t n = strcspn(name, ":/");

	return n > 0 && name[n] == ':';
}

static const char *without_scheme(const char *name)
{
	return strncmp(name, "file:", 5) ? name : name + 5;
}

char *image_plain_path(const char *name)
{
	const char *file = without_scheme(name);
	char *plain;

	if (file == name || !has_protocol(file))
		return strdup(file);
	return asprintf(&plain, "./%s", file) < 0 ? NULL : plain;
}

int image_named_path(const char *image_path, const char *what, const char *name,
		     char **full, struct error *err)
{
	const char *slash = strrchr(image_path, '/');
	const char *file = without_scheme(name);
	int dir;

	if (file == name && has_protocol(name))
		return error_set(err, EINVAL, "the image names the %s '%.200s': "
				 "only plain files are opened on an image's "
				 "word", what, name);
	if (!*file)
		return error_set(err, EINVAL, "the %s name is empty", what);
	dir = slash && *file != '/' ? (int)(slash + 1 - image_path) : 0;
	if (!dir)
		*full = image_plain_path(name);
	else if (asprintf(full, "%.*s%s", dir, image_path, file) < 0)
		*full = NULL;
	return *full ? 0 : error_set_errno(err, ENOMEM, "%s", file);
}

int image_backing_path(const char *image_path, const char *name, char **full,
		       struct error *err)
{
	return image_named_path(image_path, "backing file", name, full, err);
}
