/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench.h: load without verification, as cheap to make as can be.
 */
#ifndef XD_SIMXEN_BENCH_H
#define XD_SIMXEN_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simxen/blkfront.h"

struct bench {
	bool write, random;
	uint32_t bytes;		/* of a request; a multiple of 4096 */
	unsigned int qd;
	double seconds;		/* 0: until count requests are done */
	uint64_t count;
	uint64_t seed;
	uint64_t limit;		/* stay below this byte; 0: the whole disk */
};

#define BENCH_DEFAULTS                                                      \
	{ .random = true, .bytes = 4096, .qd = 32, .seconds = 2, .seed = 1 }

/* f: connected. Prints one JSON object with requests, seconds, iops, MiB/s,
 * p50 and p99 in microseconds, notifications, and the frontend's own CPU. */
void bench_run(struct front *f, const struct bench *b);

#endif
