/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.c: see copy.h. Grants of pages that the hypervisor is fetching from its
 * swap answer GNTST_eagain; they are tried again for a bounded time. There is
 * no fallback to mapping for kernels without grant copy (Linux before 4.12).
 */
#include "blkif/copy.h"

#include <errno.h>
#include <time.h>

#include "common/bits.h"

#define EAGAIN_TRIES 10
#define EAGAIN_WAIT_NS 1000000

static xengnttab_grant_copy_segment_t *add(struct copy *c, unsigned int length,
					   int *result)
{
	xengnttab_grant_copy_segment_t *p;

	if (c->nr == COPY_MAX)
		copy_submit(c);
	c->result[c->nr] = result;
	p = &c->piece[c->nr++];
	p->len = (uint16_t)length;
	p->status = GNTST_general_error;
	return p;
}

void copy_from_guest(struct copy *c, uint32_t gref, unsigned int offset,
		     unsigned int length, void *to, int *result)
{
	xengnttab_grant_copy_segment_t *p = add(c, length, result);

	p->flags = GNTCOPY_source_gref;
	p->source.foreign.ref = gref;
	p->source.foreign.offset = (uint16_t)offset;
	p->source.foreign.domid = c->domid;
	p->dest.virt = to;
}

void copy_to_guest(struct copy *c, uint32_t gref, unsigned int offset,
		   unsigned int length, void *from, int *result)
{
	xengnttab_grant_copy_segment_t *p = add(c, length, result);

	p->flags = GNTCOPY_dest_gref;
	p->dest.foreign.ref = gref;
	p->dest.foreign.offset = (uint16_t)offset;
	p->dest.foreign.domid = c->domid;
	p->source.virt = from;
}

static void call(struct copy *c)
{
	c->stats->grant_copies++;
	c->stats->copied_segments += c->nr;
	if (!xengnttab_grant_copy(c->gnttab, c->nr, c->piece))
		return;
	for (unsigned int i = 0; i < c->nr; i++)
		c->piece[i].status = GNTST_general_error;
}

/* Drops what is settled; what shall be tried again moves to the front. */
static void settle(struct copy *c)
{
	unsigned int again = 0;

	for (unsigned int i = 0; i < c->nr; i++) {
		if (likely(c->piece[i].status == GNTST_okay))
			continue;
		if (c->piece[i].status != GNTST_eagain) {
			*c->result[i] = -EFAULT;
			continue;
		}
		c->piece[again] = c->piece[i];
		c->result[again++] = c->result[i];
	}
	c->nr = again;
}

void copy_submit(struct copy *c)
{
	const struct timespec wait = { 0, EAGAIN_WAIT_NS };

	for (int i = 0; c->nr && i < EAGAIN_TRIES; i++) {
		if (i)
			nanosleep(&wait, NULL);
		call(c);
		settle(c);
	}
	for (unsigned int i = 0; i < c->nr; i++)
		*c->result[i] = -EFAULT;
	c->nr = 0;
}
