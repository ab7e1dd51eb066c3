/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * patched.c: see patched.h.
 *
 * The changes come in any number and may overlap in any way, since an image
 * says what they are. So they are cut at all of their borders, and the pieces
 * given away beginning with the latest change; what has an owner is skipped.
 * That costs about n log n whatever they look like.
 */
#include "image/formats/patched.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bits.h"

struct cuts {
	uint64_t *at;			/* sorted, each once */
	size_t nr;
	size_t *next;			/* towards the next without an owner */
	const struct patch **owner;	/* of what begins there */
};

static int by_cut(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int cuts_init(struct cuts *c, const struct patch *list, size_t nr)
{
	size_t n = 0;

	c->at = calloc(nr, 2 * sizeof(*c->at));
	c->next = calloc(nr, 2 * sizeof(*c->next));
	c->owner = calloc(nr, 2 * sizeof(*c->owner));
	if (!c->at || !c->next || !c->owner)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		c->at[2 * i] = list[i].start;
		c->at[2 * i + 1] = list[i].end;
	}
	qsort(c->at, 2 * nr, sizeof(*c->at), by_cut);
	for (size_t i = 0; i < 2 * nr; i++)
		if (!n || c->at[n - 1] != c->at[i])
			c->at[n++] = c->at[i];
	c->nr = n;
	for (size_t i = 0; i < n; i++)
		c->next[i] = i;
	return 0;
}

static void cuts_deinit(struct cuts *c)
{
	free(c->at);
	free(c->next);
	free(c->owner);
}

/* The first piece from this one on that has no owner; the last cut never has
 * one. Shortens the way for those who come later. */
static size_t unowned(struct cuts *c, size_t i)
{
	while (c->next[i] != i) {
		c->next[i] = c->next[c->next[i]];
		i = c->next[i];
	}
	return i;
}

static void give_away(struct cuts *c, const struct patch *p)
{
	const uint64_t *first = bsearch(&p->start, c->at, c->nr,
					sizeof(*c->at), by_cut);
	size_t i = unowned(c, (size_t)(first - c->at));

	for (; c->at[i] < p->end; i = unowned(c, i)) {
		c->owner[i] = p;
		c->next[i] = i + 1;
	}
}

static int collect_patches(struct patched *p, const struct cuts *c)
{
	p->patches = calloc(c->nr, sizeof(*p->patches));
	if (!p->patches)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < c->nr; i++) {
		const struct patch *o = c->owner[i];

		if (!o)
			continue;
		p->patches[p->nr++] = (struct patch){
			.start = c->at[i],
			.end = c->at[i + 1],
			.data = o->data ? o->data + (c->at[i] - o->start) :
					  NULL,
		};
	}
	return 0;
}

static int flatten_patches(struct patched *p, const struct patch *list,
			   size_t nr)
{
	struct cuts c = { 0 };
	int ret = cuts_init(&c, list, nr);

	for (size_t i = nr; !ret && i > 0; i--)
		give_away(&c, &list[i - 1]);
	if (!ret)
		ret = collect_patches(p, &c);
	cuts_deinit(&c);
	return ret;
}

/* The number of the first change that ends behind `off`; p->nr: none does. */
static size_t find_patch(const struct patched *p, uint64_t off)
{
	size_t low = 0, high = p->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->patches[mid].end <= off)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool patched_touches(const struct patched *p, uint64_t off, uint64_t len)
{
	size_t i = find_patch(p, off);

	return i < p->nr && p->patches[i].start < off + len;
}

static int patched_preadv(struct image *img, uint64_t off, uint64_t len,
			  struct iow w)
{
	const struct patched *p = container_of(img, struct patched, node);
	size_t i = find_patch(p, off);
	int ret = 0;

	for (uint64_t n; len && !ret; off += n, len -= n) {
		const struct patch *at = i < p->nr ? &p->patches[i] : NULL;
		bool inside = at && at->start <= off;

		n = at ? (inside ? at->end : at->start) - off : len;
		n = min(n, len);
		if (!inside)
			ret = image_preadv(p->file, off, n, w);
		else if (at->data)
			iow_from_buf(w, at->data + (off - at->start), n);
		else
			iow_zero(w, n);
		i += inside;
		w = iow_advance(w, n);
	}
	return ret;
}

static const struct image_driver patched_driver = {
	.name = "patched",
	.preadv = patched_preadv,
};

int patched_init(struct patched *p, struct image *file, uint64_t size,
		 const struct patch *list, size_t nr)
{
	*p = (struct patched){
		.node = {
			.loop = file->loop,
			.driver = &patched_driver,
			.path = file->path,
			.size = size,
			.request_align = 1,
			.mem_align = 1,
			.limits = file->limits,
		},
		.file = file,
	};
	list_init(&p->node.writes);
	return nr ? flatten_patches(p, list, nr) : 0;
}

void patched_deinit(struct patched *p)
{
	free(p->patches);
	p->patches = NULL;
	p->nr = 0;
}
