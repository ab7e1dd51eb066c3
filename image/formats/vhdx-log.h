/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhdx-log.h: the log of a VHDX image that was not closed, replayed in memory.
 */
#ifndef XD_IMAGE_VHDX_LOG_H
#define XD_IMAGE_VHDX_LOG_H

#include "image/formats/patched.h"

/* offsets in the header */
enum {
	VHDX_AT_LOG_GUID = 48, VHDX_AT_LOG_VERSION = 64, VHDX_AT_VERSION = 66,
	VHDX_AT_LOG_LENGTH = 68, VHDX_AT_LOG_OFFSET = 72,
};

struct vhdx_log {
	struct patched after;		/* the file as it is after replay */
	uint8_t *buf;			/* with the changes */
};

/* Has the image a log to be replayed? */
bool vhdx_log_is_needed(const uint8_t *header);
/* co. Reads and judges it. -EINVAL, -ENOTSUP, -EFBIG with the sentence; -ENOMEM;
 * to be deinitialised even then. */
int vhdx_log_replay(struct vhdx_log *log, struct image *file,
		    const uint8_t *header, struct error *err);
/* May be called twice, or on zeroed memory. */
void vhdx_log_deinit(struct vhdx_log *log);

#endif
