/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmaps.c: the dirty bitmaps.
 *
 * Specification, sections "Bitmaps extension" and "Bitmaps". They only claim
 * clusters here, all of them or none: a bitmap that is broken cannot be told
 * from the others, so a repair gives them all up, which costs nobody data. One
 * that another program may read, and only we cannot, is no damage: nothing is
 * repaired then.
 * What is in them is not looked at.
 */
#include "image/qcow2/check/state.h"
#include "image/qcow2/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"

__attribute__((format(printf, 2, 3)))
static void bad_bitmaps(struct check *ck, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ck->bad_bitmaps = true;
	ck->bad_entries++;
	ck_corrupt(ck, "ERROR %s", text);
}

/* Claims clusters and notes which, for the case that all goes back. */
__attribute__((format(printf, 4, 5)))
static bool claim_bitmap_clusters(struct check *ck, uint64_t offset,
				  uint64_t bytes, const char *fmt, ...)
{
	uint64_t first = ck_cluster_of(ck, offset);
	const char *fault = ck_try_claim(ck, offset, bytes);
	char what[64];
	va_list ap;

	if (fault) {
		va_start(ap, fmt);
		vsnprintf(what, sizeof(what), fmt, ap);
		va_end(ap);
		bad_bitmaps(ck, "%s (offset %#" PRIx64 ", %" PRIu64
			    " bytes) %s", what, offset, bytes, fault);
		return false;
	}
	for (uint64_t i = 0; i < div_round_up(bytes, ck->cluster_size); i++)
		if (refmap_add(&ck->bitmaps, first + i, 1, 0))
			ck->ret = -ENOMEM;
	return true;
}

static void load_bitmap_table(struct check *ck, unsigned int nr,
			      const uint64_t *table, uint32_t entries)
{
	for (uint32_t i = 0; i < entries && !ck->bad_bitmaps; i++) {
		uint64_t e = load_be64(&table[i]);
		uint64_t offset = e & QCOW2_L2_OFFSET;

		if (e & ~(QCOW2_L2_OFFSET | (offset ? 0 : 1)))
			bad_bitmaps(ck, "bitmap %u: table entry %u (%#" PRIx64
				    ") has reserved bits set", nr, i, e);
		else if (offset)
			claim_bitmap_clusters(ck, offset, ck->cluster_size,
					      "data of bitmap %u", nr);
	}
}

static int load_bitmap(struct check *ck, unsigned int nr, uint64_t offset,
		       uint32_t entries)
{
	cleanup_free uint64_t *table = NULL;
	uint64_t bytes = (uint64_t)entries * 8;
	int ret;

	if (!claim_bitmap_clusters(ck, offset, bytes, "the table of bitmap %u",
				   nr))
		return 0;
	table = malloc(bytes);
	if (!table)
		return -ENOMEM;
	ret = image_pread(ck->file, offset, bytes, table);
	if (ret)
		ck_unreadable(ck, ret, "a bitmap table", offset);
	else
		load_bitmap_table(ck, nr, table, entries);
	return ck->ret;
}

static int load_bitmap_directory(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	struct error err = ERROR_INIT;
	struct qcow2_bitmaps list;
	int ret;

	if (!claim_bitmap_clusters(ck, h->bitmap_dir_offset, h->bitmap_dir_size,
				   "the bitmap directory"))
		return 0;
	ret = qcow2_bitmap_list(ck->file, h, &list, &err);
	if (ret == -EINVAL) {
		bad_bitmaps(ck, "%s", error_text(&err, ret));
		return 0;
	}
	if (ret == -ENOTSUP) {
		ck_corrupt_for_good(ck, "ERROR bitmaps that cannot be read, "
				    "and are not given up for that: %s",
				    error_text(&err, ret));
		return 0;
	}
	if (ret && ret != -ENOMEM)
		ck_unreadable(ck, ret, "the bitmap directory",
			      h->bitmap_dir_offset);
	if (ret)
		return ret == -ENOMEM ? ret : 0;
	for (unsigned int i = 0; !ret && !ck->bad_bitmaps && i < list.nr; i++)
		ret = load_bitmap(ck, i, list.v[i].table_offset,
				  list.v[i].table_entries);
	qcow2_bitmap_list_free(&list);
	return ret;
}

/* What the bitmaps have claimed is theirs no more. */
static void release_bitmap_clusters(struct check *ck)
{
	uint64_t c = 0;

	while (refmap_next(&ck->bitmaps, c, &c, &ck->ret))
		refmap_clear(&ck->refs, c++);
}

int ck_load_bitmaps(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	int ret;

	/* Without the bit the extension is stale: its clusters are leaks. */
	if (!h->has_bitmaps || !(h->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	ret = load_bitmap_directory(ck);
	if (!ret && ck->bad_bitmaps && ck->repair == IMAGE_REPAIR_ALL)
		release_bitmap_clusters(ck);
	refmap_free(&ck->bitmaps);
	return ret ? ret : ck->ret;
}
