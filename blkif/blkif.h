/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blkif.h: the backend's end of a blkif device: rings, grants, event channels.
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
#ifndef XD_BLKIF_BLKIF_H
#define XD_BLKIF_BLKIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blkif/types.h"
#include "common/error.h"

struct blkif;
struct xentoollog_logger;

struct blkif_ops {
	/* Called from blkif_process() and blkif_push() only. May call
	 * blkif_complete() at once. */
	void (*submit)(void *owner, struct blkif_io *io);
};

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

const struct blkif_stats *blkif_stats(const struct blkif *vbd);

#endif
