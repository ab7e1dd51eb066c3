/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steps.c: what is asked of the owner for a request, one step after the other. */
#include "blkif/vbd.h"

#include "common/bits.h"

static enum step first_step(const struct slot *s)
{
	switch (s->req.kind) {
	case REQUEST_READ:
	case REQUEST_WRITE:
	case REQUEST_DISCARD:
		return STEP_DATA;
	case REQUEST_FLUSH:
		return STEP_PREFLUSH;
	case REQUEST_BARRIER:
		return s->older ? STEP_DRAIN : STEP_PREFLUSH;
	}
	return STEP_DONE;
}

static enum step next_step(const struct slot *s)
{
	switch (s->step) {
	case STEP_DRAIN:
		return STEP_PREFLUSH;
	case STEP_PREFLUSH:
		return s->req.length ? STEP_DATA : STEP_DONE;
	case STEP_DATA:
		return s->req.kind == REQUEST_BARRIER ? STEP_POSTFLUSH
						      : STEP_DONE;
	case STEP_POSTFLUSH:
	case STEP_DONE:
		break;
	}
	return STEP_DONE;
}

static void submit_step(struct blkif *vbd, struct slot *s)
{
	struct blkif_io *io = &s->io;

	if (s->step == STEP_DATA) {
		io->op = s->req.kind == REQUEST_READ ? BLKIF_READ :
			 s->req.kind == REQUEST_DISCARD ? BLKIF_DISCARD :
							  BLKIF_WRITE;
		io->offset = s->req.offset;
		io->length = s->req.length;
	} else {
		io->op = BLKIF_FLUSH;
		io->offset = io->length = 0;
	}
	vbd->ops->submit(vbd->owner, io);
}

void vbd_submit_ready(struct blkif *vbd)
{
	while (!list_empty(&vbd->ready)) {
		struct slot *s = list_first(&vbd->ready, struct slot, ready);

		list_del(&s->ready);
		submit_step(vbd, s);
	}
}

/* s is through: barriers that were taken after it wait for one less. */
static void release_barriers(struct blkif *vbd, struct slot *s)
{
	if (s->queue->barrier == s) {
		s->queue->barrier = NULL;
		vbd->nr_barriers--;
	}
	for (unsigned int i = 0; vbd->nr_barriers && i < vbd->nr_queues; i++) {
		struct slot *b = vbd->queue[i].barrier;

		if (!b || b->seq < s->seq || --b->older ||
		    b->step != STEP_DRAIN)
			continue;
		b->step = STEP_PREFLUSH;
		list_add_tail(&vbd->ready, &b->ready);
	}
}

static void collect_read_data(struct blkif *vbd, struct slot *s)
{
	char *from = s->bounce;

	for (unsigned int i = 0; i < s->req.nr_segments; i++) {
		const struct segment *seg = &s->segments[i];

		copy_to_guest(&vbd->out, seg->gref, segment_offset(seg),
			      segment_length(seg), from, &s->ret);
		from += segment_length(seg);
	}
}

static void finish(struct blkif *vbd, struct slot *s)
{
	s->step = STEP_DONE;
	vbd->unfinished--;
	if (unlikely(vbd->nr_barriers))
		release_barriers(vbd, s);
	if (!s->ret && s->req.kind == REQUEST_READ && !s->mapped)
		collect_read_data(vbd, s);
	vbd->done[vbd->nr_done++] = s;
	if (vbd->nr_done == PUSH_EVERY)
		vbd_push_done(vbd);
}

void blkif_complete(struct blkif_io *io, int ret)
{
	struct slot *s = container_of(io, struct slot, io);
	struct blkif *vbd = s->queue->vbd;

	if (ret < 0) {
		s->ret = ret;
		s->error = BLKIF_ERR_IO;
		finish(vbd, s);
		return;
	}
	s->step = next_step(s);
	if (s->step == STEP_DONE)
		finish(vbd, s);
	else
		list_add_tail(&vbd->ready, &s->ready);
}

void vbd_begin(struct blkif *vbd, struct slot *s)
{
	if (s->ret) {
		finish(vbd, s);
		return;
	}
	s->step = first_step(s);
	if (s->step != STEP_DRAIN)
		submit_step(vbd, s);
}

void blkif_push(struct blkif *vbd)
{
	do {
		vbd_submit_ready(vbd);
		vbd_push_done(vbd);
	} while (!list_empty(&vbd->ready));
}
