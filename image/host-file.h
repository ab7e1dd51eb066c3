/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host-file.h: files of this host, made by path, and what block devices tell.
 */
#ifndef XD_IMAGE_HOST_FILE_H
#define XD_IMAGE_HOST_FILE_H

#include <stdint.h>

#include "common/error.h"
#include "image/create-options.h"
#include "image/image.h"

/* Of a block device, bytes. -errno */
int host_device_size(int fd, uint64_t *size);

/* Asks the file system not to copy on write in the file, which is empty. Only
 * btrfs does so; others are not asked for anything. */
void host_file_set_nocow(int fd);

/* co. A file of `size` bytes of zeroes in place of what was there; a device only
 * has to be as large, and keeps its contents. -EAGAIN: another program has it
 * open; -ENOSPC... */
int host_file_create(struct loop *loop, const char *path, uint64_t size,
		     const struct image_create_option *options,
		     unsigned int nr_options, struct error *err);
/* The options that it knows, those of raw images therefore. */
extern const struct image_create_help host_file_create_help[];

#endif
