/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pages.c: see pages.h.
 *
 * A coroutine that misses takes the page that was used longest ago and fills it;
 * others that want the same one wait. Changed pages are not thrown out: there
 * are never more than half of them, so that a clean one can always be had.
 */
#include "image/formats/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/image.h"

#define DIRTY_MAX (PAGES_MAX / 2)

void pages_init(struct pages *p, struct image *file)
{
	*p = (struct pages){ .file = file };
	co_queue_init(&p->loaded);
	co_mutex_init(&p->change);
}

void pages_deinit(struct pages *p)
{
	for (unsigned int i = 0; i < PAGES_MAX; i++) {
		free(p->page[i].data);
		p->page[i] = (struct page){ 0 };
	}
	p->last = NULL;
	p->nr_dirty = 0;
}

static struct page *find_page(struct pages *p, uint64_t nr)
{
	if (p->last && p->last->used && p->last->nr == nr)
		return p->last;
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		if (p->page[i].used && p->page[i].nr == nr)
			return &p->page[i];
	return NULL;
}

static struct page *oldest(struct pages *p)
{
	struct page *old = NULL;

	for (unsigned int i = 0; i < PAGES_MAX; i++) {
		struct page *g = &p->page[i];

		if (!g->loading && !g->to && (!old || g->used < old->used))
			old = g;
	}
	return old;
}

static int load_page(struct pages *p, struct page *g, uint64_t nr)
{
	int ret;

	if (!g->data && posix_memalign((void **)&g->data, 4096, PAGE_BYTES)) {
		g->data = NULL;
		return -ENOMEM;
	}
	g->nr = nr;
	g->used = ++p->clock;
	g->loading = true;
	ret = image_pread(p->file, nr * PAGE_BYTES, PAGE_BYTES, g->data);
	g->loading = false;
	if (ret)
		g->used = 0;
	co_queue_wake_all(&p->loaded);
	return ret;
}

/* The page, valid until the caller next waits. */
static int get(struct pages *p, uint64_t nr, struct page **out)
{
	struct page *g;
	int ret;

	for (;;) {
		g = find_page(p, nr);
		if (g && !g->loading)
			break;
		if (!g)
			g = oldest(p);
		if (!g || g->loading) {
			co_queue_wait(&p->loaded);
			continue;
		}
		ret = load_page(p, g, nr);
		if (ret)
			return ret;
	}
	g->used = ++p->clock;
	*out = p->last = g;
	return 0;
}

int pages_read(struct pages *p, uint64_t off, size_t len, void *buf)
{
	struct page *g;
	int ret;

	if (!range_within(off, len, image_size(p->file)))
		return -EIO;
	while (len) {
		size_t in = off % PAGE_BYTES;
		size_t n = min(len, PAGE_BYTES - in);

		ret = get(p, off / PAGE_BYTES, &g);
		if (ret)
			return ret;
		memcpy(buf, g->data + in, n);
		buf = (char *)buf + n;
		off += n;
		len -= n;
	}
	return 0;
}

static int flush_pages(struct pages *p)
{
	int ret = 0;

	if (!p->nr_dirty)
		return 0;
	ret = image_flush(p->file);
	for (unsigned int i = 0; i < PAGES_MAX && !ret; i++) {
		struct page *g = &p->page[i];

		if (!g->to)
			continue;
		ret = image_pwrite(p->file, g->nr * PAGE_BYTES + g->from,
				   g->to - g->from, g->data + g->from);
		if (ret)
			break;
		g->to = 0;
		p->nr_dirty--;
	}
	return ret;
}

static int change_page(struct pages *p, uint64_t off, size_t len,
		       const char *buf)
{
	struct page *g;
	int ret = 0;

	while (len && !ret) {
		size_t in = off % PAGE_BYTES;
		size_t n = min(len, PAGE_BYTES - in);

		if (p->nr_dirty >= DIRTY_MAX)
			ret = flush_pages(p);
		if (!ret)
			ret = get(p, off / PAGE_BYTES, &g);
		if (ret)
			break;
		memcpy(g->data + in, buf, n);
		p->nr_dirty += !g->to;
		g->from = g->to ? min(g->from, (uint32_t)in) : (uint32_t)in;
		g->to = max(g->to, (uint32_t)(in + n));
		buf += n;
		off += n;
		len -= n;
	}
	return ret;
}

int pages_write(struct pages *p, uint64_t off, size_t len, const void *buf)
{
	int ret;

	if (off > INT64_MAX || len > INT64_MAX - off)
		return -EINVAL;
	co_mutex_lock(&p->change);
	ret = change_page(p, off, len, buf);
	co_mutex_unlock(&p->change);
	return ret;
}

int pages_flush(struct pages *p)
{
	int ret;

	co_mutex_lock(&p->change);
	ret = flush_pages(p);
	co_mutex_unlock(&p->change);
	return ret;
}
