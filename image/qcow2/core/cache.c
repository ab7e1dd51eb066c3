/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache.c: slices of metadata tables in memory.
 *
 * A hash from file offset to slice and an LRU list of all of them. The cache
 * reads but never writes: dirty slices wait for a commit (commit.c). When
 * all slices are dirty or in use it grows past its limit rather than wait,
 * which no caller could do safely; the owner sees nr_dirty and commits between
 * requests.
 */
#include "image/qcow2/core/cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "image/qcow2/core/qcow2.h"

#define MIN_SLICES 16u
#define LOOK_AT 1024u	/* slices, before growing instead */
#define CHUNK_BYTES ((size_t)64 * 1024)

int qcow2_cache_init(struct qcow2_cache *c, struct image *file,
		     uint32_t slice_size, uint64_t max_bytes)
{
	c->file = file;
	c->slice_size = slice_size;
	c->max_bytes = max_bytes;
	c->max = max((unsigned int)(max_bytes / slice_size), MIN_SLICES);
	c->hash_bits = 6;
	c->hash = calloc((size_t)1 << c->hash_bits, sizeof(*c->hash));
	list_init(&c->lru);
	list_init(&c->dirty);
	list_init(&c->spare);
	list_init(&c->orphans);
	return c->hash ? 0 : -ENOMEM;
}

static void free_slices(struct list *head)
{
	struct qcow2_slice *s, *tmp;

	list_for_each_safe(s, tmp, head, lru)
		free(s);
	list_init(head);
}

void qcow2_cache_deinit(struct qcow2_cache *c)
{
	if (!c->hash)
		return;
	free_slices(&c->lru);
	free_slices(&c->spare);
	free_slices(&c->orphans);
	for (unsigned int i = 0; i < c->nr_chunks; i++)
		free(c->chunks[i]);
	free(c->chunks);
	free(c->hash);
	memset(c, 0, sizeof(*c));
}

static struct qcow2_slice **bucket(const struct qcow2_cache *c, uint64_t offset)
{
	uint64_t key = offset / 512 * UINT64_C(0x9e3779b97f4a7c15);

	return &c->hash[key >> (64 - c->hash_bits)];
}

static struct qcow2_slice *find_slice(const struct qcow2_cache *c,
				      uint64_t offset)
{
	struct qcow2_slice *s = *bucket(c, offset);

	while (s && s->offset != offset)
		s = s->hash_next;
	return s;
}

/* Recently used ones go to the end, but not at every look. */
static void touch(struct qcow2_cache *c, struct qcow2_slice *s)
{
	if (c->nr * 2 < c->max || s->lru.next == &c->lru)
		return;
	list_del(&s->lru);
	list_add_tail(&c->lru, &s->lru);
}

static void unhash(struct qcow2_cache *c, struct qcow2_slice *s)
{
	struct qcow2_slice **p = bucket(c, s->offset);

	while (*p != s)
		p = &(*p)->hash_next;
	*p = s->hash_next;
}

static void rehash(struct qcow2_cache *c)
{
	unsigned int bits = c->hash_bits + 1;
	struct qcow2_slice **h = calloc((size_t)1 << bits, sizeof(*h));
	struct qcow2_slice *s, **p;

	if (!h)
		return;	/* slower, not wrong */
	free(c->hash);
	c->hash = h;
	c->hash_bits = bits;
	list_for_each(s, &c->lru, lru) {
		p = bucket(c, s->offset);
		s->hash_next = *p;
		*p = s;
	}
}

static void insert_slice(struct qcow2_cache *c, struct qcow2_slice *s,
			 uint64_t offset)
{
	struct qcow2_slice **p;

	s->offset = offset;
	s->error = 0;
	list_add_tail(&c->lru, &s->lru);
	p = bucket(c, offset);
	s->hash_next = *p;
	*p = s;
	if (++c->nr > 2u << c->hash_bits)
		rehash(c);
}

static void detach(struct qcow2_cache *c, struct qcow2_slice *s)
{
	unhash(c, s);
	list_del(&s->lru);
	c->nr--;
	if (s->dirty) {
		list_del(&s->dirty_link);
		s->dirty = false;
		c->nr_dirty--;
	}
}

/* Memory for as many slices as a chunk holds. */
static int add_slice_chunk(struct qcow2_cache *c)
{
	void **chunks = realloc(c->chunks,
				(c->nr_chunks + 1) * sizeof(*chunks));
	void *mem;

	if (!chunks)
		return -ENOMEM;
	c->chunks = chunks;
	if (posix_memalign(&mem, 4096, CHUNK_BYTES))
		return -ENOMEM;
	chunks[c->nr_chunks++] = mem;
	for (size_t o = 0; o < CHUNK_BYTES; o += c->slice_size) {
		struct qcow2_slice *s = calloc(1, sizeof(*s));

		if (!s)
			return o ? 0 : -ENOMEM;
		s->data = (uint8_t *)mem + o;
		list_init(&s->dirty_link);
		co_queue_init(&s->waiters);
		list_add_tail(&c->spare, &s->lru);
	}
	return 0;
}

static bool evictable(const struct qcow2_slice *s)
{
	return !s->pins && !s->dirty && !s->writing && !s->loading;
}

/* The oldest first. What cannot go now moves out of the way, so that a block of
 * dirty slices is looked through once, not at each miss. */
static struct qcow2_slice *evict_slice(struct qcow2_cache *c)
{
	struct qcow2_slice *s;

	for (unsigned int i = min(c->nr, LOOK_AT); i; i--) {
		s = list_first(&c->lru, struct qcow2_slice, lru);
		if (evictable(s)) {
			detach(c, s);
			return s;
		}
		list_del(&s->lru);
		list_add_tail(&c->lru, &s->lru);
	}
	return NULL;
}

