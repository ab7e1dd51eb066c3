/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pages.h: the tables of an image, seen through a few pages of memory.
 *
 * Formats other than qcow2 read and change their tables through this: however
 * large a table a header tells of, it costs what is looked at and never more
 * than PAGES_MAX pages. A table is within the file: what is asked for beyond its
 * end is -EIO, and never zeroes.
 *
 * Changes stay in memory until pages_flush(), which first makes stable what was
 * written to the file before: a table never points to data that is not there.
 * Only bytes from the first to the last change within a page are written back;
 * no guest data may lie between the tables of a page.
 *
 * All belongs to one thread; "co" functions run in coroutines.
 */
#ifndef XD_IMAGE_PAGES_H
#define XD_IMAGE_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "io/coroutine.h"

struct image;

#define PAGE_BYTES 16384u
#define PAGES_MAX 64u

struct page {
	uint8_t *data;			/* PAGE_BYTES, NULL: never used */
	uint64_t nr;			/* offset in the file / PAGE_BYTES */
	uint64_t used;			/* when it was last; 0: holds nothing */
	bool loading;
	uint32_t from, to;		/* changed bytes; to 0: none */
};

struct pages {
	struct image *file;
	struct page page[PAGES_MAX];
	struct page *last;
	unsigned int nr_dirty;
	uint64_t clock;
	struct co_queue loaded;
	struct co_mutex change;		/* held by those who make dirty, flush */
};

/* `file` must outlive the pages. */
void pages_init(struct pages *p, struct image *file);
/* Drops what was not flushed. May be called twice, or on zeroed memory. */
void pages_deinit(struct pages *p);

/* co. 0 or -errno. */
int pages_read(struct pages *p, uint64_t off, size_t len, void *buf);
int pages_write(struct pages *p, uint64_t off, size_t len, const void *buf);
/* co. Data before, then the changed pages; their barrier is the caller's. What
 * could not be written stays dirty. */
int pages_flush(struct pages *p);

#endif
