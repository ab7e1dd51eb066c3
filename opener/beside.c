/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* beside.c: see beside.h. */
#include "opener/beside.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"

static int stat_folder(const char *path, struct stat *st)
{
	const char *slash = strrchr(path, '/');
	cleanup_free char *folder =
		slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");

	return folder && !stat(folder, st) ? 0 : -errno;
}

/* By what the folders are, not by what they are called. */
static int judge_folders(const char *image_name, const char *path,
			 struct error *err)
{
	struct stat image, other;
	int ret = stat_folder(image_name, &image);

	if (!ret)
		ret = stat_folder(path, &other);
	if (ret)
		return error_set_errno(err, -ret, "the folder of '%.200s'",
				       path);
	if (image.st_dev != other.st_dev || image.st_ino != other.st_ino)
		return error_set(err, EACCES, "'%.200s' is in another folder "
				 "than the image", path);
	return 0;
}

int judge_beside(const char *image_name, const char *name, const char *real,
		 struct error *err)
{
	struct stat st;
	int ret = judge_folders(image_name, name, err);

	if (ret)
		return ret;
	if (!real || lstat(real, &st))
		return error_set_errno(err, real ? errno : ENOENT, "'%.200s'",
				       name);
	ret = judge_folders(image_name, real, err);
	if (ret)
		return error_prefix(err, ret, "'%.200s' is a link", name);
	if (!S_ISREG(st.st_mode))
		return error_set(err, EACCES, "'%.200s' is not a regular file",
				 name);
	return 0;
}
