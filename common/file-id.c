/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file-id.c: see file-id.h. */
#include "common/file-id.h"

#include <errno.h>

void file_id_set(struct file_id *id, const struct stat *st)
{
	if (S_ISBLK(st->st_mode))
		*id = (struct file_id){ FILE_DEVICE, st->st_rdev, 0 };
	else
		*id = (struct file_id){ FILE_INODE, st->st_dev, st->st_ino };
}

int file_id_of_fd(int fd, struct file_id *id)
{
	struct stat st;

	*id = (struct file_id){ FILE_NONE, 0, 0 };
	if (fstat(fd, &st))
		return -errno;
	file_id_set(id, &st);
	return 0;
}

int file_id_find(const char *path, struct file_id *id)
{
	struct stat st;

	*id = (struct file_id){ FILE_NONE, 0, 0 };
	if (stat(path, &st))
		return -errno;
	file_id_set(id, &st);
	return 0;
}

bool same_file(const struct file_id *a, const struct file_id *b)
{
	return a->kind != FILE_NONE && a->kind == b->kind &&
	       a->device == b->device && a->inode == b->inode;
}

bool same_file_named(const char *a, const char *b)
{
	struct file_id x, y;

	return !file_id_find(a, &x) && !file_id_find(b, &y) &&
	       same_file(&x, &y);
}
