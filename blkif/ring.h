/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ring.h: the indexes of one shared ring (xen/io/ring.h), backend's side.
 *
 * The frontend owns req_prod and rsp_event and may put anything there at any
 * time: each is read once where it is used. What we believe stands in the
 * private indexes. Indexes run freely and wrap; only their differences count.
 */
#ifndef XD_BLKIF_RING_H
#define XD_BLKIF_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "blkif/abi.h"

struct ring {
	struct blkif_sring *shared;
	struct abi abi;
	uint32_t size;		/* entries, a power of two */
	uint32_t req_cons;	/* requests taken so far */
	uint32_t rsp_prod;	/* responses written so far */
	uint32_t rsp_pushed;	/* and shown to the frontend */
};

#define RING_ENTRIES_PER_PAGE 32u

static inline void *ring_entry(const struct ring *r, uint32_t index)
{
	return (char *)r->shared->ring +
	       (size_t)(index & (r->size - 1)) * r->abi.stride;
}

/* Requests waiting to be taken. More than ring_limit(): the index is mad.
 * The acquire pairs with the frontend's barrier between request and index. */
static inline uint32_t ring_waiting(const struct ring *r)
{
	return __atomic_load_n(&r->shared->req_prod, __ATOMIC_ACQUIRE) -
	       r->req_cons;
}

/* Entries that hold neither a taken request nor an unread response. */
static inline uint32_t ring_limit(const struct ring *r)
{
	return r->size - (r->req_cons - r->rsp_prod);
}

/* The next request; it is taken by req_cons++. */
static inline void ring_peek(const struct ring *r, struct blkif_request *out)
{
	abi_load(r->abi, ring_entry(r, r->req_cons), out);
}

/* Field by field: padding of ours never reaches the guest (XSA-216). */
static inline void ring_respond(struct ring *r, uint64_t id, uint8_t operation,
				int16_t status)
{
	volatile struct abi_response *rsp = ring_entry(r, r->rsp_prod);

	rsp->id = id;
	rsp->operation = operation;
	rsp->status = status;
	r->rsp_prod++;
}

/* Shows all responses; true: the frontend wants an event for one of them. */
static inline bool ring_push(struct ring *r)
{
	uint32_t old = r->rsp_pushed, event;

	if (old == r->rsp_prod)
		return false;
	/* Pairs with the frontend's barrier behind its read of rsp_prod. */
	__atomic_store_n(&r->shared->rsp_prod, r->rsp_prod, __ATOMIC_RELEASE);
	/* Pairs with the one between its rsp_event and its last look. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = __atomic_load_n(&r->shared->rsp_event, __ATOMIC_RELAXED);
	r->rsp_pushed = r->rsp_prod;
	return r->rsp_prod - event < r->rsp_prod - old;
}

/* Asks for an event with the next request; how many came in before that. */
static inline uint32_t ring_arm(struct ring *r)
{
	__atomic_store_n(&r->shared->req_event, r->req_cons + 1,
			 __ATOMIC_RELAXED);
	/* Pairs with the frontend's between its req_prod and req_event. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_waiting(r);
}

#endif
