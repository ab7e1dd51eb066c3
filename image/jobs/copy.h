/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.h: the contents of images into another, what convert does.
 *
 * The sources stand one behind the other. What of them reads as zeroes is not
 * read where the format says so, and found by looking where it does not; it is
 * not written either where the target is known to be zero. Pieces are read,
 * looked at, compressed and written side by side and out of order, unless the
 * target is a stream.
 */
#ifndef XD_TOOL_COPY_H
#define XD_TOOL_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "image/image.h"
#include "image/jobs/pieces.h"

#define COPY_PARTS_MAX 16
#define COPY_SPARSE_MAX (UINT64_C(16) << 20)

struct copy_source {
	struct image *img;
	uint64_t start;			/* of it in the target, bytes */
	uint64_t skip;			/* of it that is left out before */
};

struct copy {
	/* given */
	struct loop *loop;
	struct copy_source *sources;
	unsigned int nr_sources;
	struct image *target;		/* NULL: a stream */
	int stream;			/* file descriptor, target NULL */
	uint64_t total;			/* bytes, at most of all sources */
	unsigned int parts;		/* side by side, 1 to COPY_PARTS_MAX */
	uint64_t min_sparse;		/* bytes; 0: all is data */
	/* Data is not looked at for zeroes, and copied by the host where it can;
	 * cleared when it cannot. */
	bool no_scan, in_host;
	uint64_t rate;			/* bytes a second, 0: unlimited */
	uint64_t cluster;		/* bytes, of compressed writes; 0: plain */
	bool target_is_zero;
	/* What the first source does not have itself shows through in the
	 * target, as far as the backing image of that reaches. */
	bool shares_backing;
	bool salvage;			/* unreadable sectors become zeroes */
	bool quiet;			/* salvage does not tell which */

	/* told, bytes */
	uint64_t done, read, written, zeroed;
	uint64_t unreadable;		/* of salvage */

	/* its own */
	bool failed;			/* and has said so */
	struct pieces pieces;
	uint64_t next_write_ns;		/* rate */
	struct co_queue turns;		/* writers to a stream */
};

/* co. EXIT_OK or EXIT_FAILED, printed. */
int copy_run(struct copy *c);

/*
 * co. The target is a writable image of size 0 that grows with what comes out of
 * the file descriptor, up to its end; c->total tells how much it was.
 */
int copy_from_stream(struct copy *c, int fd);

#endif
