/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * go-on.c: life after a power cut, for powercut.c.
 *
 * A copy of a crash image, which is right by now, is used as if nothing had
 * happened: steps by lot, with writes and flushes between them. After each
 * the disk must hold what it has to hold, to the byte; so must each snapshot in
 * the end, and a check may find lost clusters and no more. A step that the
 * format or the image rules out changes nothing.
 */
#include "tests/crash/powercut.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/backing.h"
#include "image/bitmaps.h"
#include "image/compact.h"
#include "image/info.h"
#include "image/resize.h"
#include "image/snapshots.h"

#define STEPS 8
#define SIZE_MIN (64 * KiB)
#define SIZE_MAX_GROWN (5 * MiB)
#define PIECE_MAX (96 * KiB)

struct content {
	uint8_t *bytes;
	uint64_t size;
};

struct kept {
	char name[24];
	bool there;
	struct content c;
};

static struct {
	char path[512], done[512];	/* the image; steps, for who reads it */
	unsigned int rnd;
	struct content disk;
	struct kept kept[MAX_SNAPSHOTS + STEPS + 1];
	unsigned int nr;
	bool flags_right;		/* a step has seen to all of them */
	bool bitmaps;			/* there are some, perhaps in use */
} on;

static uint64_t lot(uint64_t n)
{
	return (uint64_t)rand_r(&on.rnd) % n;
}

static void fail(const char *what, uint64_t n)
{
	fprintf(stderr, "%s, gone on with%s: ", on.path, on.done);
	die(what, n);
}

/* ---- what is there ---- */

static struct content copy_of(const struct content *c)
{
	struct content copy = { malloc(c->size), c->size };

	memcpy(copy.bytes, c->bytes, c->size);
	return copy;
}

static void become(const struct content *c)
{
	free(on.disk.bytes);
	on.disk = copy_of(c);
}

/* What is new is zeroes. */
static void become_as_large_as(uint64_t size)
{
	on.disk.bytes = realloc(on.disk.bytes, size);
	if (size > on.disk.size)
		memset(on.disk.bytes + on.disk.size, 0, size - on.disk.size);
	on.disk.size = size;
}

static void compare_disk(void)
{
	cleanup_free uint8_t *bytes = malloc(on.disk.size);

	if (image_size(t.img) != on.disk.size)
		fail("the disk has another size", image_size(t.img));
	if (image_pread(t.img, 0, on.disk.size, bytes))
		fail("cannot read all of the disk", on.disk.size);
	for (uint64_t o = 0; o < on.disk.size; o += SECTOR_SIZE)
		if (memcmp(bytes + o, on.disk.bytes + o, SECTOR_SIZE))
			fail("another content at", o);
}

static void compare_snapshots(void)
{
	for (unsigned int i = 0; i < on.nr; i++) {
		const struct kept *k = &on.kept[i];
		struct content c = { 0 };

		c.bytes = read_snapshot(on.path, k->name, &c.size);
		if (!c.bytes != !k->there)
			fail("a snapshot came or went", i);
		if (c.bytes && (c.size != k->c.size ||
				memcmp(c.bytes, k->c.bytes, c.size)))
			fail("a snapshot has changed", i);
		free(c.bytes);
	}
}

/* One that is there, by lot; NULL: none is. */
static struct kept *some_snapshot(void)
{
	for (unsigned int i = 0, n = (unsigned int)lot(on.nr + 1); i < on.nr;
	     i++) {
		struct kept *k = &on.kept[(i + n) % on.nr];

		if (k->there)
			return k;
	}
	return NULL;
}

/* ---- steps ---- */

/* By lot [off, off + len) of the disk, in sectors. */
static uint64_t pick_range(uint64_t *len)
{
	uint64_t sectors = on.disk.size / SECTOR_SIZE;

	*len = 1 + lot(min(sectors, PIECE_MAX / SECTOR_SIZE));
	return lot(sectors - *len + 1) * SECTOR_SIZE;
}

