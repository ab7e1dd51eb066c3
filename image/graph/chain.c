/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chain.c: see chain.h. */
#include "image/graph/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

/* A map of this many blocks takes 8 MiB at most; of 64 KiB blocks it covers
 * 64 GiB that are in use. What falls on the same place replaces what is there. */
#define MAX_ENTRIES ((uint64_t)1 << 20)
#define MIN_BLOCK 4096u
#define MAX_BLOCK 65536u

/* Who has a block: a layer, by its distance from the image, or... */
#define NOBODY 0xfffeu		/* it reads as zeroes */
#define SEVERAL 0xffffu		/* parts of it differ: ask for each */

struct chain_map {
	uint32_t block_bits;
	uint64_t mask;
	uint64_t *entries;	/* (block + 1) << 16 | owner; 0: empty */
	unsigned int nr_layers;
	struct image **layers;	/* [0] is the image itself */
	uint64_t size;		/* bytes, of the image: its last block ends there */
	unsigned int generation;	/* counts forget_owners() */
};

/* ---- the map ---- */

/* The smallest piece in which a layer hands on to the next; the last one hands
 * on nothing. */
static uint32_t block_size(const struct image *img)
{
	uint32_t size = MAX_BLOCK;

	for (img = img->backing; img->backing; img = img->backing)
		size = min(size, img->limits.discard_granularity);
	return max(size, MIN_BLOCK);
}

static unsigned int count_layers(const struct image *img)
{
	unsigned int n = 0;

	for (; img; img = img->backing)
		n++;
	return n;
}

static struct chain_map *map_new(struct image *img)
{
	unsigned int nr = count_layers(img);
	struct chain_map *m = calloc(1, sizeof(*m));
	uint64_t blocks, entries = 1024;

	if (!m)
		return NULL;
	m->block_bits = (uint32_t)__builtin_ctz(block_size(img));
	blocks = img->size >> m->block_bits;
	while (entries < blocks && entries < MAX_ENTRIES)
		entries *= 2;
	m->mask = entries - 1;
	m->size = img->size;
	m->entries = calloc(entries, sizeof(*m->entries));
	m->layers = calloc(nr, sizeof(*m->layers));
	if (!m->entries || !m->layers) {
		free(m->entries);
		free(m->layers);
		free(m);
		return NULL;
	}
	for (; img; img = img->backing)
		m->layers[m->nr_layers++] = img;
	return m;
}

void chain_free(struct image *img)
{
	struct chain_map *m = img->chain;

	if (!m)
		return;
	free(m->entries);
	free(m->layers);
	free(m);
	img->chain = NULL;
}

/* The image has another size than when they were found. */
static void forget_owners(struct chain_map *m, uint64_t size)
{
	memset(m->entries, 0, (m->mask + 1) * sizeof(*m->entries));
	m->size = size;
	m->generation++;
}

/* ---- who has a block ---- */

/* co. Does the layer decide all of [off, off + len), or nothing of it? 1, 0, or
 * -EAGAIN: part of it. */
static int decides(struct image *layer, uint64_t off, uint64_t len)
{
	struct image_extent e;
	int ret, first = -1;

	for (; len; off += e.length, len -= e.length) {
		ret = image_block_status(layer, off, len, &e);
		if (ret)
			return ret == -EAGAIN ? -EIO : ret;
		ret = !!(e.flags & IMAGE_EXTENT_ALLOCATED);
		if (first >= 0 && ret != first)
			return -EAGAIN;
		first = ret;
	}
	return first;
}

