/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* failnth-whats.c: what is done to images for failnth.c. */
#include "tests/crash/failnth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/backing.h"
#include "image/bitmaps.h"
#include "image/check.h"
#include "image/compact.h"
#include "image/info.h"
#include "image/graph/make.h"
#include "image/resize.h"
#include "image/snapshots.h"

int write_some(struct image *img, uint64_t off, uint64_t len, int byte)
{
	cleanup_free uint8_t *buf = malloc(len);

	memset(buf, byte, len);
	return image_pwrite(img, off, len, buf);
}

/* ---- the guest's requests ---- */

static int do_write(struct image *img, struct error *err)
{
	int ret = write_some(img, 1000, 9000, 0xa1);

	ret = ret ? ret : write_some(img, 300 * KiB, 70000, 0xa2);
	ret = ret ? ret : image_flush(img);
	ret = ret ? ret : write_some(img, 1500 * KiB, 5000, 0xa3);
	ret = ret ? ret : write_some(img, 20 * KiB, 40 * KiB, 0xa4);
	ret = ret ? ret : image_flush(img);
	return error_set_errno(ret ? err : NULL, -ret, "writing");
}

/* Half of the bytes are noise, for streams of some length; the same each time
 * at a place. */
static int write_packed(struct image *img, uint64_t off, uint64_t len)
{
	cleanup_free uint8_t *buf = malloc(len);

	for (uint64_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(i % 64 < 32 ? (off + i) * 2654435761 >> 20 :
						 0xd1);
	return image_pwrite_compressed(img, off, len, buf);
}

static int do_compress(struct image *img, struct error *err)
{
	int ret = write_packed(img, 0, 64 * KiB);

	ret = ret ? ret : image_flush(img);
	ret = ret ? ret : write_packed(img, 1 * MiB, 64 * KiB);
	/* Once more. */
	ret = ret ? ret : write_packed(img, 0, 64 * KiB);
	ret = ret ? ret : image_flush(img);
	return error_set_errno(ret ? err : NULL, -ret, "writing");
}

static int do_discard(struct image *img, struct error *err)
{
	int ret = image_pdiscard(img, 0, 200 * KiB);

	ret = ret ? ret : image_flush(img);
	ret = ret ? ret : write_some(img, 640 * KiB, 128 * KiB, 0xb1);
	ret = ret ? ret : image_pdiscard(img, 1 * MiB, 512 * KiB);
	ret = ret ? ret : image_flush(img);
	return error_set_errno(ret ? err : NULL, -ret, "discarding");
}

static int do_zero(struct image *img, struct error *err)
{
	int ret = image_pwrite_zeroes(img, 10000, 300000, IMAGE_ZERO_UNMAP);

	ret = ret ? ret : image_pwrite_zeroes(img, 700 * KiB, 300000, 0);
	ret = ret ? ret : image_flush(img);
	return error_set_errno(ret ? err : NULL, -ret, "zeroing");
}

/* ---- dirty bitmaps ---- */

static int bitmap(struct image *img, enum image_bitmap_op op, const char *name,
		  const char *source, struct error *err)
{
	struct image_bitmap_args args = { .source = img,
					  .source_name = source };

	return image_bitmap(img, op, name, &args, err);
}

/* One that was being changed when the file failed can only be removed. */
static int renew_broken(struct image *img, struct error *err)
{
	struct image_info info;
	int ret = image_get_info(img, &info, err);

	if (ret)
		return ret;
	for (unsigned int i = 0; !ret && i < info.nr_bitmaps; i++) {
		const char *name = info.bitmaps[i].name;

		if (!info.bitmaps[i].in_use)
			continue;
		ret = bitmap(img, IMAGE_BITMAP_REMOVE, name, NULL, err);
		if (!ret)
			ret = bitmap(img, IMAGE_BITMAP_ADD, name, NULL, err);
	}
	image_info_free(&info);
	return ret;
}

/* ---- sizes ---- */

static int do_grow(struct image *img, struct error *err)
{
	int ret = renew_broken(img, err);

	/* Done before, perhaps. */
	if (!ret && image_size(img) < 6 * MiB)
		ret = image_truncate(img, 6 * MiB, err);
	if (ret)
		return ret;
	ret = write_some(img, 6 * MiB - 20 * KiB, 9000, 0xc1);
	ret = ret ? ret : image_flush(img);
	return error_set_errno(ret ? err : NULL, -ret, "writing");
}

/* In the middle of a cluster; what is cut off had data. */
static int do_shrink(struct image *img, struct error *err)
{
	int ret = renew_broken(img, err);

	if (ret || image_size(img) < 4 * MiB)
		return ret;
	return image_truncate(img, 2500 * KiB + 512, err);
}

/* What was cut off does not come back. */
static int do_cut(struct image *img, struct error *err)
{
	int ret = renew_broken(img, err);

	ret = ret ? ret : image_truncate(img, 1100 * KiB + 512, err);
	return ret ? ret : image_truncate(img, 4 * MiB, err);
}

/* ---- the image as a whole ---- */

static int do_repair(struct image *img, struct error *err)
{
	struct image_check c = { 0 };
	int ret = image_check(img, IMAGE_REPAIR_ALL, &c, err);

	return ret		? ret
	       : c.check_errors ? error_set(err, EIO, "not all was checked")
				: 0;
}

static int do_create(struct loop *loop, const char *path, struct error *err)
{
	struct image_create_option o[] = {
		{ "cluster_size", "4k" }, { "preallocation", "metadata" },
	};

	return image_create(loop, path, "qcow2", 4 * MiB, o, ARRAY_SIZE(o),
			    err);
}

static int do_snapshot(struct image *img, struct error *err)
{
	return image_snapshot_create(img, "another", err);
}

static int do_apply(struct image *img, struct error *err)
{
	return image_snapshot_apply(img, "s", err);
}

static int do_delete(struct image *img, struct error *err)
{
	int ret = image_snapshot_delete(img, "s", err);

	return ret == -ENOENT ? 0 : ret;
}

static int do_compact(struct image *img, struct error *err)
{
	struct image_compact c = { 0 };

	return image_compact(img, &c, err);
}

static int do_empty(struct image *img, struct error *err)
{
	return image_make_empty(img, err);
}

/* The same bytes under another name, which is a longer one. */
static int do_rebase(struct image *img, struct error *err)
{
	return image_change_backing(img, "another-base-of-the-same-content.raw",
				    "raw", err);
}

static int amend(struct image *img, const char *name, const char *value,
		 struct error *err)
{
	struct image_create_option o = { name, value };

	return image_amend(img, &o, 1, 0, NULL, err);
}

static int do_down(struct image *img, struct error *err)
{
	return amend(img, "compat", "0.10", err);
}

static int do_up(struct image *img, struct error *err)
{
	return amend(img, "compat", "1.1", err);
}

static int do_width(struct image *img, struct error *err)
{
	return amend(img, "refcount_bits", "64", err);
}

static int do_narrow(struct image *img, struct error *err)
{
	return amend(img, "refcount_bits", "4", err);
}

static int do_lazy(struct image *img, struct error *err)
{
	return amend(img, "lazy_refcounts", "on", err);
}

/* ---- changes of dirty bitmaps ---- */

static int do_bitmap_add(struct image *img, struct error *err)
{
	int ret = bitmap(img, IMAGE_BITMAP_ADD, "new", NULL, err);

	return ret == -EEXIST ? 0 : ret;
}

static int do_bitmap_clear(struct image *img, struct error *err)
{
	int ret = renew_broken(img, err);

	return ret ? ret : bitmap(img, IMAGE_BITMAP_CLEAR, "b", NULL, err);
}

static int do_bitmap_merge(struct image *img, struct error *err)
{
	int ret = renew_broken(img, err);

	return ret ? ret : bitmap(img, IMAGE_BITMAP_MERGE, "c", "b", err);
}

static int do_bitmap_remove(struct image *img, struct error *err)
{
	int ret = bitmap(img, IMAGE_BITMAP_REMOVE, "b", NULL, err);

	return ret == -ENOENT ? 0 : ret;
}

static int do_bitmap_disable(struct image *img, struct error *err)
{
	int ret = renew_broken(img, err);

	return ret ? ret : bitmap(img, IMAGE_BITMAP_DISABLE, "b", NULL, err);
}

#define RW (IMAGE_RDWR | IMAGE_UNMAP)

static const struct what whats[] = {
	{ "write", RW, CHANGES, RIGHT, do_write, NULL },
	{ "compress", RW, CHANGES, RIGHT, do_compress, NULL },
	{ "discard", RW, CHANGES, RIGHT, do_discard, NULL },
	{ "zero", RW, CHANGES, RIGHT, do_zero, NULL },
	{ "grow", RW, CHANGES, RIGHT, do_grow, NULL },
	{ "shrink", RW, CHANGES, RIGHT, do_shrink, NULL },
	{ "cut", RW, CHANGES, RIGHT, do_cut, NULL },
	{ "repair", IMAGE_RDWR | IMAGE_REPAIR, CHANGES, FEWER, do_repair,
	  NULL },
	{ "create", 0, CHANGES, RIGHT, NULL, do_create },
	{ "snapshot", RW, KEEPS, MORE, do_snapshot, NULL },
	{ "apply", RW, SWITCHES, RIGHT, do_apply, NULL },
	{ "delete", RW, KEEPS, FEWER, do_delete, NULL },
	{ "compact", RW, KEEPS, RIGHT, do_compact, NULL },
	{ "empty", RW, CHANGES, RIGHT, do_empty, NULL },
	{ "rebase", RW, KEEPS, RIGHT, do_rebase, NULL },
	{ "down", RW, KEEPS, RIGHT, do_down, NULL },
	{ "up", RW, KEEPS, RIGHT, do_up, NULL },
	{ "width", RW, KEEPS, RIGHT, do_width, NULL },
	{ "narrow", RW, KEEPS, RIGHT, do_narrow, NULL },
	{ "lazy", RW, KEEPS, RIGHT, do_lazy, NULL },
	{ "bitmap-add", RW, KEEPS, RIGHT, do_bitmap_add, NULL },
	{ "bitmap-clear", RW, KEEPS, RIGHT, do_bitmap_clear, NULL },
	{ "bitmap-merge", RW, KEEPS, RIGHT, do_bitmap_merge, NULL },
	{ "bitmap-remove", RW, KEEPS, RIGHT, do_bitmap_remove, NULL },
	{ "bitmap-disable", RW, KEEPS, RIGHT, do_bitmap_disable, NULL },
};

const struct what *find_what(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(whats); i++)
		if (!strcmp(name, whats[i].name))
			return &whats[i];
	return NULL;
}
