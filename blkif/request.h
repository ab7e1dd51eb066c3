/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.h: what a guest asks for, judged.
 *
 * Pure functions over a private copy; nothing is mapped or copied here. After
 * both have said yes every number in struct request can be relied on. Units on
 * the ring are sectors of 512 bytes, whatever sector-size was advertised; here
 * and behind they are bytes.
 *
 * Each reason for a no has its errno, see request_error():
 *	-EOPNOTSUPP	unknown operation, or one that was not advertised
 *	-EINVAL		bad count of segments, bad sectors within a page
 *	-ERANGE		beyond the end of the device, not aligned, or nothing
 *	-EROFS		changes a read-only device
 */
#ifndef XD_BLKIF_REQUEST_H
#define XD_BLKIF_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "blkif/abi.h"

#define GRANT_PAGE 4096u	/* of a grant and a ring, on all machines */

enum request_kind {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,		/* with segments: flush, then write them */
	REQUEST_BARRIER,	/* also without segments */
	REQUEST_DISCARD,
};

/* A blkif segment as it stands on the ring, with our use of its padding. */
struct segment {
	uint32_t gref;
	uint8_t first, last;	/* sectors of the page, both included */
	uint16_t grant;		/* of a mapped page: its place in the cache */
};

struct request {
	uint64_t id;
	enum request_kind kind;
	uint8_t operation;	/* for the response: the inner of INDIRECT */
	bool indirect;
	uint16_t nr_segments;
	uint32_t indirect_gref;	/* all that we allow fit into one page */
	uint64_t offset, length;	/* bytes */
};

struct limits {
	uint64_t size;		/* bytes */
	uint32_t sector_size;	/* a power of two */
	unsigned int max_indirect;
	bool readonly, discard;
};

/* Everything but the segments, which are fetched in between: those of a direct
 * request stand in raw->seg. id and operation are set even if it says no. */
int request_judge(const struct blkif_request *raw, const struct limits *limits,
		  struct request *req);

/* The segments, if there are any, and with them length and range. */
int request_judge_segments(struct request *req, const struct segment *segments,
			   const struct limits *limits);

enum blkif_error request_error(int ret);

static inline unsigned int segment_offset(const struct segment *s)
{
	return s->first * 512u;
}

static inline unsigned int segment_length(const struct segment *s)
{
	return (s->last - s->first + 1u) * 512u;
}

#endif
