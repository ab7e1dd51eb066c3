/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* answer.c: responses onto the rings, in batches. */
#include "blkif/vbd.h"

#include <errno.h>

#include "common/bits.h"
#include "common/log.h"

static int16_t wire_status(int ret)
{
	if (!ret)
		return BLKIF_RSP_OKAY;
	return ret == -EOPNOTSUPP ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR;
}

static void count_success(struct blkif_stats *st, const struct request *req)
{
	switch (req->kind) {
	case REQUEST_READ:
		st->reads++;
		st->bytes_read += req->length;
		return;
	case REQUEST_DISCARD:
		st->discards++;
		st->bytes_discarded += req->length;
		return;
	case REQUEST_WRITE:
		st->writes++;
		break;
	case REQUEST_FLUSH:
		st->flushes++;
		break;
	case REQUEST_BARRIER:
		st->barriers++;
		break;
	}
	st->bytes_written += req->length;
}

static void count_failure(struct blkif *vbd, const struct slot *s)
{
	static const char *const what[] = {
		[BLKIF_ERR_OP] = "operation not supported",
		[BLKIF_ERR_SEGMENTS] = "bad segments",
		[BLKIF_ERR_RANGE] = "beyond the end or not aligned",
		[BLKIF_ERR_READONLY] = "device is read-only",
		[BLKIF_ERR_GRANT] = "bad grant",
	};
	const struct blkif_request *raw = &slot_record(s)->raw;

	vbd->stats.errors[s->error]++;
	if (s->error == BLKIF_ERR_IO)	/* the owner knows, and says, why */
		return;
	log_warn("queue %u: request refused: %s (operation %u, %u segments, "
		 "sector %llu)", s->queue->index, what[s->error],
		 raw->operation, s->req.nr_segments,
		 (unsigned long long)raw->sector_number);
}

static void unmap_data(struct slot *s)
{
	if (!s->mapped)
		return;
	for (unsigned int i = 0; i < s->req.nr_segments; i++)
		grants_put(s->queue->vbd->grants, s->segments[i].grant);
	s->mapped = false;
}

static void respond(struct blkif *vbd, struct slot *s)
{
	struct ring *r = &s->queue->ring;
	struct record *rec = slot_record(s);

	if (s->ret)
		count_failure(vbd, s);
	else
		count_success(&vbd->stats, &s->req);
	unmap_data(s);
	rec->rsp = r->rsp_prod;
	record_set(rec, RECORD_ANSWERED);
	ring_respond(r, s->req.id, s->req.operation, wire_status(s->ret));
}

static void free_slot(struct blkif *vbd, struct slot *s)
{
	struct queue *q = s->queue;

	record_set(slot_record(s), RECORD_FREE);
	vbd->reserved -= s->reserved;
	vbd->starved = false;
	vbd->in_flight--;
	if (unlikely(vbd->touched * GRANT_PAGE > vbd->bounce_max))
		vbd->touched -= queue_drop_bounce(q, s->index);
	q->unused[q->nr_unused++] = (uint16_t)s->index;
}

void vbd_push_done(struct blkif *vbd)
{
	if (!vbd->nr_done)
		return;
	copy_submit(&vbd->out);
	for (unsigned int i = 0; i < vbd->nr_done; i++)
		respond(vbd, vbd->done[i]);
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		if (ring_push(&q->ring)) {
			xenevtchn_notify(vbd->evtchn, (evtchn_port_t)q->port);
			vbd->stats.notifies++;
		}
	}
	for (unsigned int i = 0; i < vbd->nr_done; i++)
		free_slot(vbd, vbd->done[i]);
	vbd->nr_done = 0;
}