static int write_some(struct error *err)
{
	int ret = 0;

	for (unsigned int n = 0; !ret && n < 6; n++) {
		uint64_t len, off = pick_range(&len);

		len *= SECTOR_SIZE;
		memset(on.disk.bytes + off, 1 + (int)lot(255), len);
		ret = image_pwrite(t.img, off, len, on.disk.bytes + off);
		if (!ret && lot(2))
			ret = image_flush(t.img);
	}
	return ret;
}

static int zero_some(struct error *err)
{
	uint64_t len, off = pick_range(&len);

	len *= SECTOR_SIZE;
	memset(on.disk.bytes + off, 0, len);
	return image_pwrite_zeroes(t.img, off, len,
				   lot(2) ? IMAGE_ZERO_UNMAP : 0);
}

/* A sector that was discarded is what it was, or zeroes. */
static int discard_some(struct error *err)
{
	uint64_t len, off = pick_range(&len);
	cleanup_free uint8_t *now = malloc(len * SECTOR_SIZE);
	int ret = image_pdiscard(t.img, off, len * SECTOR_SIZE);

	if (!ret)
		ret = image_pread(t.img, off, len * SECTOR_SIZE, now);
	for (uint64_t o = 0; !ret && o < len * SECTOR_SIZE; o += SECTOR_SIZE)
		if (holds(now + o, 0, 0))
			memset(on.disk.bytes + off + o, 0, SECTOR_SIZE);
	return ret;
}

static int snapshot(struct error *err)
{
	struct kept *k = &on.kept[on.nr];
	int ret;

	snprintf(k->name, sizeof(k->name), "later%u", on.nr);
	ret = image_snapshot_create(t.img, k->name, err);
	if (ret)
		return ret;
	k->c = copy_of(&on.disk);
	k->there = true;
	on.nr++;
	on.flags_right = true;
	return 0;
}

static int delete(struct error *err)
{
	struct kept *k = some_snapshot();
	int ret;

	if (!k)
		return 0;
	ret = image_snapshot_delete(t.img, k->name, err);
	if (!ret) {
		k->there = false;
		on.flags_right = true;
	}
	return ret;
}

static int apply(struct error *err)
{
	struct kept *k = some_snapshot();
	int ret;

	if (!k)
		return 0;
	ret = image_snapshot_apply(t.img, k->name, err);
	if (!ret) {
		become(&k->c);
		on.flags_right = true;
	}
	return ret;
}

static int compact(struct error *err)
{
	struct image_compact c = { 0 };

	return image_compact(t.img, &c, err);
}

static int grow(struct error *err)
{
	uint64_t size = on.disk.size + (1 + lot(2000)) * SECTOR_SIZE;
	int ret;

	if (size > SIZE_MAX_GROWN)
		return 0;
	ret = image_grow(t.img, size, (enum image_preallocation)lot(4), NULL,
			 err);
	if (!ret)
		become_as_large_as(size);
	return ret;
}

static int shrink(struct error *err)
{
	uint64_t size = SIZE_MIN + lot(on.disk.size / SECTOR_SIZE) * SECTOR_SIZE;
	int ret;

	if (size >= on.disk.size)
		return 0;
	ret = image_truncate(t.img, size, err);
	if (!ret)
		become_as_large_as(size);
	return ret;
}

/* As `commit` leaves an overlay. A raw data file has nothing below it. */
static int empty(struct error *err)
{
	struct image *backing = image_backing(t.img);
	uint64_t shown = backing ? min(image_size(backing), on.disk.size) : 0;
	int ret;

	if (t.data.path)
		return 0;
	ret = image_make_empty(t.img, err);
	if (ret)
		return ret;
	on.flags_right = true;
	memset(on.disk.bytes, 0, on.disk.size);
	return shown ? image_pread(backing, 0, shown, on.disk.bytes) : 0;
}

/* Those that changes.c makes: one that was in use when the power went is in the
 * way of other sizes. */
static int remove_bitmaps(struct error *err)
{
	struct image_bitmap_args args = { 0 };
	char name[2] = "a";
	int ret = 0;

	for (; !ret && *name <= 'e'; ++*name) {
		ret = image_bitmap(t.img, IMAGE_BITMAP_REMOVE, name, &args,
				   err);
		if (ret == -ENOENT)
			ret = 0;
	}
	on.bitmaps &= ret != 0;
	return ret;
}

