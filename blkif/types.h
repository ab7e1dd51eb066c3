/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* types.h: what goes in and out of a blkif device; blkif.h says how. */
#ifndef XD_BLKIF_TYPES_H
#define XD_BLKIF_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BLKIF_MAX_QUEUES 16
#define BLKIF_MAX_RING_ORDER 4
#define BLKIF_MAX_RING_PAGES (1 << BLKIF_MAX_RING_ORDER)
#define BLKIF_MAX_INDIRECT 256	/* segments of 4 KiB, what we advertise */

struct xengntdev_handle;
struct xenevtchn_handle;

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

	/* Bytes of memory for data that cannot be mapped, 0: 64 MiB. Requests
	 * are left on the rings while they could exceed it. */
	uint64_t bounce_max;

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

#endif
