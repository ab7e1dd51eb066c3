/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * workload.h: random I/O whose every byte is checked against a model of the
 * disk kept in memory, or in a plain file between runs.
 */
#ifndef XD_SIMXEN_WORKLOAD_H
#define XD_SIMXEN_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simxen/blkfront.h"

/* Relative frequencies. What the disk does not offer is left out. */
struct mix {
	unsigned int read, write, flush, barrier, discard;
};

struct workload {
	struct mix mix;
	uint64_t ops;		/* requests, as the guest's file system sees */
	uint64_t seconds;	/* 0: until ops are done */
	unsigned int qd;
	uint32_t max_bytes;	/* a request has 512 bytes to so many */
	uint64_t seed;
	const char *expect;	/* what the disk holds now: a raw image */
	const char *save;	/* where to leave what it holds at the end */
	unsigned int reconnects; /* so often in the middle of it */
};

#define WORKLOAD_DEFAULTS                                                   \
	{ .mix = { 40, 40, 4, 4, 12 }, .ops = 2000, .qd = 16,               \
	  .max_bytes = 128 << 10, .seed = 1 }

struct workload_totals {
	uint64_t requests[BLK_INDIRECT + 1];	/* by enum blk_op */
	uint64_t bytes_read, bytes_written, bytes_discarded;
	uint64_t ring_requests;
};

/* f: opened and connected; it ends connected, with nothing in flight. Ends
 * the program at the first byte that is wrong. */
void workload_run(struct front *f, const struct workload *w,
		  struct workload_totals *totals);

#endif
