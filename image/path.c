/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* path.c: see path.h. */
#include "image/path.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "nbd:..." but neither "/nbd:..." nor "dir/a:b". */
static bool has_protocol(const char *name)
{
	size_t n = strcspn(name, ":/");

	return n > 0 && name[n] == ':';
}

int image_backing_path(const char *image_path, const char *name, char **full,
		       struct error *err)
{
	const char *slash = strrchr(image_path, '/');
	const char *here = "";
	int dir;

	if (!strncmp(name, "file:", 5))
		name += 5;
	else if (has_protocol(name))
		return error_set(err, EINVAL, "the image names the backing file "
				 "'%.200s': only plain files are opened on an "
				 "image's word", name);
	if (!*name)
		return error_set(err, EINVAL, "the backing file name is empty");
	dir = slash && *name != '/' ? (int)(slash + 1 - image_path) : 0;
	/* "file:nbd:x" is a file, and must stay one without "file:". */
	if (!dir && has_protocol(name))
		here = "./";
	if (asprintf(full, "%.*s%s%s", dir, image_path, here, name) < 0) {
		*full = NULL;
		return error_set_errno(err, ENOMEM, "%s", name);
	}
	return 0;
}
