/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-check-snapshots.c: the snapshot table.
 *
 * Specification, section "Snapshots". Records follow each other, so what comes
 * behind one that is broken off is lost; one whose L1 table is none can be done
 * without. A repair writes a new table of those that are left, in fresh space,
 * which becomes valid together with the new refcounts (qcow2-rebuild.c).
 */
#include "image/qcow2-check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"

/* QEMU's limits on records */
#define HEAD 40u
#define MAX_EXTRA 1024u
#define MIN_EXTRA_V3 16u
#define MAX_TABLE (64 * MiB)

/* A record as it stands in the file. */
struct record {
	uint64_t pos, len;		/* bytes, without padding */
	uint32_t extra;			/* bytes */
	uint64_t l1_offset;
	uint32_t l1_size;		/* entries */
};

int ck_add_l1(struct check *ck, uint64_t offset, uint32_t nr,
	      unsigned int snapshot)
{
	struct l1_table *l1 = ck->l1;
	size_t n = ck->nr_l1;

	if (!(n & (n - 1)))	/* room for 1, 2, 4... of them */
		l1 = reallocarray(l1, n ? 2 * n : 1, sizeof(*l1));
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

/* ---- reading ---- */

/* The record at r->pos. *fault: why it is none, and none can follow. */
static int load_record(struct check *ck, struct record *r, const char **fault)
{
	uint8_t head[HEAD];
	int ret;

	*fault = "lies beyond the end of the file";
	if (!range_within(r->pos, sizeof(head), ck->file_len))
		return 0;
	ret = image_pread(ck->file, r->pos, sizeof(head), head);
	if (ret)
		return ret;
	r->l1_offset = load_be64(head);
	r->l1_size = load_be32(head + 8);
	r->extra = load_be32(head + 36);
	r->len = (uint64_t)HEAD + r->extra + load_be16(head + 12) +
		 load_be16(head + 14);
	if (r->extra > MAX_EXTRA)
		*fault = "has too much extra data";
	else if (!range_within(r->pos, r->len, ck->file_len))
		*fault = "is cut off by the end of the file";
	else if (r->pos + r->len - ck->h->snapshots_offset > MAX_TABLE)
		*fault = "lies beyond the largest snapshot table (64 MiB)";
	else
		*fault = NULL;
	return 0;
}

static void bad_record(struct check *ck, unsigned int i, uint64_t pos,
		       const char *fault)
{
	ck->bad_entries++;
	ck->bad_snapshots = true;
	ck->rebuild = true;
	ck_corrupt(ck, "ERROR snapshot table entry %u (offset %#" PRIx64 ") %s",
		   i, pos, fault);
}

/* Takes the snapshot into the check, or says why it cannot be. */
static int take_snapshot(struct check *ck, unsigned int i,
			 const struct record *r)
{
	uint64_t bytes = (uint64_t)r->l1_size * 8;
	char text[160];
	const char *fault = bytes > QCOW2_MAX_L1_BYTES ? "is too large" : NULL;

	if (!fault && bytes)
		fault = ck_try_claim(ck, r->l1_offset, bytes);
	if (fault) {
		snprintf(text, sizeof(text), "has an L1 table (offset %#" PRIx64
			 ", %" PRIu64 " bytes) that %s", r->l1_offset, bytes,
			 fault);
		bad_record(ck, i, r->pos, text);
		return 0;
	}
	ck->snapshot_kept[i] = true;
	if (ck->h->version >= 3 && r->extra < MIN_EXTRA_V3)
		bad_record(ck, i, r->pos,
			   "lacks the extra data of version 3");
	return ck_add_l1(ck, r->l1_offset, r->l1_size, i + 1);
}

/* What the records up to `end` take up; they are worth nothing without it. */
static bool claim_table(struct check *ck, uint64_t end)
{
	uint64_t offset = ck->h->snapshots_offset, bytes = end - offset;
	const char *fault = bytes ? ck_try_claim(ck, offset, bytes) : NULL;

	if (!fault) {
		ck->snapshot_bytes = bytes;
		return true;
	}
	bad_record(ck, 0, offset, fault);
	return false;
}

/* Where the records end that can be read; *nr: how many those are. */
static int find_end(struct check *ck, unsigned int *nr, uint64_t *end)
{
	struct record r = { .pos = ck->h->snapshots_offset };
	const char *fault = NULL;
	int ret = 0;

	*end = r.pos;
	for (*nr = 0; *nr < ck->h->nb_snapshots; ++*nr) {
		ret = load_record(ck, &r, &fault);
		if (ret || fault)
			break;
		*end = r.pos + r.len;
		r.pos = align_up(*end, 8);
	}
	if (ret)
		ck_unreadable(ck, ret, "the snapshot table", r.pos);
	else if (fault)
		bad_record(ck, *nr, r.pos, fault);
	return ret;
}

int ck_load_snapshots(struct check *ck)
{
	struct record r = { .pos = ck->h->snapshots_offset };
	const char *fault;
	unsigned int nr;
	uint64_t end;
	int ret = 0;

	ck->snapshot_kept = calloc(ck->h->nb_snapshots, 1);
	if (!ck->snapshot_kept)
		return -ENOMEM;
	if (find_end(ck, &nr, &end) || !claim_table(ck, end))
		return 0;
	for (unsigned int i = 0; i < nr && !ret; i++) {
		ret = load_record(ck, &r, &fault);
		if (ret) {
			ck_unreadable(ck, ret, "the snapshot table", r.pos);
			return 0;
		}
		ret = take_snapshot(ck, i, &r);
		r.pos = align_up(r.pos + r.len, 8);
	}
	return ret;
}

/* ---- a new table ---- */

/* Copies a record to `out`, with the extra data that its version wants; returns
 * its length with padding. */
static int copy_record(struct check *ck, const struct record *r, uint8_t *out,
		       uint64_t *len)
{
	uint32_t extra = r->extra;
	int ret = image_pread(ck->file, r->pos, r->len, out);

	if (ret)
		return ret;
	*len = r->len;
	if (ck->h->version >= 3 && extra < MIN_EXTRA_V3) {
		uint8_t *data = out + HEAD;

		memmove(data + MIN_EXTRA_V3, data + extra,
			r->len - HEAD - extra);
		if (extra < 8)
			store_be64(data, load_be32(out + 32));
		store_be64(data + 8, ck->h->size);
		store_be32(out + 36, MIN_EXTRA_V3);
		*len += MIN_EXTRA_V3 - extra;
	}
	memset(out + *len, 0, align_up(*len, 8) - *len);
	*len = align_up(*len, 8);
	return 0;
}

static int build_table(struct check *ck, uint8_t *table, uint64_t *bytes)
{
	struct record r = { .pos = ck->h->snapshots_offset };
	const char *fault = NULL;
	uint64_t len;
	int ret = 0;

	*bytes = 0;
	for (unsigned int i = 0; i < ck->h->nb_snapshots && !ret; i++) {
		if (!fault)
			ret = load_record(ck, &r, &fault);
		if (!ret && !fault && ck->snapshot_kept[i]) {
			ret = copy_record(ck, &r, table + *bytes, &len);
			*bytes += ret ? 0 : len;
			ck->nb_snapshots++;
		}
		if (!fault)
			r.pos = align_up(r.pos + r.len, 8);
	}
	return ret;
}

int ck_rewrite_snapshots(struct check *ck)
{
	uint64_t n = div_round_up(ck->snapshot_bytes, ck->cluster_size), bytes;
	/* A record grows by no more than the extra data and its padding. */
	uint64_t room = ck->snapshot_bytes +
			(uint64_t)ck->h->nb_snapshots * (MIN_EXTRA_V3 + 8);
	cleanup_free uint8_t *table = malloc(room + 1);
	int ret;

	if (!table)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++)
		refmap_clear(&ck->refs,
			     ck_cluster_of(ck, ck->h->snapshots_offset) + i);
	ck->nb_snapshots = 0;
	ck->snapshots_offset = 0;
	ret = build_table(ck, table, &bytes);
	if (!ret && ck->nb_snapshots < ck->h->nb_snapshots)
		ck_note(ck, "Giving up %u of %u snapshots",
			ck->h->nb_snapshots - ck->nb_snapshots,
			ck->h->nb_snapshots);
	if (ret || !bytes)
		return ret;
	ck->snapshots_offset = ck->nr_clusters << ck->h->cluster_bits;
	n = div_round_up(bytes, ck->cluster_size);
	for (uint64_t i = 0; i < n; i++)
		ck_add_refs(ck, ck->nr_clusters + i, 1, SEEN_META);
	ck->nr_clusters += n;
	ck->highest = max(ck->highest, ck->nr_clusters - 1);
	return ck->ret ? ck->ret : image_pwrite(ck->file, ck->snapshots_offset,
						bytes, table);
}
