/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file-id.h: which file it is, whatever it is called.
 *
 * Symbolic links, hard links and all nodes of one block device lead to the same
 * file. One that is zeroed is of no file, and the same as none.
 */
#ifndef XD_COMMON_FILE_ID_H
#define XD_COMMON_FILE_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum file_kind { FILE_NONE, FILE_INODE, FILE_DEVICE };

struct file_id {
	enum file_kind kind;
	uint64_t device;		/* of the file system; a device's own */
	uint64_t inode;			/* 0: a block device has many */
};

void file_id_set(struct file_id *id, const struct stat *st);
/* Of an open file. -errno: *id is of no file. */
int file_id_of_fd(int fd, struct file_id *id);
/* Of what `path` leads to. -errno: *id is of no file. */
int file_id_find(const char *path, struct file_id *id);

bool same_file(const struct file_id *a, const struct file_id *b);
/* Do both names lead to one file, which is there? */
bool same_file_named(const char *a, const char *b);

#endif
