/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grants.c: see grants.h.
 *
 * A hash of 16 bit places into one array. When the array is full, a clock hand
 * chooses who leaves (which comes close to least recently used at the price of
 * one store a use): it moves one place at every EVICT_EVERYth miss, spares a
 * grant that is in use or was used since it last came by, and takes the place
 * of any other. So a miss costs a bounded time, and a guest that walks through
 * more pages than fit does not make us map and unmap one for each of them.
 */
#include "blkif/grants.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "common/bits.h"

#define NONE UINT16_MAX
#define EVICT_EVERY 4

static uint16_t *bucket_of(struct grants *g, uint32_t gref)
{
	/* Fibonacci hashing: references are given out in sequence. */
	return &g->bucket[(gref * UINT32_C(2654435769)) >>
			  (32 - log2_floor(GRANTS_BUCKETS))];
}

struct grants *grants_new(xengnttab_handle *gnttab, uint32_t domid,
			  struct blkif_stats *stats)
{
	struct grants *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->gnttab = gnttab;
	g->domid = domid;
	g->stats = stats;
	for (unsigned int i = 0; i < GRANTS_BUCKETS; i++)
		g->bucket[i] = NONE;
	for (unsigned int i = 0; i < GRANTS_MAX; i++)
		g->grant[i].next = (uint16_t)(i + 1);
	g->grant[GRANTS_MAX - 1].next = NONE;
	return g;
}

static void evict(struct grants *g, unsigned int place)
{
	struct grant *e = &g->grant[place];
	uint16_t *link = bucket_of(g, e->gref);

	while (*link != place)
		link = &g->grant[*link].next;
	*link = e->next;
	xengnttab_unmap(g->gnttab, e->page, 1);
	e->page = NULL;
	e->next = g->unused;
	g->unused = (uint16_t)place;
	g->nr--;
	g->stats->unmapped++;
}

void grants_free(struct grants *g)
{
	if (!g)
		return;
	for (unsigned int i = 0; i < GRANTS_MAX; i++) {
		if (g->grant[i].page)
			evict(g, i);
	}
	free(g);
}

/* May find nobody: then the caller copies this once. */
static void make_room(struct grants *g)
{
	struct grant *e;

	if (++g->misses % EVICT_EVERY)
		return;
	e = &g->grant[g->hand];
	if (!e->users && !e->referenced)
		evict(g, g->hand);
	e->referenced = false;
	g->hand = (g->hand + 1) % GRANTS_MAX;
}

static int map(struct grants *g, uint32_t gref)
{
	uint16_t place, *link = bucket_of(g, gref);
	struct grant *e;
	void *page;

	if (g->unused == NONE)
		make_room(g);
	if (g->unused == NONE)
		return -1;
	page = xengnttab_map_grant_ref(g->gnttab, g->domid, gref,
				       PROT_READ | PROT_WRITE);
	if (!page)
		return -1;
	place = g->unused;
	e = &g->grant[place];
	g->unused = e->next;
	*e = (struct grant){ .page = page, .gref = gref, .users = 1,
			     .next = *link, .referenced = true };
	*link = place;
	g->nr++;
	g->stats->mapped++;
	return place;
}

int grants_get(struct grants *g, uint32_t gref)
{
	for (uint16_t p = *bucket_of(g, gref); p != NONE;
	     p = g->grant[p].next) {
		struct grant *e = &g->grant[p];

		if (e->gref == gref) {
			e->users++;
			e->referenced = true;
			return p;
		}
	}
	return map(g, gref);
}

void grants_trim(struct grants *g)
{
	for (unsigned int i = 0; i < GRANTS_MAX; i++) {
		struct grant *e = &g->grant[i];

		if (e->page && !e->users && !e->referenced)
			evict(g, i);
		e->referenced = false;
	}
}
