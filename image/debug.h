/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug.h: breakpoints, where a protocol below makes errors for tests (blkdebug).
 */
#ifndef XD_IMAGE_DEBUG_H
#define XD_IMAGE_DEBUG_H

#include <stdbool.h>

struct image;

/* The next request that comes by `event` waits there. -ENOTSUP: there is no
 * such protocol; -ENOENT: no such event. */
int image_break(struct image *img, const char *event, const char *tag);
/* Lets the request at a breakpoint go on, and the breakpoint is gone; `remove`:
 * also if no request waits. -ENOENT: there is nothing. */
int image_resume(struct image *img, const char *tag, bool remove);
/* Does a request wait there? */
bool image_is_suspended(struct image *img, const char *tag);

#endif
