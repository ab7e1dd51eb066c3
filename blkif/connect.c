/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* connect.c: maps rings and binds ports, after a predecessor, too; and lets go of them. */
#include "blkif/vbd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <xentoollog.h>

#include "common/bits.h"
#include "common/log.h"

static int judge_config(const struct blkif_config *c, struct error *err)
{
	if (c->domid >= DOMID_FIRST_RESERVED)
		return error_set(err, EINVAL, "no domain id: %u", c->domid);
	if (!c->nr_queues || c->nr_queues > BLKIF_MAX_QUEUES)
		return error_set(err, EINVAL, "%u queues: 1 to %d are possible",
				 c->nr_queues, BLKIF_MAX_QUEUES);
	if (c->max_indirect > BLKIF_MAX_INDIRECT)
		return error_set(err, EINVAL, "%u indirect segments: at most "
				 "%d are possible", c->max_indirect,
				 BLKIF_MAX_INDIRECT);
	if (!is_pow2(c->sector_size) || c->sector_size < SECTOR_SIZE ||
	    c->sector_size > GRANT_PAGE)
		return error_set(err, EINVAL, "no sector size: %u",
				 c->sector_size);
	for (unsigned int i = 0; i < c->nr_queues; i++) {
		if (c->queue[i].ring_order > BLKIF_MAX_RING_ORDER)
			return error_set(err, EINVAL, "ring order %u: at most "
					 "%d is possible",
					 c->queue[i].ring_order,
					 BLKIF_MAX_RING_ORDER);
	}
	return 0;
}

static void log_nothing(struct xentoollog_logger *logger, xentoollog_level level,
			int errnoval, const char *context, const char *format,
			va_list al)
{
}

static void progress_nothing(struct xentoollog_logger *logger,
			     const char *context, const char *what, int percent,
			     unsigned long done, unsigned long total)
{
}

struct xentoollog_logger *blkif_quiet_logger(void)
{
	static struct xentoollog_logger quiet = {
		.vmessage = log_nothing, .progress = progress_nothing,
	};

	return &quiet;
}

static int open_handles(struct blkif *vbd, const struct blkif_config *config,
			struct error *err)
{
	int fd, flags;

	vbd->gnttab = config->gnttab;
	if (!vbd->gnttab)
		vbd->gnttab = vbd->own_gnttab =
			xengnttab_open(blkif_quiet_logger(), 0);
	if (!vbd->gnttab)
		return error_set_errno(err, errno, "grant device");
	vbd->evtchn = config->evtchn;
	if (!vbd->evtchn)
		vbd->evtchn = vbd->own_evtchn =
			xenevtchn_open(blkif_quiet_logger(), 0);
	if (!vbd->evtchn)
		return error_set_errno(err, errno, "event channel device");
	fd = xenevtchn_fd(vbd->evtchn);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set_errno(err, errno, "event channel device");
	return 0;
}

static int open_journal(struct blkif *vbd, const struct blkif_config *config,
			struct error *err)
{
	void *journal = config->journal;
	int ret;

	if (!journal)
		journal = vbd->own_journal =
			calloc(1, blkif_journal_size(config));
	if (!journal)
		return error_set_errno(err, ENOMEM, "journal");
	ret = journal_open(journal, config, err);
	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		vbd->queue[i].records = journal_records(journal, config, i);
	return ret;
}

static int by_seq(const void *a, const void *b)
{
	uint64_t x = slot_record(*(struct slot *const *)a)->seq;
	uint64_t y = slot_record(*(struct slot *const *)b)->seq;

	return x < y ? -1 : x > y;
}

