/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* changes.c: changes of an image as a whole, for powercut.c. */
#include "tests/crash/powercut.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/bitmaps.h"
#include "image/compact.h"
#include "image/graph/backing.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/resize.h"
#include "image/snapshots.h"

/* ---- size ---- */

/* What is cut off will be zeroes if it is ever seen again. */
static int resize(uint64_t size, struct error *err)
{
	uint64_t first = size / SECTOR_SIZE;
	int ret = do_flush();

	for (uint64_t i = first; i < t.nr_sectors; i++)
		begin(i, 0);
	if (!ret)
		ret = image_truncate(t.img, size, err);
	t.clock++;
	for (uint64_t i = first; !ret && i < t.nr_sectors; i++)
		complete(i, 0);
	return ret;
}

/* ---- backing file ---- */

/* What is let go of shows the backing file, where that has something. */
static int make_empty(struct error *err)
{
	const struct image *backing = image_backing(t.img);
	uint64_t end = backing ? image_size(backing) / SECTOR_SIZE : 0;
	int ret = do_flush();

	for (uint64_t i = 0; i < t.nr_sectors; i++)
		begin(i, i < end);
	if (!ret)
		ret = image_make_empty(t.img, err);
	t.clock++;
	for (uint64_t i = 0; !ret && i < t.nr_sectors; i++)
		complete(i, i < end);
	return ret;
}

/* ---- snapshots ---- */

char *snapshot_name(unsigned int n)
{
	static char name[16];

	snprintf(name, sizeof(name), "snapshot%u", n);
	return name;
}

static uint8_t *read_all(struct image *img, uint64_t *size)
{
	uint8_t *bytes;

	*size = image_size(img);
	bytes = malloc(*size);
	if (image_pread(img, 0, *size, bytes))
		die("cannot read all of the disk", *size);
	return bytes;
}

static int snapshot(struct error *err)
{
	unsigned int n = t.snapshots.nr;
	int ret;

	if (n == MAX_SNAPSHOTS)
		die("too many snapshots", n);
	t.snapshot[n].bytes = read_all(t.img, &t.snapshot[n].size);
	t.snapshots.nr++;
	t.snapshots.may |= 1u << n;
	ret = image_snapshot_create(t.img, snapshot_name(n), err);
	if (!ret)
		t.snapshots.must |= 1u << n;
	return ret;
}

static int drop(unsigned int n, struct error *err)
{
	int ret;

	t.snapshots.must &= ~(1u << n);
	ret = image_snapshot_delete(t.img, snapshot_name(n), err);
	if (!ret)
		t.snapshots.may &= ~(1u << n);
	return ret;
}

/* The stamp that fills a sector of a snapshot. */
static uint64_t stamp_in(unsigned int n, uint64_t sector)
{
	uint64_t v, stamp;

	if ((sector + 1) * SECTOR_SIZE > t.snapshot[n].size)
		return 0;
	memcpy(&v, t.snapshot[n].bytes + sector * SECTOR_SIZE, 8);
	stamp = v ? (v - sector * 64) / 1000003 : 0;
	if (!holds(t.snapshot[n].bytes + sector * SECTOR_SIZE, sector, stamp))
		die("no stamp in the snapshot's sector", sector);
	return stamp;
}

static int back(unsigned int n, struct error *err)
{
	int ret = do_flush();

	for (uint64_t i = 0; i < t.nr_sectors; i++)
		begin(i, stamp_in(n, i));
	if (!ret)
		ret = image_snapshot_apply(t.img, snapshot_name(n), err);
	t.clock++;
	for (uint64_t i = 0; !ret && i < t.nr_sectors; i++)
		complete(i, stamp_in(n, i));
	return ret;
}

/* ---- snapshots of a crash image ---- */

