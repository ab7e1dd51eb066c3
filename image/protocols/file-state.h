/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * file-state.h: an open node of the protocol "file", for its modules: file.c opens
 * it, file-limits.c finds out what it can do, file-zero.c makes zeroes.
 */
#ifndef XD_IMAGE_FILE_STATE_H
#define XD_IMAGE_FILE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "image/driver.h"
#include "io/aio.h"

struct file_state {
	int fd;
	bool is_device;			/* a block device */
	struct device_limits device;
	struct aio *aio;
	struct aio_file file;
	bool no_zero_range, no_punch;	/* refused before */
	bool reserve;			/* space, before large writes */
	bool zeroes_fast;		/* devices: without writing them */
	uint64_t discard_unit;		/* devices: bytes; pages at least */
	unsigned int pieces;		/* file-zero.c: with the kernel now */
	struct co_queue piece_places;
	int flush_error;		/* -errno of the first failed flush */

	/* Last answer of lseek(): data, for all we know. Stale it may be, but
	 * what once was data can always be taken for data. */
	uint64_t data_start, data_end;
};

/* What is done by a system call in another thread. */
struct file_range_call {
	int fd;
	uint64_t range[2];		/* offset, length */
};

#endif