/* Slots whose records were pending are those that attaching left out. */
static int find_replay(struct blkif *vbd, struct error *err)
{
	size_t n = 0;

	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		n += vbd->queue[i].ring.size - vbd->queue[i].nr_unused;
	if (!n)
		return 0;
	vbd->replay = calloc(n, sizeof(*vbd->replay));
	if (!vbd->replay)
		return error_set_errno(err, ENOMEM, "requests to replay");
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		struct queue *q = &vbd->queue[i];

		for (unsigned int j = 0; j < q->ring.size; j++) {
			if (q->records[j].state != RECORD_FREE)
				vbd->replay[vbd->nr_replay++] =
					queue_slot(q, j);
		}
	}
	qsort(vbd->replay, n, sizeof(*vbd->replay), by_seq);
	vbd->seq = slot_record(vbd->replay[n - 1])->seq + 1;
	log_info("%zu requests of a predecessor are taken again", n);
	return 0;
}

static int connect_queues(struct blkif *vbd, const struct blkif_config *config,
			  struct error *err)
{
	unsigned int depth = max(IN_FLIGHT_MAX / vbd->nr_queues, DEPTH_LEAST);

	if (config->persistent) {
		vbd->grants = grants_new(vbd->gnttab, config->domid,
					 &vbd->stats);
		if (!vbd->grants)
			return error_set_errno(err, ENOMEM, "grants");
	}
	for (unsigned int i = 0; i < vbd->nr_queues; i++) {
		int ret = queue_connect(&vbd->queue[i], config, vbd->gnttab,
					vbd->evtchn, depth, err);

		if (ret)
			return ret;
	}
	return find_replay(vbd, err);
}

/* The predecessor may have died between a push and its event. */
static void notify_all(struct blkif *vbd)
{
	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		xenevtchn_notify(vbd->evtchn,
				 (evtchn_port_t)vbd->queue[i].port);
}

static struct blkif *new_vbd(const struct blkif_config *config,
			     const struct blkif_ops *ops, void *owner)
{
	struct blkif *vbd = calloc(1, sizeof(*vbd));

	if (!vbd)
		return NULL;
	vbd->ops = ops;
	vbd->owner = owner;
	vbd->nr_queues = config->nr_queues;
	vbd->bounce_max = config->bounce_max ?: BOUNCE_DEFAULT;
	vbd->limits = (struct limits){
		.sector_size = config->sector_size,
		.max_indirect = config->max_indirect,
		.readonly = config->readonly,
		.discard = config->discard,
	};
	blkif_set_sectors(vbd, config->sectors);
	list_init(&vbd->ready);
	for (unsigned int i = 0; i < BLKIF_MAX_QUEUES; i++) {
		vbd->queue[i].vbd = vbd;
		vbd->queue[i].index = i;
		vbd->queue[i].port = -1;
	}
	return vbd;
}

int blkif_connect(const struct blkif_config *config,
		  const struct blkif_ops *ops, void *owner, struct blkif **out,
		  struct error *err)
{
	struct blkif *vbd;
	int ret = judge_config(config, err);

	*out = NULL;
	if (ret)
		return ret;
	vbd = new_vbd(config, ops, owner);
	if (!vbd)
		return error_set_errno(err, ENOMEM, "vbd");
	ret = open_handles(vbd, config, err);
	if (!ret)
		ret = open_journal(vbd, config, err);
	if (!ret) {
		vbd->in.gnttab = vbd->out.gnttab = vbd->gnttab;
		vbd->in.stats = vbd->out.stats = &vbd->stats;
		vbd->in.domid = vbd->out.domid = (uint16_t)config->domid;
		ret = connect_queues(vbd, config, err);
	}
	if (ret) {
		blkif_disconnect(vbd);
		return ret;
	}
	if (config->resume)
		notify_all(vbd);
	*out = vbd;
	return 0;
}

void blkif_disconnect(struct blkif *vbd)
{
	if (!vbd)
		return;
	for (unsigned int i = 0; i < vbd->nr_queues; i++)
		queue_disconnect(&vbd->queue[i], vbd->gnttab, vbd->evtchn);
	grants_free(vbd->grants);
	if (vbd->own_gnttab)
		xengnttab_close(vbd->own_gnttab);
	if (vbd->own_evtchn)
		xenevtchn_close(vbd->own_evtchn);
	free(vbd->own_journal);
	free(vbd->replay);
	free(vbd);
}