/* Those that nobody holds any more can be used again. */
static void adopt_orphans(struct qcow2_cache *c)
{
	struct qcow2_slice *s, *tmp;

	list_for_each_safe(s, tmp, &c->orphans, lru) {
		if (!evictable(s))
			continue;
		list_del(&s->lru);
		s->dropped = false;
		list_add_tail(&c->spare, &s->lru);
	}
}

static uint64_t l2_cache_bytes(const struct image *img)
{
	const struct qcow2 *q = img->state;

	return q->l2_cache.nr_chunks * (uint64_t)CHUNK_BYTES;
}

/* May the cache have one more chunk, of what its chain may have? */
static bool chain_has_room(const struct qcow2_cache *c)
{
	const struct image *top = c->img, *i;
	uint64_t layers = 0, over = 0, share;

	while (top->overlay)
		top = top->overlay;
	for (i = top; i; i = i->backing)
		layers += i->driver == c->img->driver;
	share = c->max_bytes / 2 / max(layers, UINT64_C(1));
	if (l2_cache_bytes(c->img) + CHUNK_BYTES <= share)
		return true;
	for (i = top; i; i = i->backing)
		if (i->driver == c->img->driver)
			over += l2_cache_bytes(i) -
				min(l2_cache_bytes(i), share);
	return over + CHUNK_BYTES <= c->max_bytes - layers * share;
}

/* The first time that there is no room for more: it keeps to what it has. */
static void stop_growing(struct qcow2_cache *c)
{
	c->max = max(c->nr, MIN_SLICES);
}

static struct qcow2_slice *take_slice(struct qcow2_cache *c)
{
	struct qcow2_slice *s = NULL;

	if (c->img && c->nr < c->max && list_empty(&c->spare) &&
	    !chain_has_room(c))
		stop_growing(c);
	if (unlikely(!list_empty(&c->orphans)))
		adopt_orphans(c);
	if (c->nr >= c->max)
		s = evict_slice(c);
	if (s)
		return s;
	if (list_empty(&c->spare) && add_slice_chunk(c))
		return evict_slice(c);
	s = list_first(&c->spare, struct qcow2_slice, lru);
	list_del(&s->lru);
	return s;
}

struct qcow2_slice *qcow2_cache_peek(struct qcow2_cache *c, uint64_t offset)
{
	struct qcow2_slice *s = find_slice(c, offset);

	if (!s || s->loading || s->error)
		return NULL;
	touch(c, s);
	return s;
}

static void unload(struct qcow2_cache *c, struct qcow2_slice *s)
{
	if (s->dropped)
		return;
	detach(c, s);
	list_add_tail(&c->spare, &s->lru);
}

void qcow2_cache_put(struct qcow2_slice *s)
{
	s->pins--;
}

/* A table that is cut off says nothing, not even that there is nothing. */
static int validate_slice_end(struct qcow2_cache *c, uint64_t offset)
{
	if (likely(range_within(offset, c->slice_size, c->file->size)))
		return 0;
	if (!c->told)
		log_error("%s: the table at %#" PRIx64 " is cut off by the end "
			  "of the file of %" PRIu64 " bytes", c->file->path,
			  offset, c->file->size);
	c->told = true;
	return -EIO;
}

/* The one who reads it in; others wait and see its error. */
static int load_slice(struct qcow2_cache *c, struct qcow2_slice *s)
{
	s->loading = true;
	image_event(c->file, c->loads);
	s->error = validate_slice_end(c, s->offset);
	if (!s->error)
		s->error = image_pread(c->file, s->offset, c->slice_size,
				       s->data);
	s->loading = false;
	co_queue_wake_all(&s->waiters);
	return s->error;
}

int qcow2_cache_get(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_slice **out)
{
	struct qcow2_slice *s = find_slice(c, offset);
	int ret = 0;

	if (s && !s->error) {
		s->pins++;
		touch(c, s);
		while (s->loading)
			co_queue_wait(&s->waiters);
		ret = s->error;
	} else {
		if (s)
			return s->error;	/* still held by a waiter */
		s = take_slice(c);
		if (!s)
			return -ENOMEM;
		insert_slice(c, s, offset);
		s->pins = 1;
		ret = load_slice(c, s);
	}
	if (ret) {
		if (!--s->pins)
			unload(c, s);
		return ret;
	}
	*out = s;
	return 0;
}

int qcow2_cache_new(struct qcow2_cache *c, uint64_t offset,
		    struct qcow2_slice **out)
{
	struct qcow2_slice *s = find_slice(c, offset);

	if (!s) {
		s = take_slice(c);
		if (!s)
			return -ENOMEM;
		insert_slice(c, s, offset);
		s->pins = 0;
	}
	s->error = 0;
	s->pins++;
	memset(s->data, 0, c->slice_size);
	*out = s;
	return 0;
}

void qcow2_cache_dirty(struct qcow2_cache *c, struct qcow2_slice *s)
{
	if (s->dirty || s->dropped)
		return;
	s->dirty = true;
	list_add_tail(&c->dirty, &s->dirty_link);
	c->nr_dirty++;
}

void qcow2_cache_drop(struct qcow2_cache *c, uint64_t offset, uint64_t len)
{
	for (uint64_t o = 0; o < len; o += c->slice_size) {
		struct qcow2_slice *s = find_slice(c, offset + o);

		if (!s)
			continue;
		detach(c, s);
		if (evictable(s)) {
			list_add_tail(&c->spare, &s->lru);
		} else {
			s->dropped = true;
			list_add_tail(&c->orphans, &s->lru);
		}
	}
}
