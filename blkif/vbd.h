/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vbd.h: the backend's end of a blkif device: rings, grants, event channels.
 *
 * Protocol: Xen's xen/include/public/io/{blkif,ring}.h. A request is copied
 * off the ring once, judged, given its data and handed to the owner as plain
 * READ, WRITE, FLUSH or DISCARD of bytes; the owner answers it in any order.
 * Barriers and data-carrying flushes are taken apart here. Nothing here knows
 * files, xenstore or an event loop.
 *
 * One thread per struct blkif, whichever it is; several devices do not share
 * anything. Only blkif_connect() and blkif_disconnect() may block, and a grant
 * copy that has to wait for a page of the guest.
 *
 * The owner's loop:
 *
 *	fd readable:	blkif_event()
 *	each turn:	blkif_process(), its own I/O, blkif_push()
 *	before sleep:	blkif_arm(); true: do not sleep, take another turn
 *
 * blkif_process() does not need an event: to poll, call it again and again (a
 * load per queue where nothing is new) and arm only when giving up.
 */
#ifndef XD_BLKIF_VBD_H
#define XD_BLKIF_VBD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/error.h"

#define BLKIF_MAX_QUEUES 16
#define BLKIF_MAX_RING_ORDER 4
#define BLKIF_MAX_RING_PAGES (1 << BLKIF_MAX_RING_ORDER)
#define BLKIF_MAX_INDIRECT 256	/* segments of 4 KiB, what we advertise */

struct xengntdev_handle;
struct xenevtchn_handle;
struct xentoollog_logger;

enum blkif_abi { BLKIF_ABI_X86_64, BLKIF_ABI_X86_32 };

struct blkif_queue_config {
	unsigned int ring_order;	/* log2 of the ring's pages, 0..4 */
	uint32_t ring_ref[BLKIF_MAX_RING_PAGES];
	uint32_t port;			/* the frontend's, to bind to */
};

/* From xenstore, not yet trusted: judged by blkif_connect(). */
struct blkif_config {
	uint32_t domid;
	enum blkif_abi abi;
	unsigned int nr_queues;		/* 1..BLKIF_MAX_QUEUES */
	struct blkif_queue_config queue[BLKIF_MAX_QUEUES];
	unsigned int max_indirect;	/* advertised; 0: none offered */
	bool persistent;		/* both ends said feature-persistent */
	bool readonly;
	bool discard;			/* feature-discard is advertised */
	uint64_t sectors;		/* of 512 bytes, whatever sector_size */
	uint32_t sector_size;		/* advertised; requests align to it */

	/* Bytes at io->state for the owner's use with each request. */
	size_t state_size;

	/* Open handles to be used and kept by the caller, for a process that
	 * may no longer open any; NULL: opened and closed here. */
	struct xengntdev_handle *gnttab;
	struct xenevtchn_handle *evtchn;

	/* Memory of blkif_journal_size() bytes, zeroed or left over by a
	 * predecessor, that outlives this process and remembers the requests
	 * in flight; NULL: they die with it. With `resume`, those that it
	 * holds for these rings are taken again, in their first order. */
	void *journal;
	bool resume;
};

enum blkif_op { BLKIF_READ, BLKIF_WRITE, BLKIF_FLUSH, BLKIF_DISCARD };

/*
 * A request that was found good. It and its buffers are the owner's from
 * submit() until blkif_complete(). The buffers may be the guest's own pages:
 * data read from them twice may differ, and nothing but data is in them. A
 * READ completed with 0 has filled all of them.
 */
struct blkif_io {
	enum blkif_op op;
	uint64_t offset;	/* bytes, within the device */
	uint64_t length;	/* bytes, not 0; 0 for FLUSH */
	struct iovec *iov;	/* READ and WRITE; owner may alter it */
	int niov;
	void *state;		/* state_size bytes, garbage at submit() */
};