static int open_anew(struct error *err)
{
	int ret = image_close(t.img, err);

	if (!ret) {
		check(on.path, on.flags_right);
		ret = open_image(on.path, 0, err);
	}
	return ret;
}

/* What happens most stands there more than once. */
static const struct step {
	const char *name;
	int (*take)(struct error *err);
} steps[] = {
	{ "write", write_some },
	{ "zeroes", zero_some },
	{ "discard", discard_some },
	{ "snapshot", snapshot },
	{ "snapshot", snapshot },
	{ "delete", delete },
	{ "delete", delete },
	{ "apply", apply },
	{ "compact", compact },
	{ "grow", grow },
	{ "shrink", shrink },
	{ "empty", empty },
	{ "bitmaps", remove_bitmaps },
	{ "open", open_anew },
};

/* There are images that something cannot be done to: version 2 with snapshots,
 * dirty bitmaps, refcounts of one bit. */
static bool is_refusal(int ret)
{
	return ret == -ENOTSUP || ret == -EBUSY || ret == -EFBIG ||
	       (on.bitmaps && ret == -EINVAL);
}

static void take_step(const struct step *s)
{
	struct error err = ERROR_INIT;
	int ret;

	strncat(on.done, " ", sizeof(on.done) - strlen(on.done) - 1);
	strncat(on.done, s->name, sizeof(on.done) - strlen(on.done) - 1);
	ret = s->take(&err);
	if (ret && !is_refusal(ret))
		fail(error_text(&err, ret), (uint64_t)-ret);
	compare_disk();
}

/* ---- the whole ---- */

static bool has_bitmaps(void)
{
	struct image_info info;
	bool any;

	if (image_get_info(t.img, &info, NULL))
		fail("no information about the image", 0);
	any = info.nr_bitmaps;
	image_info_free(&info);
	return any;
}

static void begin_with(const char *crash, unsigned int lots)
{
	struct error err = ERROR_INIT;

	snprintf(on.path, sizeof(on.path), "%s/later", t.dir);
	copy_file(crash, on.path);
	on.done[0] = '\0';
	on.rnd = lots * 7919 + t.seed;
	on.flags_right = false;
	on.nr = t.snapshots.nr;
	for (unsigned int i = 0; i < on.nr; i++) {
		struct kept *k = &on.kept[i];

		snprintf(k->name, sizeof(k->name), "%s", snapshot_name(i));
		k->c.bytes = read_snapshot(on.path, k->name, &k->c.size);
		k->there = k->c.bytes;
	}
	if (open_image(on.path, 0, &err))
		fail(err.msg, lots);
	on.bitmaps = has_bitmaps();
	on.disk.size = image_size(t.img);
	on.disk.bytes = malloc(on.disk.size);
	if (image_pread(t.img, 0, on.disk.size, on.disk.bytes))
		fail("cannot read all of the disk", on.disk.size);
}

static void end(void)
{
	struct error err = ERROR_INIT;

	if (image_close(t.img, &err))
		fail(err.msg, 0);
	check(on.path, on.flags_right);
	compare_snapshots();
	if (open_image(on.path, 0, &err))
		fail(err.msg, 0);
	compare_disk();
	image_close(t.img, NULL);
	for (unsigned int i = 0; i < on.nr; i++)
		free(on.kept[i].c.bytes);
	free(on.disk.bytes);
	memset(on.kept, 0, sizeof(on.kept));
}

static void go_one_way(const char *crash, unsigned int lots, size_t first)
{
	begin_with(crash, lots);
	take_step(&steps[first % ARRAY_SIZE(steps)]);
	take_step(&steps[0]);
	for (unsigned int i = 0; i < STEPS; i++) {
		take_step(&steps[lot(ARRAY_SIZE(steps))]);
		if (lot(2))
			take_step(&steps[0]);
	}
	end();
}

void go_on(const char *crash, unsigned int n, bool all)
{
	for (size_t i = 0; i < (all ? ARRAY_SIZE(steps) : 1); i++)
		go_one_way(crash, n, n + i);
}
