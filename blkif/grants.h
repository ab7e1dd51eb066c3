/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grants.h: the grants of one disk that stay mapped (feature-persistent).
 *
 * A frontend that said feature-persistent uses the same pages again and again.
 * Each is mapped when it is first seen and found by its reference from then
 * on. Who does not get a page copies instead: a full cache, or a grant that
 * cannot be mapped, is no error here.
 *
 * All that a backend domain maps of others is written down in one table of
 * Xen's, maptrack: 1024 frames of 256 entries by default, for all disks of all
 * guests. xen-blkback keeps up to 1056 grants a ring, which with four rings of
 * each disk fill it at 62 disks. So here it is as many for a disk, whatever its
 * queues: the busy ones have them, and 248 disks fill the table.
 */
#ifndef XD_BLKIF_GRANTS_H
#define XD_BLKIF_GRANTS_H

#include <stdbool.h>
#include <stdint.h>

#include <xengnttab.h>

#include "blkif/types.h"

/* What a ring page's worth of requests of 32 segments can need: the 1024 pages
 * of data and 32 of descriptors that Linux allows a ring. */
#define GRANTS_MAX 1056
#define GRANTS_BUCKETS 2048

struct grant {
	void *page;
	uint32_t gref;
	uint32_t users;
	uint16_t next;		/* in its bucket, or of the unused */
	bool referenced;	/* since the hand last came by */
};

struct grants {
	xengnttab_handle *gnttab;
	struct blkif_stats *stats;
	uint32_t domid;
	unsigned int nr;	/* mapped */
	unsigned int hand;
	unsigned int misses;
	uint16_t unused;
	uint16_t bucket[GRANTS_BUCKETS];
	struct grant grant[GRANTS_MAX];
};

/* NULL: no memory. The rest may only be called with what this returned. */
struct grants *grants_new(xengnttab_handle *gnttab, uint32_t domid,
			  struct blkif_stats *stats);

/* Unmaps all; nobody may be using any. NULL is fine. */
void grants_free(struct grants *g);

/* The place of a mapped page, which stays until grants_put(); -1: none. */
int grants_get(struct grants *g, uint32_t gref);

static inline void *grants_page(const struct grants *g, unsigned int place)
{
	return g->grant[place].page;
}

static inline void grants_put(struct grants *g, unsigned int place)
{
	g->grant[place].users--;
}

/* Unmaps what was not used since the last call. */
void grants_trim(struct grants *g);

#endif
