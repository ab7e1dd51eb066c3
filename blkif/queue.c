/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queue.c: see queue.h. Which requests are taken, and what becomes of them, is
 * decided in process.c.
 */
#include "blkif/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/bits.h"

#define CACHE_LINE 64

static int map_ring(struct queue *q, const struct blkif_config *config,
		    xengnttab_handle *gnttab, struct error *err)
{
	const struct blkif_queue_config *qc = &config->queue[q->index];
	uint32_t ref[BLKIF_MAX_RING_PAGES];

	memcpy(ref, qc->ring_ref, sizeof(ref));
	q->nr_pages = 1u << qc->ring_order;
	q->ring.shared = xengnttab_map_domain_grant_refs(
		gnttab, q->nr_pages, config->domid, ref,
		PROT_READ | PROT_WRITE);
	if (!q->ring.shared)
		return error_set_errno(err, errno ? errno : EINVAL,
				       "cannot map the ring (%u pages, the "
				       "first is grant %u of domain %u)",
				       q->nr_pages, ref[0], config->domid);
	q->ring.abi = abi_of(config->abi);
	q->ring.size = RING_ENTRIES_PER_PAGE << qc->ring_order;
	return 0;
}

/* Zeroed memory that costs nothing until it is touched (but counts where
 * vm.overcommit_memory is 2). Huge pages would spoil that. */
static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_NOHUGEPAGE);
	return p;
}

static void lay_out_slot(struct queue *q, const struct blkif_config *config,
			 unsigned int max_segments)
{
	q->slot_segments = sizeof(struct slot);
	q->slot_iov = q->slot_segments +
		      max_segments * sizeof(struct segment);
	q->slot_state = align_up(q->slot_iov +
				 max_segments * sizeof(struct iovec),
				 CACHE_LINE);
	q->slot_size = align_up(q->slot_state + config->state_size, CACHE_LINE);
}

static int make_slots(struct queue *q, const struct blkif_config *config,
		      struct error *err)
{
	unsigned int max_segments = max(config->max_indirect,
			(unsigned int)BLKIF_MAX_SEGMENTS_PER_REQUEST);

	lay_out_slot(q, config, max_segments);
	q->slots_size = q->slot_size * q->ring.size;
	q->slots = reserve(q->slots_size);
	q->bounce_stride = (size_t)max_segments * GRANT_PAGE;
	q->bounce_size = q->bounce_stride * q->ring.size;
	q->bounce = reserve(q->bounce_size);
	q->touched = calloc(q->ring.size, sizeof(*q->touched));
	if (!q->slots || !q->bounce || !q->touched)
		return error_set_errno(err, ENOMEM, "request slots");
	return 0;
}

/* Sorts the slots of a predecessor's unanswered requests from the unused ones,
 * and finds where the next request stands. */
static int attach(struct queue *q, struct error *err)
{
	struct ring *r = &q->ring;
	uint32_t pending = 0, waiting;

	r->rsp_prod = r->rsp_pushed =
		__atomic_load_n(&r->shared->rsp_prod, __ATOMIC_ACQUIRE);
	for (unsigned int i = r->size; i--;) {
		if (record_pending(&q->records[i], r->rsp_prod)) {
			pending++;
		} else {
			record_set(&q->records[i], RECORD_FREE);
			q->unused[q->nr_unused++] = (uint16_t)i;
		}
	}
	r->req_cons = r->rsp_prod + pending;
	waiting = ring_waiting(r);
	if (waiting > ring_limit(r))
		return error_set(err, EPROTO, "the ring's indexes are mad: "
				 "%u requests wait, room is for %u of %u",
				 waiting, ring_limit(r), r->size);
	return 0;
}

static int bind_port(struct queue *q, const struct blkif_config *config,
		     xenevtchn_handle *evtchn, struct error *err)
{
	uint32_t port = config->queue[q->index].port;

	q->port = xenevtchn_bind_interdomain(evtchn, config->domid, port);
	if (q->port < 0)
		return error_set_errno(err, errno ? errno : EINVAL,
				       "cannot bind to event channel %u of "
				       "domain %u", port, config->domid);
	return 0;
}

int queue_connect(struct queue *q, const struct blkif_config *config,
		  xengnttab_handle *gnttab, xenevtchn_handle *evtchn,
		  unsigned int depth, struct error *err)
{
	int ret = map_ring(q, config, gnttab, err);

	if (!ret)
		ret = make_slots(q, config, err);
	if (!ret)
		ret = attach(q, err);
	q->nr_spare = q->ring.size - min(q->ring.size, depth);
	if (!ret)
		ret = bind_port(q, config, evtchn, err);
	return ret ? error_prefix(err, ret, "queue %u", q->index) : 0;
}

void queue_disconnect(struct queue *q, xengnttab_handle *gnttab,
		      xenevtchn_handle *evtchn)
{
	if (q->port >= 0)
		xenevtchn_unbind(evtchn, (evtchn_port_t)q->port);
	q->port = -1;
	if (q->ring.shared)
		xengnttab_unmap(gnttab, q->ring.shared, q->nr_pages);
	q->ring.shared = NULL;
	if (q->slots)
		munmap(q->slots, q->slots_size);
	q->slots = NULL;
	if (q->bounce)
		munmap(q->bounce, q->bounce_size);
	q->bounce = NULL;
	free(q->touched);
	q->touched = NULL;
}

struct slot *queue_slot(struct queue *q, unsigned int index)
{
	char *memory = (char *)q->slots + index * q->slot_size;
	struct slot *s = (struct slot *)memory;

	s->queue = q;
	s->index = index;
	s->segments = (struct segment *)(memory + q->slot_segments);
	s->iov = (struct iovec *)(memory + q->slot_iov);
	s->bounce = q->bounce + index * q->bounce_stride;
	s->io.state = memory + q->slot_state;
	s->ret = 0;
	s->mapped = false;
	list_init(&s->ready);
	return s;
}

unsigned int queue_drop_bounce(struct queue *q, unsigned int index)
{
	unsigned int pages = q->touched[index];

	if (pages)
		madvise(q->bounce + index * q->bounce_stride,
			pages * (size_t)GRANT_PAGE, MADV_DONTNEED);
	q->touched[index] = 0;
	return pages;
}

void queue_drop_all(struct queue *q)
{
	madvise(q->bounce, q->bounce_size, MADV_DONTNEED);
	madvise(q->slots, q->slots_size, MADV_DONTNEED);
	memset(q->touched, 0, q->ring.size * sizeof(*q->touched));
}
