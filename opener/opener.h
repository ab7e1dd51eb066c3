/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opener.h: who opens the files of images.
 *
 * Code that reads images opens no path by itself: it asks an opener, which is
 * told who names the file and what for, and judges that before it opens
 * anything (policy.h). By it the same code works in a process that may not open
 * a file at all: there the opener is another process (wire.h).
 */
#ifndef XD_OPENER_H
#define XD_OPENER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

enum opener_purpose {
	OPENER_IMAGE,		/* what a person has configured, or typed */
	OPENER_BACKING,		/* the image that another one stands on */
	OPENER_DATA,		/* the external data file of an image */
	OPENER_PART,		/* any other file that holds data of an image */
	OPENER_SECRET,		/* a passphrase; configured */
	OPENER_NR_PURPOSES,
};

struct opener_ask {
	enum opener_purpose purpose;
	bool write;
	/* The image that names the file, by the name that it was opened with;
	 * NULL: a person does. */
	const char *by;
	const char *name;	/* NULL: OPENER_DATA, and none is recorded */
};

/* Of a block device, from /sys; bytes, 0: none, or not known. */
struct device_limits {
	uint64_t discard_max;
	uint64_t discard_granularity;
	uint64_t write_zeroes_max;
};

struct opened {
	int fd;			/* O_CLOEXEC, blocking; a regular file or a
				 * block device */
	struct device_limits limits;
	char *name;		/* the one that was opened; malloc()ed */
};
#define OPENED_INIT { .fd = -1 }

/* One thread at a time. */
struct opener {
	/* May block for as long as open(2) does. -errno: errors of open(2),
	 * without a sentence; with one -EINVAL, what is no file, and -EACCES,
	 * what the policy does not allow. */
	int (*open)(struct opener *opener, const struct opener_ask *ask,
		    struct opened *out, struct error *err);
	bool names_data;	/* knows data files that no image records */
};

void opened_clear(struct opened *o);

#endif