uint8_t *read_snapshot(const char *path, const char *name, uint64_t *size)
{
	struct image_options opts = {
		.snapshot = name, .cache = IMAGE_CACHE_WRITEBACK,
	};
	struct image *img;
	uint8_t *bytes;

	if (image_open(t.loop, path, "qcow2", &opts, &img, NULL))
		return NULL;
	bytes = read_all(img, size);
	image_close(img, NULL);
	return bytes;
}

static bool has_snapshot(const char *path, unsigned int n)
{
	uint64_t size;
	cleanup_free uint8_t *bytes = read_snapshot(path, snapshot_name(n),
						    &size);

	if (bytes && (size != t.snapshot[n].size ||
		      memcmp(bytes, t.snapshot[n].bytes, size))) {
		fprintf(stderr, "%s: ", path);
		die("a snapshot is not what it was", n);
	}
	return bytes;
}

void verify_snapshots(const char *path, int n)
{
	struct snapshots s;
	char name[512];
	cleanup_fd int fd = -1;

	snprintf(name, sizeof(name), "%s/snapshots-%d", t.dir, n);
	fd = open(name, O_RDONLY);
	if (fd < 0 || read(fd, &s, sizeof(s)) != sizeof(s))
		die("cannot read which snapshots there were", (uint64_t)n);
	for (unsigned int i = 0; i < t.snapshots.nr; i++) {
		bool there = has_snapshot(path, i);

		if (there ? !(s.may >> i & 1) : s.must >> i & 1) {
			fprintf(stderr, "%s: ", path);
			die(there ? "a snapshot that was given up" :
				    "a snapshot is not there", i);
		}
	}
}

/* ---- others ---- */

static int compact(struct error *err)
{
	struct image_compact c = { 0 };
	int ret = do_flush();

	return ret ? ret : image_compact(t.img, &c, err);
}

static int amend(char *option, struct error *err)
{
	char *value = strchr(option, '=');
	struct image_create_option o = { option, value + 1 };

	*value = '\0';
	return image_amend(t.img, &o, 1, 0, NULL, err);
}

static int bitmap(enum image_bitmap_op op, char ***next, struct error *err)
{
	struct image_bitmap_args args = { .source = t.img };
	const char *name = *(*next)++;

	if (op == IMAGE_BITMAP_MERGE)
		args.source_name = *(*next)++;
	return image_bitmap(t.img, op, name, &args, err);
}

static int one_change(const char *what, char ***next, struct error *err)
{
	static const char *const ops[] = {
		[IMAGE_BITMAP_ADD] = "add",
		[IMAGE_BITMAP_REMOVE] = "remove",
		[IMAGE_BITMAP_CLEAR] = "clear",
		[IMAGE_BITMAP_ENABLE] = "enable",
		[IMAGE_BITMAP_DISABLE] = "disable",
		[IMAGE_BITMAP_MERGE] = "merge",
	};

	if (!strcmp(what, "amend"))
		return amend(*(*next)++, err);
	if (!strcmp(what, "empty"))
		return make_empty(err);
	if (!strcmp(what, "resize"))
		return resize((uint64_t)atoi(*(*next)++) * KiB, err);
	if (!strcmp(what, "snapshot"))
		return snapshot(err);
	if (!strcmp(what, "back"))
		return back((unsigned int)atoi(*(*next)++), err);
	if (!strcmp(what, "drop"))
		return drop((unsigned int)atoi(*(*next)++), err);
	if (!strcmp(what, "compact"))
		return compact(err);
	if (!strcmp(what, "work"))
		return work();
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (!strcmp(what, ops[i]))
			return bitmap((enum image_bitmap_op)i, next, err);
	die(what, 0);
	return 0;
}

int make_changes(void)
{
	struct error err = ERROR_INIT;
	char **next = t.changes;
	int ret = *next ? do_flush() : 0;

	while (!ret && *next) {
		const char *what = *next++;

		ret = one_change(what, &next, &err);
		if (ret && !t.fail_at)
			fprintf(stderr, "%s: %s\n", what,
				error_text(&err, ret));
	}
	return ret && t.fail_at ? 0 : ret;
}
