/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * readahead.h: ranges of an image one after another, read while the ones before
 * are being looked at.
 *
 * Its user gives a function that names the ranges; up to READAHEAD_DEPTH of
 * them, and READAHEAD_BYTES, are read at the same time and handed out in order.
 * All of it belongs to one coroutine.
 */
#ifndef XD_IMAGE_READAHEAD_H
#define XD_IMAGE_READAHEAD_H

#include "io/coroutine.h"
#include "image/image.h"

#define READAHEAD_DEPTH 16u
#define READAHEAD_BYTES (4u << 20)

struct readahead_range {
	uint64_t offset, len;		/* bytes */
	uint8_t *data;			/* 4096-aligned */
	int ret;			/* of the read: 0 or -errno */

	/* internal */
	struct readahead *owner;
	uint64_t room;			/* bytes of data */
	bool reading;
};

struct readahead {
	struct image *img;
	/* co. The next range (len > 0); false: there are no more. */
	bool (*next)(void *arg, uint64_t *offset, uint64_t *len);
	void *arg;
	struct readahead_range slots[READAHEAD_DEPTH];
	unsigned int first, nr;		/* handed out or waiting to be */
	bool held, ended;		/* slots[first] is with the user */
	uint64_t bytes;			/* of all nr */
	struct co_queue done;
};

void readahead_init(struct readahead *ra, struct image *img,
		    bool (*next)(void *arg, uint64_t *offset, uint64_t *len),
		    void *arg);
/* co. The next range, good until the next call; NULL: that was all. */
struct readahead_range *readahead_get(struct readahead *ra);
/* co. Waits for what is under way. May be called twice. */
void readahead_deinit(struct readahead *ra);

#endif
