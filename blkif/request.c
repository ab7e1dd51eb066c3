/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request.c: see request.h. Rules: xen/io/blkif.h and what Linux's xen-blkback
 * takes and refuses; the guest chose every number that is looked at.
 */
#include "blkif/request.h"

#include <errno.h>

#include "common/bits.h"

#define SECTORS_PER_PAGE (GRANT_PAGE / SECTOR_SIZE)

/* One page of descriptors holds as many segments as we ever allow. */
_Static_assert(BLKIF_MAX_INDIRECT * sizeof(struct segment) <= GRANT_PAGE &&
	       sizeof(struct segment) == sizeof(struct blkif_request_segment),
	       "indirect descriptors");

static int judge_range(const struct request *req, const struct limits *limits)
{
	if (!is_aligned(req->offset | req->length, limits->sector_size))
		return -ERANGE;
	return range_within(req->offset, req->length, limits->size) ? 0
								    : -ERANGE;
}

static int set_offset(struct request *req, uint64_t sector)
{
	return mul_overflow(sector, SECTOR_SIZE, &req->offset) ? -ERANGE : 0;
}

static int judge_discard(const struct blkif_request_discard *raw,
			 const struct limits *limits, struct request *req)
{
	req->kind = REQUEST_DISCARD;
	if (!limits->discard)
		return -EOPNOTSUPP;
	if (limits->readonly)
		return -EROFS;
	if (set_offset(req, raw->sector_number) ||
	    mul_overflow(raw->nr_sectors, SECTOR_SIZE, &req->length) ||
	    !req->length)
		return -ERANGE;
	return judge_range(req, limits);
}

static int judge_indirect(const struct blkif_request_indirect *raw,
			  const struct limits *limits, struct request *req)
{
	req->operation = raw->indirect_op;
	req->indirect = true;
	req->nr_segments = raw->nr_segments;
	req->indirect_gref = raw->indirect_grefs[0];
	if (!limits->max_indirect)
		return -EOPNOTSUPP;
	if (raw->indirect_op != BLKIF_OP_READ &&
	    raw->indirect_op != BLKIF_OP_WRITE)
		return -EINVAL;
	if (!raw->nr_segments || raw->nr_segments > limits->max_indirect)
		return -EINVAL;
	req->kind = raw->indirect_op == BLKIF_OP_READ ? REQUEST_READ
						      : REQUEST_WRITE;
	if (limits->readonly && req->kind == REQUEST_WRITE)
		return -EROFS;
	return set_offset(req, raw->sector_number);
}

static int judge_direct(const struct blkif_request *raw,
			const struct limits *limits, struct request *req)
{
	bool may_be_empty = req->kind == REQUEST_FLUSH ||
			    req->kind == REQUEST_BARRIER;

	req->nr_segments = raw->nr_segments;
	if (raw->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST)
		return -EINVAL;
	if (!raw->nr_segments)	/* and its sector means nothing */
		return may_be_empty ? 0 : -EINVAL;
	if (limits->readonly && req->kind != REQUEST_READ)
		return -EROFS;
	return set_offset(req, raw->sector_number);
}

int request_judge(const struct blkif_request *raw, const struct limits *limits,
		  struct request *req)
{
	*req = (struct request){ .id = raw->id, .operation = raw->operation };

	switch (raw->operation) {
	case BLKIF_OP_READ:
		req->kind = REQUEST_READ;
		return judge_direct(raw, limits, req);
	case BLKIF_OP_WRITE:
		req->kind = REQUEST_WRITE;
		return judge_direct(raw, limits, req);
	case BLKIF_OP_WRITE_BARRIER:
		req->kind = REQUEST_BARRIER;
		return judge_direct(raw, limits, req);
	case BLKIF_OP_FLUSH_DISKCACHE:
		req->kind = REQUEST_FLUSH;
		return judge_direct(raw, limits, req);
	case BLKIF_OP_DISCARD:
		return judge_discard((const void *)raw, limits, req);
	case BLKIF_OP_INDIRECT:
		return judge_indirect((const void *)raw, limits, req);
	default:
		return -EOPNOTSUPP;
	}
}

int request_judge_segments(struct request *req, const struct segment *segments,
			   const struct limits *limits)
{
	if (!req->nr_segments)
		return 0;
	req->length = 0;
	for (unsigned int i = 0; i < req->nr_segments; i++) {
		if (segments[i].last >= SECTORS_PER_PAGE ||
		    segments[i].first > segments[i].last)
			return -EINVAL;
		req->length += segment_length(&segments[i]);
	}
	return judge_range(req, limits);
}

enum blkif_error request_error(int ret)
{
	switch (ret) {
	case -EOPNOTSUPP:
		return BLKIF_ERR_OP;
	case -EINVAL:
		return BLKIF_ERR_SEGMENTS;
	case -EROFS:
		return BLKIF_ERR_READONLY;
	default:
		return BLKIF_ERR_RANGE;
	}
}
