/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress.h: how callers hear about what takes long.
 */
#ifndef XD_IMAGE_PROGRESS_H
#define XD_IMAGE_PROGRESS_H

#include <stdint.h>

/* How far something that takes long has come; of no particular unit. */
struct image_progress {
	void (*set)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

#endif
