/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lock.h: image locks that QEMU and qemu-img understand.
 *
 * They are open file description locks (fcntl(2), F_OFD_SETLK), all of them
 * read locks, on single bytes of the image file: byte 100 + i says "I do i",
 * byte 200 + i says "nobody else may do i". Who wants to do i asks whether
 * anybody holds 200 + i; who forbids i asks whether anybody holds 100 + i.
 * (Source: QEMU's block/file-posix.c; held bytes seen with qemu-io 7.2.)
 */
#ifndef XD_IMAGE_LOCK_H
#define XD_IMAGE_LOCK_H

#include <stdbool.h>

#include "common/error.h"

/*
 * Readers allow other readers; a writer allows nobody. The locks end with the
 * last descriptor of this open file; opening the same file again conflicts
 * like another program does. -EAGAIN: somebody else has it open. Other errors
 * of fcntl(2) where the file system has no locks. On an error the locks that
 * were taken stay until the file is closed.
 */
int image_lock(int fd, const char *path, bool write, struct error *err);

/* Lets go of them before the file is closed: where a ring of io_uring knows it, the
 * kernel may close it later. */
void image_unlock(int fd);

/* Would image_lock() be refused now? The same errors, and nothing is taken. */
int image_probe_locks(int fd, const char *path, bool write, struct error *err);

#endif
