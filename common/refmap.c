/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refmap.c: a hash table of leaves, each for 256 neighbouring clusters.
 *
 * A leaf of up to FEW references has them in itself, so that those strewn over a
 * huge sparse file cost little each. With more it has cells, of one byte each,
 * count and flags, until a count outgrows that; then all become 32 bits wide.
 */
#include "common/refmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

#define LEAF_BITS 8u
#define LEAF_CELLS REFMAP_CELLS
#define FEW 3u
#define LEAF_BYTES (sizeof(struct refmap_leaf) + sizeof(size_t))	/* malloc's */
#define NARROW_MAX 0xffu
#define NARROW_COUNT_MAX (NARROW_MAX >> REFMAP_FLAGS)
#define FLAG_MASK ((1u << REFMAP_FLAGS) - 1)

struct refmap_leaf {
	uint64_t key;			/* cluster >> LEAF_BITS */
	void *cells;			/* count << REFMAP_FLAGS | flags, in
					 * uint8_t or uint32_t; NULL: `few` */
	bool wide;
	uint8_t nr_few;
	uint8_t at[FEW], few[FEW];
};

static size_t leaf_slot(const struct refmap *m, uint64_t key)
{
	size_t i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

	for (i &= m->nr_slots - 1; m->slots[i] && m->slots[i]->key != key;)
		i = (i + 1) & (m->nr_slots - 1);
	return i;
}

static struct refmap_leaf *find_leaf(struct refmap *m, uint64_t cluster)
{
	uint64_t key = cluster >> LEAF_BITS;

	if (m->last && m->last->key == key)
		return m->last;
	if (!m->nr_slots)
		return NULL;
	struct refmap_leaf *leaf = m->slots[leaf_slot(m, key)];

	if (leaf)
		m->last = leaf;
	return leaf;
}

static int grow_refmap(struct refmap *m)
{
	struct refmap bigger = *m;

	bigger.nr_slots = m->nr_slots ? m->nr_slots * 2 : 64;
	bigger.slots = calloc(bigger.nr_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	bigger.bytes += (bigger.nr_slots - m->nr_slots) * sizeof(*m->slots);
	for (size_t i = 0; i < m->nr_slots; i++)
		if (m->slots[i])
			bigger.slots[leaf_slot(&bigger, m->slots[i]->key)] =
				m->slots[i];
	free(m->slots);
	*m = bigger;
	return 0;
}

static struct refmap_leaf *find_or_make(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find_leaf(m, cluster);

	if (leaf)
		return leaf;
	if (m->nr_leaves >= m->nr_slots / 2 && grow_refmap(m))
		return NULL;
	leaf = calloc(1, sizeof(*leaf));
	if (!leaf)
		return NULL;
	leaf->key = cluster >> LEAF_BITS;
	m->slots[leaf_slot(m, leaf->key)] = leaf;
	m->nr_leaves++;
	m->bytes += LEAF_BYTES;
	m->last = leaf;
	free(m->sorted);
	m->sorted = NULL;
	return leaf;
}

/* ---- the cells of a leaf ---- */

static uint32_t cell_of(const struct refmap_leaf *leaf, unsigned int i)
{
	const uint32_t *wide = leaf->cells;
	const uint8_t *narrow = leaf->cells;

	if (leaf->cells)
		return leaf->wide ? wide[i] : narrow[i];
	for (unsigned int k = 0; k < leaf->nr_few; k++)
		if (leaf->at[k] == i)
			return leaf->few[k];
	return 0;
}

static void copy_few(const struct refmap_leaf *leaf, uint8_t *narrow)
{
	for (unsigned int k = 0; k < leaf->nr_few; k++)
		narrow[leaf->at[k]] = leaf->few[k];
}

/* Gives it cells. */
static int spread(struct refmap *m, struct refmap_leaf *leaf)
{
	uint8_t *narrow = calloc(LEAF_CELLS, 1);

	if (!narrow)
		return -ENOMEM;
	copy_few(leaf, narrow);
	leaf->cells = narrow;
	m->bytes += LEAF_CELLS;
	return 0;
}

static int widen_leaf(struct refmap *m, struct refmap_leaf *leaf)
{
	uint32_t *wide = malloc(LEAF_CELLS * sizeof(*wide));

	if (!wide)
		return -ENOMEM;
	for (unsigned int i = 0; i < LEAF_CELLS; i++)
		wide[i] = cell_of(leaf, i);
	free(leaf->cells);
	leaf->cells = wide;
	leaf->wide = true;
	m->bytes += LEAF_CELLS * sizeof(*wide);
	return 0;
}

/* Where one of few is or goes; FEW: there is no room. */
static unsigned int few_of(const struct refmap_leaf *leaf, unsigned int i)
{
	unsigned int k = 0;

	while (k < leaf->nr_few && leaf->at[k] != i)
		k++;
	return k;
}

/* One that is not more than before always goes. */
static int set_cell(struct refmap *m, struct refmap_leaf *leaf,
		    unsigned int i, uint32_t cell)
{
	unsigned int k = few_of(leaf, i);
	int ret = 0;

	if (cell > NARROW_MAX && !leaf->wide)
		ret = widen_leaf(m, leaf);
	else if (!leaf->cells && k == FEW)
		ret = spread(m, leaf);
	if (ret)
		return ret;
	if (leaf->wide) {
		((uint32_t *)leaf->cells)[i] = cell;
	} else if (leaf->cells) {
		((uint8_t *)leaf->cells)[i] = (uint8_t)cell;
	} else {
		leaf->at[k] = (uint8_t)i;
		leaf->few[k] = (uint8_t)cell;
		leaf->nr_few = (uint8_t)max(leaf->nr_few, k + 1);
	}
	return 0;
}

/* ---- */

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
	return set_cell(m, leaf, i, count << REFMAP_FLAGS |
				    ((cell | flags) & FLAG_MASK));
}

