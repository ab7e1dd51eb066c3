/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vbd.c: events, and what the owner asks of a device. */
#include "blkif/vbd.h"

#include <errno.h>

#include "common/bits.h"

/* ---- events -------------------------------------------------------------- */

int blkif_fd(const struct blkif *vbd)
{
	return xenevtchn_fd(vbd->evtchn);
}

static struct queue *queue_of_port(struct blkif *vbd, int port)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		if (vbd->queue[i].port == port)
			return &vbd->queue[i];
	}
	return NULL;
}

/* A masked port does not fire, so one read a queue empties the device; with a
 * single queue the read that would only say so is spared. */
int blkif_event(struct blkif *vbd)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		int port = xenevtchn_pending(vbd->evtchn);
		struct queue *q;

		if (port < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		q = queue_of_port(vbd, port);
		if (q)
			q->masked = true;
		vbd->stats.events++;
	}
	return 0;
}

/* May its requests be taken? If not, what it waits for will wake the owner. */
static bool open_for_taking(const struct blkif *vbd, const struct queue *q)
{
	return !vbd->dead && !vbd->quiesced && !vbd->starved && !q->barrier &&
	       queue_has_depth(q) && !vbd_replaying(vbd);
}

bool blkif_arm(struct blkif *vbd)
{
	bool more = vbd->nr_done || !list_empty(&vbd->ready) ||
		    (vbd_replaying(vbd) && !vbd->in_flight);

	for (unsigned int i = 0; !more && i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		more = open_for_taking(vbd, q) && ring_arm(&q->ring);
	}
	if (more)
		return true;
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		if (q->masked)
			xenevtchn_unmask(vbd->evtchn, (evtchn_port_t)q->port);
		q->masked = false;
	}
	return false;
}

/* ---- state --------------------------------------------------------------- */

unsigned int blkif_in_flight(const struct blkif *vbd)
{
	return vbd->in_flight;
}

bool blkif_idle(const struct blkif *vbd)
{
	if (vbd->in_flight || vbd_replaying(vbd))
		return false;
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		if (open_for_taking(vbd, &vbd->queue[i]) &&
		    ring_waiting(&vbd->queue[i].ring))
			return false;
	}
	return true;
}

void blkif_quiesce(struct blkif *vbd, bool on)
{
	vbd->quiesced = on;
}

void blkif_set_sectors(struct blkif *vbd, uint64_t sectors)
{
	vbd->limits.size = min(sectors, (uint64_t)INT64_MAX / SECTOR_SIZE) *
			   SECTOR_SIZE;
}

void blkif_trim(struct blkif *vbd)
{
	bool unused = !vbd->in_flight && !vbd_replaying(vbd);

	if (vbd->grants)
		grants_trim(vbd->grants);
	for (unsigned int i = 0; unused && i < vbd->nr_queues; i++)
		queue_drop_all(&vbd->queue[i]);
	if (unused)
		vbd->touched = 0;
}

const struct blkif_stats *blkif_stats(const struct blkif *vbd)
{
	return &vbd->stats;
}
