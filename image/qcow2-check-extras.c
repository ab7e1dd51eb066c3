/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-check-extras.c: the snapshot table and the dirty bitmaps.
 *
 * Specification, sections "Snapshots" and "Bitmaps". Both only claim clusters
 * here; the L1 tables of snapshots are walked with the active one.
 */
#include "image/qcow2-check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"

/* QEMU's limits on snapshot records */
#define SNAPSHOT_HEAD 40u
#define SNAPSHOT_MAX_EXTRA 1024u
#define SNAPSHOT_MIN_EXTRA_V3 16u
#define SNAPSHOT_MAX_TABLE (64 * MiB)
#define BITMAP_HEAD 24u
#define BITMAP_TABLE_MAX_ENTRIES 0x8000000u

/* ---- snapshots and bitmaps ---- */

int ck_add_l1(struct check *ck, uint64_t offset, uint32_t nr,
	      unsigned int snapshot)
{
	struct l1_table *l1 = realloc(ck->l1, (ck->nr_l1 + 1) * sizeof(*l1));

	if (!l1)
		return -ENOMEM;
	ck->l1 = l1;
	l1[ck->nr_l1++] = (struct l1_table){
		.offset = offset,
		.nr = nr,
		.active = !snapshot,
		.snapshot = snapshot,
	};
	return 0;
}

/* Reads record `nr` (from 0) at *pos and moves on; NULL or what is wrong. */
static const char *load_snapshot(struct check *ck, uint64_t *pos,
				 struct l1_table *out)
{
	uint8_t head[SNAPSHOT_HEAD];
	uint64_t len;
	uint32_t extra;
	int ret;

	if (!range_within(*pos, sizeof(head), ck->file_len))
		return "lies beyond the end of the file";
	ret = image_pread(ck->file, *pos, sizeof(head), head);
	if (ret)
		return strerror(-ret);
	extra = load_be32(head + 36);
	if (extra > SNAPSHOT_MAX_EXTRA)
		return "has too much extra data";
	len = SNAPSHOT_HEAD + extra + load_be16(head + 12) +
	      load_be16(head + 14);
	if (!range_within(*pos, len, ck->file_len))
		return "is cut off by the end of the file";
	if (*pos + len - ck->h->snapshots_offset > SNAPSHOT_MAX_TABLE)
		return "lies beyond the largest snapshot table (64 MiB)";
	if (ck->h->version >= 3 && extra < SNAPSHOT_MIN_EXTRA_V3)
		return "lacks the extra data of version 3";
	out->offset = load_be64(head);
	out->nr = load_be32(head + 8);
	*pos += align_up(len, 8);
	return NULL;
}

int ck_load_snapshots(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	uint64_t pos = h->snapshots_offset, end;
	unsigned int i;

	for (i = 0; i < h->nb_snapshots; i++) {
		struct l1_table l1 = {0};
		const char *fault = load_snapshot(ck, &pos, &l1);

		if (fault) {
			ck_corrupt_for_good(ck,
					    "ERROR snapshot table entry %u "
					    "(offset %#" PRIx64 ") %s",
					    i, pos, fault);
			break;
		}
		if ((uint64_t)l1.nr * 8 > QCOW2_MAX_L1_BYTES) {
			ck_corrupt_for_good(ck,
					    "ERROR snapshot table entry %u: L1 "
					    "table of %u entries, at most %u",
					    i, l1.nr, QCOW2_MAX_L1_BYTES / 8);
			continue;
		}
		if (ck_add_l1(ck, l1.offset, l1.nr, i + 1))
			return -ENOMEM;
	}
	end = min(pos, ck->file_len);
	if (end > h->snapshots_offset)
		ck_claim(ck, h->snapshots_offset, end - h->snapshots_offset,
			 "the snapshot table");
	return 0;
}

static void load_bitmap_table(struct check *ck, unsigned int nr,
			      const uint64_t *table, uint32_t entries)
{
	for (uint32_t i = 0; i < entries; i++) {
		uint64_t e = load_be64(&table[i]);
		uint64_t offset = e & QCOW2_L2_OFFSET;

		if (e & ~(QCOW2_L2_OFFSET | (offset ? 0 : 1)))
			ck_corrupt_for_good(ck,
					    "ERROR bitmap %u: table entry %u "
					    "(%#" PRIx64
					    ") has reserved bits set",
					    nr, i, e);
		else if (offset)
			ck_claim(ck, offset, ck->cluster_size,
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
		ck_corrupt_for_good(ck, "ERROR bitmap %u: table of %u entries",
				    nr, entries);
		return 0;
	}
	if (!ck_claim(ck, offset, bytes, "the table of bitmap %u", nr))
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

static int load_bitmap_directory(struct check *ck, const uint8_t *dir)
{
	uint64_t pos = 0, len, size = ck->h->bitmap_dir_size;
	int ret = 0;

	for (unsigned int i = 0; i < ck->h->nr_bitmaps && !ret; i++) {
		const uint8_t *e = dir + pos;

		len = BITMAP_HEAD;
		if (range_within(pos, len, size))
			len += (uint64_t)load_be16(e + 18) + load_be32(e + 20);
		if (!range_within(pos, len, size)) {
			ck_corrupt_for_good(ck,
					    "ERROR bitmap %u lies beyond the "
					    "end of the bitmap directory",
					    i);
			break;
		}
		ret = load_bitmap(ck, i, load_be64(e), load_be32(e + 8));
		pos += align_up(len, 8);
	}
	return ret;
}

int ck_load_bitmaps(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	cleanup_free uint8_t *dir = NULL;
	int ret;

	/* Without the bit the extension is stale: its clusters are leaks. */
	if (!h->has_bitmaps || !(h->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	if (!ck_claim(ck, h->bitmap_dir_offset, h->bitmap_dir_size,
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
	return load_bitmap_directory(ck, dir);
}
