/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vbd.h: a device within this room, and the way of requests through it.
 *
 *	process.c                                    steps.c
 *	ring --take--> fresh --judge, fetch data--> begin --submit--> owner
 *	                                              ^                 |
 *	                                        ready +---next step-----+
 *	answer.c                                                        |
 *	ring <--answer, push, notify-- done <--collect read data--------+
 *
 * Everything moves in batches: all requests found in one look at the rings
 * share one grant copy for their indirect descriptors and one for their data,
 * and all that are done share one for what was read. A request that turns out
 * bad walks the same way with `ret` set, and is answered like any other.
 *
 * A barrier waits until all requests that were taken before it, on any queue,
 * are through (they count down `older`), flushes, writes and flushes again;
 * its own queue is not taken from meanwhile. A flush with data is flushed and
 * then written, as Linux has it, and waits for nobody.
 *
 * The owner is called from blkif_process() and blkif_push() only; completions
 * may arrive inside of that or at any other time and only move slots between
 * lists. They may also answer a full batch, which calls nobody.
 */
#ifndef XD_BLKIF_VBD_H
#define XD_BLKIF_VBD_H

#include "blkif/blkif.h"
#include "blkif/copy.h"
#include "blkif/grants.h"
#include "blkif/queue.h"

/* Requests taken in one blkif_process(). */
#define BATCH 64

/* Answers that are worth a push of their own, so that the frontend sends more
 * while the rest is in the works. */
#define PUSH_EVERY 8

/* Bounce memory, unless the owner says how much: no request is taken that could
 * exceed it; what other slots hold of it is given back at once where it is
 * needed, not at the next trim. */
#define BOUNCE_DEFAULT (64 * MiB)

/* Requests taken and not answered, of all queues: each has a slot, and a
 * coroutine of the owner's. Their share is a queue's depth, which is not less
 * than a frontend's ring of two pages. */
#define IN_FLIGHT_MAX 512u
#define DEPTH_LEAST 64u

struct blkif {
	/* identity */
	const struct blkif_ops *ops;
	void *owner;
	struct limits limits;
	unsigned int nr_queues;
	uint64_t bounce_max;	/* bytes */

	/* handles, journal; owned ones are closed at the end */
	xengnttab_handle *gnttab, *own_gnttab;
	xenevtchn_handle *evtchn, *own_evtchn;
	void *own_journal;
	struct grants *grants;	/* of all queues; NULL unless persistent */

	/* requests by stage of life */
	struct slot **replay;	/* a predecessor's, to be taken again */
	unsigned int replay_next, nr_replay;
	struct slot *fresh[BATCH];
	unsigned int nr_fresh;
	struct list ready;	/* the next step may be submitted */
	struct slot *done[PUSH_EVERY];
	unsigned int nr_done;

	/* counts */
	uint64_t seq;
	unsigned int in_flight;	/* taken, not pushed */
	unsigned int unfinished;	/* taken, not done */
	unsigned int nr_barriers;
	uint64_t reserved;	/* bytes of bounce memory spoken for */
	uint64_t touched;	/* pages of it with memory behind */

	/* state */
	unsigned int first;	/* the queue that is looked at first */
	bool dead;		/* a ring went mad */
	bool quiesced;
	bool starved;		/* a request waits for bounce memory */

	struct blkif_stats stats;
	struct copy in, out;	/* guest to us, us to guest */
	struct queue queue[BLKIF_MAX_QUEUES];
};

/* Not all of a predecessor's requests have been taken again. */
static inline bool vbd_replaying(const struct blkif *vbd)
{
	return vbd->replay_next < vbd->nr_replay;
}

/* ---- steps.c ---- */

/* A request that was taken: on to the owner, or to its answer if it is bad. */
void vbd_begin(struct blkif *vbd, struct slot *s);
/* What barriers and completions have made ready. */
void vbd_submit_ready(struct blkif *vbd);

/* ---- answer.c ---- */

/* Calls nobody: also reached out of completions. */
void vbd_push_done(struct blkif *vbd);

#endif