/* Adds to narrow cells [i, end); false if one is too full, or they are none:
 * nothing is done. */
static bool add_narrow(struct refmap_leaf *leaf, unsigned int i,
		       unsigned int end, uint32_t n, unsigned int flags)
{
	uint8_t *narrow = leaf->cells, most = 0;

	if (!narrow || leaf->wide || n > NARROW_COUNT_MAX)
		return false;
	for (unsigned int k = i; k < end; k++)
		most = max(most, narrow[k]);
	if ((most >> REFMAP_FLAGS) + n > NARROW_COUNT_MAX)
		return false;
	for (unsigned int k = i; k < end; k++)
		narrow[k] = (uint8_t)((narrow[k] | flags) +
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

		if (!leaf || (!leaf->cells && part > FEW && spread(m, leaf)))
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
		const struct refmap_leaf *leaf = find_leaf(m, cluster);
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
	const struct refmap_leaf *leaf = find_leaf(m, cluster);

	if (!leaf)
		return none;
	if (leaf->cells)
		return leaf->wide ? NULL : leaf->cells;
	memset(m->spread, 0, sizeof(m->spread));
	copy_few(leaf, m->spread);
	return m->spread;
}

struct refmap_entry refmap_get(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find_leaf(m, cluster);
	uint32_t cell = leaf ? cell_of(leaf, cluster & (LEAF_CELLS - 1)) : 0;

	return (struct refmap_entry){ cell >> REFMAP_FLAGS, cell & FLAG_MASK };
}

void refmap_drop(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find_leaf(m, cluster);
	unsigned int i = cluster & (LEAF_CELLS - 1);
	uint32_t cell = leaf ? cell_of(leaf, i) : 0;

	if (cell >> REFMAP_FLAGS)
		set_cell(m, leaf, i, cell - (1u << REFMAP_FLAGS));
}

void refmap_clear(struct refmap *m, uint64_t cluster)
{
	struct refmap_leaf *leaf = find_leaf(m, cluster);
	unsigned int i = cluster & (LEAF_CELLS - 1);

	if (leaf && cell_of(leaf, i))
		set_cell(m, leaf, i, 0);
}

size_t refmap_bytes(const struct refmap *m)
{
	return m->bytes;
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
			free(m->slots[i]->cells);
			free(m->slots[i]);
		}
	free(m->slots);
	free(m->sorted);
	*m = (struct refmap)REFMAP_INIT;
}
