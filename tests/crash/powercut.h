/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* powercut.h: what powercut.c, changes.c and go-on.c share. */
#ifndef XD_TESTS_POWERCUT_H
#define XD_TESTS_POWERCUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "image/image.h"

#define MAX_VERSIONS 8
#define MAX_SNAPSHOTS 32

/* ---- what the file may hold ---- */

struct record {
	struct store *store;
	uint64_t off, len;		/* len 0: a truncation to `off` */
	uint8_t *data;			/* ours; it names the record, too */
	uint64_t done;			/* clock when complete, 0: under way */
};

/* A sector's possible contents, oldest first; [0] is what is promised. */
struct version {
	uint64_t stamp;
	uint64_t done;			/* clock, 0: under way or failed */
};

struct sector {
	struct version v[MAX_VERSIONS];
	unsigned int nr;
	bool anything;			/* more than fit: until overwritten */
};

/* A file after its last flush. */
struct store {
	const char *path, *name;	/* NULL: there is no such file */
	ino_t ino;
	uint8_t *bytes;
	uint64_t size;
};

/* Snapshots by number, from 0 as they are made. */
struct snapshots {
	uint32_t nr;
	uint32_t must, may;		/* bits: which have to be there */
};

struct powercut {
	struct loop *loop;
	struct image *img;
	const char *path, *dir;
	unsigned int seed;
	int ops, crashes, crashes_done;
	uint64_t nr_sectors, clock, stamp;
	uint64_t cluster;		/* sectors */
	struct sector *sectors;

	bool recording;
	struct store image, data;	/* the image and its data file */
	struct record *records;		/* later than what is in those */
	size_t nr_records, max_records;
	uint64_t file_ops, fail_at;
	int crash_every, go_on_every;

	char **changes;			/* ended by NULL */

	unsigned int rounds;		/* of work() */
	struct snapshots snapshots;
	struct {
		uint8_t *bytes;
		uint64_t size;
	} snapshot[MAX_SNAPSHOTS];
};
extern struct powercut t;

/* ---- powercut.c ---- */

void die(const char *what, uint64_t n);
bool holds(const uint8_t *buf, uint64_t sector, uint64_t stamp);
/* A sector is about to get, has got, another content. */
void begin(uint64_t sector, uint64_t stamp);
void complete(uint64_t sector, uint64_t stamp);
int do_flush(void);
int work(void);
/* co. For writing: t.img. */
int open_image(const char *path, unsigned int flags, struct error *err);
/* co. Dies of all that is worse than lost clusters, or than flags as a power cut
 * may leave them, unless all have to be right. Are they? */
bool check(const char *path, bool flags_right);
void copy_file(const char *from, const char *to);

/* ---- changes.c ---- */

/* co. t.changes, one after the other:
 *	amend NAME=VALUE
 *	add, remove, clear, enable, disable NAME; merge NAME FROM: bitmaps
 *	empty			the overlay
 *	resize KIB
 *	snapshot		makes the next one, from 0 on
 *	back N, drop N		to that one; it is deleted
 *	compact
 *	work			all that was done before once more
 */
int make_changes(void);
/* co. Those that a crash image holds are what they were. */
void verify_snapshots(const char *path, int n);
char *snapshot_name(unsigned int n);
/* co. All that it holds, to be freed; NULL: there is no such snapshot. */
uint8_t *read_snapshot(const char *path, const char *name, uint64_t *size);

/* ---- go-on.c ---- */

/* co. Uses a copy of crash image `n` as if nothing had happened; all: one for each
 * step that can be the first. */
void go_on(const char *crash, unsigned int n, bool all);

#endif
