/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refmap.h: how often each cluster of a file is referenced.
 *
 * A sparse map from cluster number to a count and a few flags, all zero at
 * first. It takes memory where clusters are referenced, not where the file is
 * long: about one byte a cluster in use, more where counts are high, and some 60
 * for one that has no neighbours.
 */
#ifndef XD_IMAGE_REFMAP_H
#define XD_IMAGE_REFMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Flags are the user's; they are or-ed together. */
#define REFMAP_FLAGS 4u
#define REFMAP_COUNT_MAX ((UINT32_C(1) << (32 - REFMAP_FLAGS)) - 1)

#define REFMAP_CELLS 256u

struct refmap_leaf;

struct refmap {
	struct refmap_leaf **slots;	/* open addressing */
	size_t nr_slots;		/* a power of two, or 0 */
	size_t nr_leaves;
	struct refmap_leaf *last;	/* looked up last */
	struct refmap_leaf **sorted;	/* by cluster; NULL: not sorted now */
	size_t bytes;			/* of all this */
	uint8_t spread[REFMAP_CELLS];	/* for refmap_cells() */
};
#define REFMAP_INIT { 0 }

struct refmap_entry {
	uint32_t count;			/* REFMAP_COUNT_MAX: that or more */
	unsigned int flags;
};

/* Adds n references and sets flags; -ENOMEM. */
int refmap_add(struct refmap *m, uint64_t cluster, uint32_t n,
	       unsigned int flags);
/* The same for nr clusters side by side. */
int refmap_add_range(struct refmap *m, uint64_t cluster, uint64_t nr,
		     uint32_t n, unsigned int flags);
struct refmap_entry refmap_get(struct refmap *m, uint64_t cluster);
/* All flags that any of nr clusters side by side has. */
unsigned int refmap_flags(struct refmap *m, uint64_t cluster, uint64_t nr);
/*
 * REFMAP_CELLS cells, those of `cluster` (a multiple of that) and what follows:
 * count << REFMAP_FLAGS | flags. NULL where counts are too high for that. Valid
 * until the map changes, or is asked for others.
 */
const uint8_t *refmap_cells(struct refmap *m, uint64_t cluster);
/* Takes one reference away again where there are any. */
void refmap_drop(struct refmap *m, uint64_t cluster);
/* Forgets a cluster. */
void refmap_clear(struct refmap *m, uint64_t cluster);

/* The first cluster >= from whose count is not zero; false: there is none.
 * The walk sorts what was added since the last one; -ENOMEM through *ret,
 * which is otherwise left alone. */
bool refmap_next(struct refmap *m, uint64_t from, uint64_t *cluster, int *ret);

/* The memory that it takes. */
size_t refmap_bytes(const struct refmap *m);

void refmap_free(struct refmap *m);		/* may be called twice */

#endif