struct blkif_ops {
	/* Called from blkif_process() and blkif_push() only. May call
	 * blkif_complete() at once. */
	void (*submit)(void *owner, struct blkif_io *io);
};

struct blkif;

/*
 * Maps the rings, binds the ports and starts where the shared ring's responses
 * end, so that a frontend that is already at work notices nothing.
 * -EINVAL: a number is out of range; -EPROTO: the ring's indexes are mad;
 * -ENOMEM or what the grant and event channel devices said.
 */
int blkif_connect(const struct blkif_config *config,
		  const struct blkif_ops *ops, void *owner, struct blkif **out,
		  struct error *err);

/* Unmaps and unbinds everything and frees it; NULL is fine. Every submitted
 * request must be completed, or its completion must never come. What was
 * completed but not pushed goes unanswered (and stays in the journal). */
void blkif_disconnect(struct blkif *vbd);

/* To open handles with: the libraries' own logger writes a line to stderr for
 * each bad grant, as often as a guest likes. */
struct xentoollog_logger *blkif_quiet_logger(void);

size_t blkif_journal_size(const struct blkif_config *config);

/* Poll it for input; the same for the whole life. */
int blkif_fd(const struct blkif *vbd);

/* The fd is readable: notes which ports fired. They stay masked, and quiet,
 * until blkif_arm(). -errno when the event channel device fails. */
int blkif_event(struct blkif *vbd);

/* Takes up to a bounded number of requests from all queues, in turn. Returns
 * how many, 0: none there that may be taken. -EPROTO: a queue claims more
 * requests than fit; the device is dead then and can only be disconnected. */
int blkif_process(struct blkif *vbd);

/* ret: 0 or -errno. io is gone afterwards. Never submits. */
void blkif_complete(struct blkif_io *io, int ret);

/* Answers everything that was completed (one grant copy for all read data, one
 * notify per queue that asked for it) and goes on with barriers. Cheap when
 * there is nothing. Some answers go out earlier by themselves, so that the
 * frontend works while the backend does. */
void blkif_push(struct blkif *vbd);

/* Before sleeping: asks the frontend for an event with its next request. true:
 * there are requests to take already, or answers to push; do not sleep. */
bool blkif_arm(struct blkif *vbd);

/* Requests that were taken and not yet answered on the ring. */
unsigned int blkif_in_flight(const struct blkif *vbd);

/* Nothing in flight, and nothing on the rings that could be taken. */
bool blkif_idle(const struct blkif *vbd);

/* Stops taking requests off the rings, to drain; or goes on. */
void blkif_quiesce(struct blkif *vbd, bool on);

/* A new size, in sectors of 512 bytes, for requests taken from now on. */
void blkif_set_sectors(struct blkif *vbd, uint64_t sectors);

/* Gives bounce buffers and cold persistent grants back. For the owner to call
 * every few seconds, when the device is or was lately quiet. */
void blkif_trim(struct blkif *vbd);

enum blkif_error {
	BLKIF_ERR_OP,		/* unknown or not offered operation */
	BLKIF_ERR_SEGMENTS,	/* bad count or bad sectors of a segment */
	BLKIF_ERR_RANGE,	/* beyond the end, or unaligned */
	BLKIF_ERR_READONLY,
	BLKIF_ERR_GRANT,	/* a grant could not be mapped or copied */
	BLKIF_ERR_IO,		/* the owner failed it */
	BLKIF_NR_ERRORS
};

struct blkif_stats {
	/* answered with success, as the guest sent them */
	uint64_t reads, writes, flushes, barriers, discards;
	uint64_t bytes_read, bytes_written, bytes_discarded;
	uint64_t errors[BLKIF_NR_ERRORS];
	/* work done */
	uint64_t grant_copies;		/* system calls */
	uint64_t copied_segments;
	uint64_t mapped, unmapped;	/* persistent grants */
	uint64_t events, notifies;
	uint64_t batches;		/* blkif_process() that took some */
};

const struct blkif_stats *blkif_stats(const struct blkif *vbd);

#endif
