/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refmap.c: a hash table of leaves, each for 256 neighbouring clusters.
 *
 * A cell is one byte, count and flags, until a count in its leaf outgrows that;
 * then all cells of the leaf become 32 bits wide. Leaves are small so that
 * references strewn over a huge sparse file cost little each.
 */
#include "image/refmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

#define LEAF_BITS 8u
#define LEAF_CELLS REFMAP_CELLS
#define NARROW_COUNT_MAX ((1u << (8 - REFMAP_FLAGS)) - 1)
#define FLAG_MASK ((1u << REFMAP_FLAGS) - 1)

struct refmap_leaf {
	uint64_t key;			/* cluster >> LEAF_BITS */
	uint32_t *wide;			/* NULL: the narrow cells hold */
	uint8_t narrow[LEAF_CELLS];	/* count << REFMAP_FLAGS | flags */
};

static size_t slot_of(const struct refmap *m, uint64_t key)
{
	size_t i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

	for (i &= m->nr_slots - 1; m->slots[i] && m->slots[i]->key != key;)
		i = (i + 1) & (m->nr_slots - 1);
	return i;
}

static struct refmap_leaf *find(struct refmap *m, uint64_t cluster)
{
	uint64_t key = cluster >> LEAF_BITS;

	if (m->last && m->last->key == key)
		return m->last;
	if (!m->nr_slots)
		return NULL;
	struct refmap_leaf *leaf = m->slots[slot_of(m, key)];

	if (leaf)
		m->last = leaf;
	return leaf;
}

static int grow(struct refmap *m)
{
	struct refmap bigger = *m;

	bigger.nr_slots = m->nr_slots ? m->nr_slots * 2 : 64;
	bigger.slots = calloc(bigger.nr_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->nr_slots; i++)
		if (m->slots[i])
			bigger.slots[slot_of(&bigger, m->slots[i]->key)] =
				m->slots[i];
	free(m->slots);
	*m = bigger;
	return 0;
}

static struct refmap_leaf *find_or_make(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find(m, cluster);

	if (leaf)
		return leaf;
	if (m->nr_leaves >= m->nr_slots / 2 && grow(m))
		return NULL;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->key = cluster >> LEAF_BITS;
	m->slots[slot_of(m, leaf->key)] = leaf;
	m->nr_leaves++;
	m->last = leaf;
	free(m->sorted);
	m->sorted = NULL;
	return leaf;
}

static int widen(struct refmap_leaf *leaf)
{
	leaf->wide = malloc(LEAF_CELLS * sizeof(*leaf->wide));
	if (!leaf->wide)
		return -ENOMEM;
	for (unsigned int i = 0; i < LEAF_CELLS; i++)
		leaf->wide[i] = leaf->narrow[i];
	return 0;
}

static uint32_t cell_of(const struct refmap_leaf *leaf, unsigned int i)
{
	return leaf->wide ? leaf->wide[i] : leaf->narrow[i];
}

int refmap_add(struct refmap *m, uint64_t cluster, uint32_t n,
	       unsigned int flags)
{
	struct refmap_leaf *leaf = find_or_make(m, cluster);
	unsigned int i = cluster & (LEAF_CELLS - 1);
	uint32_t cell, count;

	if (!leaf)
		return -ENOMEM;
	cell = cell_of(leaf, i);
	count = cell >> REFMAP_FLAGS;
	count = n > REFMAP_COUNT_MAX - count ? REFMAP_COUNT_MAX : count + n;
	if (count > NARROW_COUNT_MAX && !leaf->wide && widen(leaf))
		return -ENOMEM;
	cell = count << REFMAP_FLAGS | ((cell | flags) & FLAG_MASK);
	if (leaf->wide)
		leaf->wide[i] = cell;
	else
		leaf->narrow[i] = (uint8_t)cell;
	return 0;
}

/* Adds to narrow cells [i, end); false if one is too full: nothing is done. */
static bool add_narrow(struct refmap_leaf *leaf, unsigned int i,
		       unsigned int end, uint32_t n, unsigned int flags)
{
	uint8_t most = 0;

	if (leaf->wide || n > NARROW_COUNT_MAX)
		return false;
	for (unsigned int k = i; k < end; k++)
		most = max(most, leaf->narrow[k]);
	if ((most >> REFMAP_FLAGS) + n > NARROW_COUNT_MAX)
		return false;
	for (unsigned int k = i; k < end; k++)
		leaf->narrow[k] = (uint8_t)((leaf->narrow[k] | flags) +
					    (n << REFMAP_FLAGS));
	return true;
}

