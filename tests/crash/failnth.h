/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* failnth.h: what failnth.c does to an image while its file fails. */
#ifndef XD_TESTS_CRASH_FAILNTH_H
#define XD_TESTS_CRASH_FAILNTH_H

#include <stdbool.h>

#include "image/image.h"

struct loop;

/* What it makes of the disk. */
enum effect {
	CHANGES,			/* each sector is the old or the new */
	KEEPS,				/* nothing: the disk stays as it is */
	SWITCHES,			/* all is old or all is new */
};

/* COPIED flags that may be left, which mending leaks mends. */
enum flags {
	RIGHT,
	FEWER,				/* none where the refcount is 1 */
	MORE,				/* and one where the refcount says 2
					 * although nobody shares it */
};

struct what {
	const char *name;
	unsigned int flags;		/* to open with */
	enum effect effect;
	enum flags flags_left;
	/* co. Doing it again is no error. */
	int (*run)(struct image *img, struct error *err);
	/* Instead of that, where there is nothing to open. co */
	int (*create)(struct loop *loop, const char *path, struct error *err);
};

/* NULL: there is none. */
const struct what *find_what(const char *name);

/* co */
int write_some(struct image *img, uint64_t off, uint64_t len, int byte);

#endif
