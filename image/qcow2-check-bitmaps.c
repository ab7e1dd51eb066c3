/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-check-bitmaps.c: the dirty bitmaps.
 *
 * Specification, sections "Bitmaps extension" and "Bitmaps". They only claim
 * clusters here, all of them or none: a bitmap that is broken cannot be told
 * from the others, so a repair gives them all up, which costs nobody data.
 * What is in them is not looked at.
 */
#include "image/qcow2-check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cleanup.h"

#define BITMAP_HEAD 24u
#define BITMAP_TABLE_MAX_ENTRIES 0x8000000u

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
static bool claim(struct check *ck, uint64_t offset, uint64_t bytes,
		  const char *fmt, ...)
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

static void load_table(struct check *ck, unsigned int nr,
		       const uint64_t *table, uint32_t entries)
{
	for (uint32_t i = 0; i < entries && !ck->bad_bitmaps; i++) {
		uint64_t e = load_be64(&table[i]);
		uint64_t offset = e & QCOW2_L2_OFFSET;

		if (e & ~(QCOW2_L2_OFFSET | (offset ? 0 : 1)))
			bad_bitmaps(ck, "bitmap %u: table entry %u (%#" PRIx64
				    ") has reserved bits set", nr, i, e);
		else if (offset)
			claim(ck, offset, ck->cluster_size,
			      "data of bitmap %u", nr);
	}
}

static int load_bitmap(struct check *ck, unsigned int nr, uint64_t offset,
		       uint32_t entries)
{
	cleanup_free uint64_t *table = NULL;
	uint64_t bytes = (uint64_t)entries * 8;
	int ret;

	if (!entries || entries > BITMAP_TABLE_MAX_ENTRIES) {
		bad_bitmaps(ck, "bitmap %u: table of %u entries", nr, entries);
		return 0;
	}
	if (!claim(ck, offset, bytes, "the table of bitmap %u", nr))
		return 0;
	table = malloc(bytes);
	if (!table)
		return -ENOMEM;
	ret = image_pread(ck->file, offset, bytes, table);
	if (ret)
		ck_unreadable(ck, ret, "a bitmap table", offset);
	else
		load_table(ck, nr, table, entries);
	return ck->ret;
}

static int load_directory(struct check *ck, const uint8_t *dir)
{
	uint64_t pos = 0, len, size = ck->h->bitmap_dir_size;
	int ret = 0;

	for (unsigned int i = 0; i < ck->h->nr_bitmaps && !ret &&
	     !ck->bad_bitmaps; i++) {
		const uint8_t *e = dir + pos;

		len = BITMAP_HEAD;
		if (range_within(pos, len, size))
			len += (uint64_t)load_be16(e + 18) + load_be32(e + 20);
		if (!range_within(pos, len, size)) {
			bad_bitmaps(ck, "bitmap %u lies beyond the end of the "
				    "bitmap directory", i);
			break;
		}
		ret = load_bitmap(ck, i, load_be64(e), load_be32(e + 8));
		pos += align_up(len, 8);
	}
	return ret;
}

static int load_all(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	cleanup_free uint8_t *dir = NULL;
	int ret;

	if (!claim(ck, h->bitmap_dir_offset, h->bitmap_dir_size,
		   "the bitmap directory"))
		return 0;
	dir = malloc(h->bitmap_dir_size);
	if (!dir)
		return -ENOMEM;
	ret = image_pread(ck->file, h->bitmap_dir_offset, h->bitmap_dir_size,
			  dir);
	if (ret) {
		ck_unreadable(ck, ret, "the bitmap directory",
			      h->bitmap_dir_offset);
		return 0;
	}
	return load_directory(ck, dir);
}

/* What the bitmaps have claimed is theirs no more. */
static void give_up(struct check *ck)
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
	ret = load_all(ck);
	if (!ret && ck->bad_bitmaps && ck->repair == IMAGE_REPAIR_ALL) {
		ck_note(ck, "Giving up the bitmaps");
		give_up(ck);
	}
	refmap_free(&ck->bitmaps);
	return ret ? ret : ck->ret;
}
