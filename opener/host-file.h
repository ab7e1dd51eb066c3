/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host-file.h: a file of this host, looked at before it is opened: to open a
 * watchdog starts it, and the program at the other end of a FIFO goes on.
 */
#ifndef XD_OPENER_HOST_FILE_H
#define XD_OPENER_HOST_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "common/error.h"
#include "opener/opener.h"

/* *fd (O_PATH) is what `path` leads to, *st its stat(2). Links are followed, but
 * for a foreign path not those of procfs that lead to what programs have open.
 * Errors of open(2). */
int host_file_find(const char *path, bool foreign, int *fd, struct stat *st);

/* -EINVAL unless it is a regular file or a block device. */
int host_file_judge(const char *path, const struct stat *st, struct error *err);

/* Opens what was found. flags: O_RDONLY, O_RDWR. Errors of open(2). */
int host_file_open_found(int found_fd, int flags, int *fd);

/* The name that the kernel has for it, without links; malloc()ed, NULL: none. */
char *host_file_real_name(int found_fd);

/* All zeroes for what is no block device. */
void host_file_device_limits(const struct stat *st, struct device_limits *l);

#endif
