/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * blkfront.h: a block frontend modelled on Linux's: negotiation, rings,
 * persistent or per-request grants, indirect segments, both ABIs.
 *
 * The wire format is that of xen/io/blkif.h, written down here once more and
 * independently of the daemon's own header, so that each tests the other.
 * Sectors are 512 bytes. One thread. An answer that breaks the protocol ends
 * the program with a sentence.
 */
#ifndef XD_SIMXEN_BLKFRONT_H
#define XD_SIMXEN_BLKFRONT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/simxen/simxen.h"
#include "tests/simxen/store.h"
#include "tests/simxen/toolstack.h"

#define SECTOR 512u
#define PAGE_SECTORS (SIMXEN_PAGE / SECTOR)
#define MAX_QUEUES 16
#define MAX_RING_ORDER 4
#define CONNECT_TIMEOUT_MS 10000
#define REQUEST_TIMEOUT_MS 60000

enum blk_op {
	BLK_READ = 0, BLK_WRITE = 1, BLK_BARRIER = 2, BLK_FLUSH = 3,
	BLK_DISCARD = 5, BLK_INDIRECT = 6,
};

enum { BLK_OKAY = 0, BLK_ERROR = -1, BLK_EOPNOTSUPP = -2 };

#define DIRECT_SEGMENTS 11
#define SEGMENTS_PER_PAGE 512
#define MAX_INDIRECT_PAGES 8

/* A piece of a page, as it lies in a request and in an indirect page. */
struct seg {
	uint32_t gref;
	uint8_t first, last;	/* sectors, both inclusive */
	uint16_t pad;
};

static inline uint32_t seg_sectors(const struct seg *s)
{
	return s->last - s->first + 1u;
}

/* Where the fields lie: the two ABIs differ in alignment only. */
struct abi {
	uint16_t entry_size;	/* of a slot in the ring */
	uint8_t id, sector, seg;	/* seg: also a discard's nr_sectors */
	uint8_t indirect_handle, indirect_grefs;
};

struct front_options {
	const char *protocol;	/* NULL: none is written, x86_32 is meant */
	unsigned int ring_order;
	unsigned int queues;
	unsigned int indirect;	/* segments wanted; 0: never */
	bool persistent;
};

#define FRONT_DEFAULTS                                                      \
	{ .protocol = "x86_64-abi", .queues = 1, .indirect = 32,            \
	  .persistent = true }

/* One slot of a ring that a request is in. */
struct shadow {
	uint64_t id;
	uint8_t op;		/* expected back: the inner one of indirect */
	bool busy;
	void *cookie;
};

struct queue {
	struct front *front;
	uint8_t *ring;
	uint32_t ring_ref;
	uint32_t size;		/* slots */
	uint32_t req_prod, rsp_cons;
	struct port *port;
	struct shadow *shadow;
	uint32_t *free;		/* a stack of unused shadow numbers */
	uint32_t nr_free;
	uint32_t indirect_ref;	/* indirect_pages for every slot */
	uint64_t notified;	/* notifications sent */
};

struct front {
	struct machine machine;
	struct vbd_paths vbd;
	struct front_options opts;
	const struct abi *abi;
	int epoll_fd;

	/* negotiated */
	unsigned int nr_queues, ring_order;
	bool persistent;
	unsigned int max_segs, indirect_pages;
	struct queue queue[MAX_QUEUES];

	/* pages of ours that the backend may still have mapped for good */
	struct kept_pages {
		uint32_t ref, n;
	} *kept;
	unsigned int nr_kept;

	/* told by the backend */
	uint64_t sectors;
	uint32_t sector_size, physical_sector_size;
	uint32_t info;
	bool has_flush, has_barrier, has_discard;
	uint32_t discard_granularity, discard_alignment;
};

void front_open(struct front *f, uint32_t domid, const char *vdev,
		const struct front_options *opts);
void front_close(struct front *f);

/* What Linux does when it finds a device that somebody left connected or
 * closed: 5, 6 and 1, each answered before the next. */
void front_reset(struct front *f);

/* The whole way from wherever the device is to Connected, and back to
 * Closed (backend: 6, nothing of ours mapped or bound any more). */
void front_connect(struct front *f);
void front_disconnect(struct front *f);

/* The steps of it, in this order, for those who do them otherwise. */
void front_probe(struct front *f);	/* reads what is on offer */
void front_alloc_rings(struct front *f);
void front_remove_stale(struct front *f, xs_transaction_t t);
void front_write_rings(struct front *f, xs_transaction_t t);
void front_read_info(struct front *f);
void front_set_state(struct front *f, enum xenbus_state state);
void front_wait_backend(struct front *f, unsigned int mask);
void front_check_released(struct front *f);
void front_free_rings(struct front *f);

/* Frees data pages; persistent ones only when the connection has ended. */
void front_free_pages(struct front *f, uint32_t ref, uint32_t n);

/* What the backend says is wrong: its error or hotplug-error, or "". The
 * caller frees it. */
char *front_backend_error(const struct front *f);

/* Puts a request into the ring; false when it is full. Nothing is visible to
 * the backend before queue_push(). At most max_segs segments. */
bool queue_submit(struct queue *q, enum blk_op op, uint64_t sector,
		  const struct seg *segs, unsigned int nr_segs, void *cookie);
bool queue_discard(struct queue *q, uint64_t sector, uint64_t nr_sectors,
		   void *cookie);

/* The next slot, zeroed but for its id; the caller fills in what it likes,
 * then says which operation is to be answered. NULL: full. */
uint8_t *queue_raw(struct queue *q, void *cookie);
void queue_expect(struct queue *q, uint8_t op);

/* Publishes, and notifies where the backend asked for it. */
void queue_push(struct queue *q);

/* Calls done() for each answer there is; returns how many. */
typedef void queue_done(void *ctx, void *cookie, int status);
unsigned int queue_reap(struct queue *q, queue_done *done, void *ctx);

/* Takes the answers without looking at them. The requests' numbers are mixed up
 * after it: only for a queue that goes on blindly until it is closed. */
unsigned int queue_reap_blindly(struct queue *q);

/* Asks for a wake-up at the next answer; true when one is there already. */
bool queue_final_check(struct queue *q);
uint32_t queue_in_flight(const struct queue *q);

/* Sleeps until some queue was notified. False after timeout_ms. */
bool front_wait(struct front *f, int timeout_ms);

#endif