/* co. 0 and *owner, or -errno. */
static int find_owner(const struct chain_map *m, uint64_t off, uint64_t len,
		      unsigned int *owner)
{
	unsigned int last = m->nr_layers - 1;
	int ret;

	for (unsigned int i = 1; i <= last; i++) {
		struct image *layer = m->layers[i];

		*owner = off >= layer->size ? NOBODY : SEVERAL;
		if (!range_within(off, len, layer->size))
			return 0;
		*owner = i;
		if (i == last)
			return 0;
		ret = decides(layer, off, len);
		if (ret == 1)
			return 0;
		*owner = SEVERAL;
		if (ret == -EAGAIN)
			return 0;
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* The owner if it is in the map, else 0. */
static unsigned int known_owner(const struct chain_map *m, uint64_t block)
{
	uint64_t e = m->entries[block & m->mask];

	return e >> 16 == block + 1 ? e & 0xffff : 0;
}

/* co */
static int owner_of(struct image *img, uint64_t block, unsigned int *owner)
{
	const struct chain_map *m = img->chain;
	uint64_t off = block << m->block_bits;
	uint64_t len = min((uint64_t)1 << m->block_bits, img->size - off);
	unsigned int generation = m->generation;
	int ret;

	*owner = known_owner(m, block);
	if (likely(*owner))
		return 0;
	ret = find_owner(m, off, len, owner);
	if (!ret && generation == m->generation)
		m->entries[block & m->mask] = (block + 1) << 16 | *owner;
	return ret;
}

/* ---- reading ---- */

/* co. Which layer below `img` has the first bytes of [off, off + *len), and how
 * many of them; NULL: none, they are zeroes. Nobody has to ask the last one. */
static int find_layer(const struct image *img, uint64_t off, uint64_t *len,
		      struct image **layer)
{
	struct image_extent e;
	int ret;

	for (*layer = img->backing; *layer; *layer = (*layer)->backing) {
		if (off >= (*layer)->size) {
			*layer = NULL;
			break;
		}
		*len = min(*len, (*layer)->size - off);
		if (!(*layer)->backing)
			break;
		ret = image_block_status(*layer, off, *len, &e);
		if (ret)
			return ret;
		*len = e.length;
		if (e.flags & IMAGE_EXTENT_ALLOCATED)
			break;
	}
	return 0;
}

/* co. Piece by piece, each from the layer that has it. No layer hands a read on
 * to the next one: the stack is as deep for one of them as for all. */
static int read_pieces(const struct image *img, uint64_t off, uint64_t len,
		       struct iow w)
{
	struct image *layer;
	int ret = 0;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = len;
		ret = find_layer(img, off, &n, &layer);
		if (ret)
			break;
		if (layer)
			ret = image_preadv(layer, off, n, w);
		else
			iow_zero(w, n);
		w = iow_advance(w, n);
	}
	return ret;
}

static int read_from(struct image *img, unsigned int owner, uint64_t off,
		     uint64_t len, struct iow w)
{
	const struct chain_map *m = img->chain;

	if (owner == SEVERAL)
		return read_pieces(img, off, len, w);
	if (owner != NOBODY)
		return image_preadv(m->layers[owner], off, len, w);
	iow_zero(w, len);
	return 0;
}

/* How far [off, off + len) goes on with blocks known to have that owner. */
static uint64_t same_owner(const struct chain_map *m, unsigned int owner,
			   uint64_t off, uint64_t len)
{
	uint64_t size = (uint64_t)1 << m->block_bits;
	uint64_t n = size - (off & (size - 1));

	while (n < len && known_owner(m, (off + n) >> m->block_bits) == owner)
		n += size;
	return min(n, len);
}

int chain_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	int ret = 0;

	/* Beyond the disk's end there may be a snapshot's VM state. */
	if (!img->backing || !img->backing->backing ||
	    !range_within(off, len, img->size))
		return read_pieces(img, off, len, w);
	if (unlikely(!img->chain))
		img->chain = map_new(img);
	if (unlikely(!img->chain))
		return read_pieces(img, off, len, w);
	if (unlikely(img->chain->size != img->size))
		forget_owners(img->chain, img->size);
	for (uint64_t n; len && !ret; off += n, len -= n) {
		unsigned int owner;

		ret = owner_of(img, off >> img->chain->block_bits, &owner);
		if (ret)
			break;
		n = same_owner(img->chain, owner, off, len);
		ret = read_from(img, owner, off, n, w);
		w = iow_advance(w, n);
	}
	return ret;
}