int refmap_add_range(struct refmap *m, uint64_t cluster, uint64_t nr,
		     uint32_t n, unsigned int flags)
{
	int ret = 0;

	while (nr && !ret) {
		struct refmap_leaf *leaf = find_or_make(m, cluster);
		unsigned int i = cluster & (LEAF_CELLS - 1);
		unsigned int part = (unsigned int)min(nr,
					(uint64_t)(LEAF_CELLS - i));

		if (!leaf)
			return -ENOMEM;
		if (!add_narrow(leaf, i, i + part, n, flags & FLAG_MASK))
			for (unsigned int k = 0; k < part && !ret; k++)
				ret = refmap_add(m, cluster + k, n, flags);
		cluster += part;
		nr -= part;
	}
	return ret;
}

unsigned int refmap_flags(struct refmap *m, uint64_t cluster, uint64_t nr)
{
	unsigned int flags = 0;

	while (nr) {
		const struct refmap_leaf *leaf = find(m, cluster);
		unsigned int i = cluster & (LEAF_CELLS - 1);
		unsigned int part = (unsigned int)min(nr,
					(uint64_t)(LEAF_CELLS - i));

		for (unsigned int k = i; leaf && k < i + part; k++)
			flags |= cell_of(leaf, k);
		cluster += part;
		nr -= part;
	}
	return flags & FLAG_MASK;
}

const uint8_t *refmap_cells(struct refmap *m, uint64_t cluster)
{
	static const uint8_t none[LEAF_CELLS];
	const struct refmap_leaf *leaf = find(m, cluster);

	return !leaf ? none : leaf->wide ? NULL : leaf->narrow;
}

struct refmap_entry refmap_get(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find(m, cluster);
	uint32_t cell = leaf ? cell_of(leaf, cluster & (LEAF_CELLS - 1)) : 0;

	return (struct refmap_entry){ cell >> REFMAP_FLAGS, cell & FLAG_MASK };
}

void refmap_drop(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find(m, cluster);
	unsigned int i = cluster & (LEAF_CELLS - 1);

	if (!leaf || !(cell_of(leaf, i) >> REFMAP_FLAGS))
		return;
	if (leaf->wide)
		leaf->wide[i] -= 1u << REFMAP_FLAGS;
	else
		leaf->narrow[i] -= 1u << REFMAP_FLAGS;
}

void refmap_clear(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find(m, cluster);

	if (!leaf)
		return;
	leaf->narrow[cluster & (LEAF_CELLS - 1)] = 0;
	if (leaf->wide)
		leaf->wide[cluster & (LEAF_CELLS - 1)] = 0;
}

static int compare_leaves(const void *a, const void *b)
{
	const struct refmap_leaf *const *x = a, *const *y = b;

	return (*x)->key < (*y)->key ? -1 : (*x)->key > (*y)->key;
}

static int sort_leaves(struct refmap *m)
{
	size_t n = 0;

	if (m->sorted)
		return 0;
	m->sorted = malloc(max(m->nr_leaves, (size_t)1) * sizeof(*m->sorted));
	if (!m->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < m->nr_slots; i++)
		if (m->slots[i])
			m->sorted[n++] = m->slots[i];
	qsort(m->sorted, n, sizeof(*m->sorted), compare_leaves);
	return 0;
}

/* Index of the first leaf with a key of at least that. */
static size_t lower_bound(const struct refmap *m, uint64_t key)
{
	size_t lo = 0, hi = m->nr_leaves;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->sorted[mid]->key < key)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool refmap_next(struct refmap *m, uint64_t from, uint64_t *cluster, int *ret)
{
	uint64_t key = from >> LEAF_BITS;

	if (sort_leaves(m)) {
		*ret = -ENOMEM;
		return false;
	}
	for (size_t l = lower_bound(m, key); l < m->nr_leaves; l++) {
		const struct refmap_leaf *leaf = m->sorted[l];
		unsigned int i = leaf->key == key ? from & (LEAF_CELLS - 1) : 0;

		for (; i < LEAF_CELLS; i++)
			if (cell_of(leaf, i) >> REFMAP_FLAGS) {
				*cluster = (leaf->key << LEAF_BITS) + i;
				return true;
			}
	}
	return false;
}

void refmap_free(struct refmap *m)
{
	for (size_t i = 0; i < m->nr_slots; i++)
		if (m->slots[i]) {
			free(m->slots[i]->wide);
			free(m->slots[i]);
		}
	free(m->slots);
	free(m->sorted);
	*m = (struct refmap)REFMAP_INIT;
}
