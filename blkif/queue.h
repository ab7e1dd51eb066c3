/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.h: one ring with its event channel, and a slot for each of its entries.
 *
 * A slot holds a request from the moment it is taken until its response is
 * pushed: at most as many as the ring has entries, so slots cannot run out. A
 * slot has room for every segment and a stretch of address space for all of
 * its data, so that nothing is allocated on the way and bounced data is always
 * one piece; memory is only behind what was touched. Slots are given out last
 * in, first out: a calm device touches few of them, and any device no more than
 * its depth.
 */
#ifndef XD_BLKIF_QUEUE_H
#define XD_BLKIF_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>

#include "blkif/journal.h"
#include "blkif/request.h"
#include "blkif/ring.h"
#include "blkif/types.h"
#include "common/list.h"

#define QUEUE_MAX_ENTRIES (RING_ENTRIES_PER_PAGE << BLKIF_MAX_RING_ORDER)

/* What is asked of the owner, in this order; most requests have only DATA. */
enum step { STEP_DRAIN, STEP_PREFLUSH, STEP_DATA, STEP_POSTFLUSH, STEP_DONE };

struct slot {
	struct blkif_io io;
	struct queue *queue;
	struct list ready;	/* waits for its next step to be submitted */
	struct request req;
	struct segment *segments;
	struct iovec *iov;
	char *bounce;		/* page aligned, room for all segments */
	uint64_t reserved;	/* bytes of bounce memory it may touch */
	uint64_t seq;
	unsigned int older;	/* barrier: those before it in the works */
	unsigned int index;
	enum step step;
	enum blkif_error error;	/* what ret, if not 0, is to be counted as */
	int ret;
	bool mapped;		/* the iov are the guest's pages */
};

struct queue {
	/* identity */
	struct blkif *vbd;
	unsigned int index;

	/* the ring and its event channel; shared NULL, port -1: not there */
	struct ring ring;
	unsigned int nr_pages;
	int port;
	bool masked;		/* fired; quiet until it is unmasked */

	/* slots */
	struct record *records;
	void *slots;
	size_t slot_size, slots_size, slot_segments, slot_iov, slot_state;
	char *bounce;
	size_t bounce_stride, bounce_size;
	uint16_t *touched;	/* bounce pages of each slot with memory behind */
	uint16_t unused[QUEUE_MAX_ENTRIES];
	unsigned int nr_unused;
	unsigned int nr_spare;	/* of the unused: beyond the queue's depth */
	struct slot *barrier;	/* holds all behind it back */
};

/* q holds nothing yet but its identity and port -1. depth: requests that may be
 * in flight at a time. For xengnttab and xenevtchn handles that the
 * caller keeps open. On failure queue_disconnect() still has to be called. */
int queue_connect(struct queue *q, const struct blkif_config *config,
		  xengnttab_handle *gnttab, xenevtchn_handle *evtchn,
		  unsigned int depth, struct error *err);
void queue_disconnect(struct queue *q, xengnttab_handle *gnttab,
		      xenevtchn_handle *evtchn);

/* The slot, and with it the record, of that index, made ready for a request. */
struct slot *queue_slot(struct queue *q, unsigned int index);

/* Lets go of the memory behind the bounce buffers of one slot (returns how
 * many pages), or of all slots and buffers while none is in use. */
unsigned int queue_drop_bounce(struct queue *q, unsigned int index);
void queue_drop_all(struct queue *q);

/* May one more request be taken? */
static inline bool queue_has_depth(const struct queue *q)
{
	return q->nr_unused > q->nr_spare;
}

static inline struct record *slot_record(const struct slot *s)
{
	return &s->queue->records[s->index];
}

#endif
