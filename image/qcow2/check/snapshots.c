/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshots.c: the snapshot table.
 *
 * Specification, section "Snapshots". Records follow each other, so what comes
 * behind one that is broken off is lost; one whose L1 table is none can be done
 * without. A repair writes a new table of those that are left, in fresh space,
 * which becomes valid together with the new refcounts (rebuild.c).
 *
 * What is only more than readers put up with is no damage. Extra data that is
 * too long is cut off by a repair, as QEMU's does; where nothing but a snapshot
 * could be left out, nothing is repaired. Nor is anything where such extra data
 * turns out to lie over something else: one of them is not what it seems.
 */
#include "image/qcow2/check/state.h"

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
/* What is looked at of one that is larger. */
#define MAX_READ GiB

/* A record as it stands in the file. */
struct record {
	uint64_t pos, len;		/* bytes, without padding */
	uint32_t extra;			/* bytes */
	uint32_t kept;			/* of these, in a new table */
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

/* Does it name what could be an L1 table? */
static bool has_l1(const struct check *ck, const struct record *r)
{
	return ck_in_cluster_start(ck, r->l1_offset) &&
	       range_within(r->l1_offset, (uint64_t)r->l1_size * 8,
			    ck->file_len);
}

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
	r->kept = min(r->extra, MAX_EXTRA);
	if (ck->h->version >= 3)
		r->kept = max(r->kept, MIN_EXTRA_V3);
	r->len = (uint64_t)HEAD + r->extra + load_be16(head + 12) +
		 load_be16(head + 14);
	*fault = NULL;
	if (r->extra > MAX_EXTRA && !has_l1(ck, r))
		*fault = "has too much extra data";
	else if (!range_within(r->pos, r->len, ck->file_len))
		*fault = "is cut off by the end of the file";
	return 0;
}

/* Bytes that it takes up in a new table. */
static uint64_t rewritten_size(const struct record *r)
{
	return align_up(r->len - r->extra + r->kept, 8);
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

/* Those are there, and can stay there. */
static void validate_extra_data(struct check *ck, unsigned int i,
				const struct record *r)
{
	char text[80];

	if (r->kept > r->extra)
		bad_record(ck, i, r->pos, "lacks the extra data of version 3");
	if (r->kept >= r->extra)
		return;
	snprintf(text, sizeof(text), "has %u bytes of extra data, at most %u "
		 "are read", r->extra, r->kept);
	bad_record(ck, i, r->pos, text);
}

/* Takes the snapshot into the check, or says why it cannot be. */
static int take_snapshot(struct check *ck, unsigned int i,
			 const struct record *r)
{
	uint64_t bytes = (uint64_t)r->l1_size * 8;
	const char *fault = NULL;
	char text[160];

	if (bytes > QCOW2_MAX_L1_BYTES && has_l1(ck, r)) {
		ck_corrupt_for_good(ck, "ERROR snapshot table entry %u (offset "
				    "%#" PRIx64 ") has an L1 table of %" PRIu64
				    " bytes, at most %u are read", i, r->pos,
				    bytes, QCOW2_MAX_L1_BYTES);
		return 0;
	}
	if (bytes)
		fault = ck_try_claim(ck, r->l1_offset, bytes);
	if (fault) {
		snprintf(text, sizeof(text), "has an L1 table (offset %#" PRIx64
			 ", %" PRIu64 " bytes) that %s", r->l1_offset, bytes,
			 fault);
		bad_record(ck, i, r->pos, text);
		return 0;
	}
	ck->snapshot_kept[i] = true;
	validate_extra_data(ck, i, r);
	return ck_add_l1(ck, r->l1_offset, r->l1_size, i + 1);
}

/* What the records up to `end` take up; they are worth nothing without it. If
 * they are doubtful nobody else is kept from it for now. */
static bool claim_snapshot_table(struct check *ck, uint64_t end)
{
	uint64_t offset = ck->h->snapshots_offset, bytes = end - offset;
	uint64_t first = ck_cluster_of(ck, offset);
	const char *fault = bytes ? ck_try_claim(ck, offset, bytes) : NULL;

	if (!fault) {
		ck->snapshot_bytes = bytes;
		ck->snapshot_clusters = div_round_up(bytes, ck->cluster_size);
	}
	for (uint64_t i = 0; ck->doubtful && i < ck->snapshot_clusters; i++) {
		refmap_clear(&ck->refs, first + i);
		ck_add_refs(ck, first + i, 1, 0);
	}
	if (!fault)
		return true;
	bad_record(ck, 0, offset, fault);
	return false;
}

/* A new table may be less, but never so much. */
static bool validate_table_size(struct check *ck, uint64_t bytes, uint64_t most)
{
	if (bytes <= most)
		return true;
	ck_corrupt_for_good(ck, "ERROR the snapshot table (offset %#" PRIx64
			    ") has more than %" PRIu64 " bytes",
			    ck->h->snapshots_offset, most);
	return false;
}

/* Where the records end that can be read; *nr: how many those are. false: there
 * is a finding, and they are not to be looked at. */
static bool find_last_record(struct check *ck, unsigned int *nr, uint64_t *end)
{
	uint64_t start = ck->h->snapshots_offset, bytes = 0;
	struct record r = { .pos = start };
	const char *fault = NULL;
	int ret = 0;

	*end = start;
	for (*nr = 0; *nr < ck->h->nb_snapshots; ++*nr) {
		ret = load_record(ck, &r, &fault);
		if (ret || fault)
			break;
		*end = r.pos + r.len;
		if (!validate_table_size(ck, *end - start, MAX_READ))
			return false;
		r.pos = align_up(*end, 8);
		bytes += rewritten_size(&r);
		ck->doubtful |= r.extra > MAX_EXTRA;
	}
	if (ret)
		ck_unreadable(ck, ret, "the snapshot table", r.pos);
	else if (fault)
		bad_record(ck, *nr, r.pos, fault);
	ck->new_snapshot_bytes = bytes;
	return !ret && validate_table_size(ck, bytes, MAX_TABLE);
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
	if (!find_last_record(ck, &nr, &end) || !claim_snapshot_table(ck, end))
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

void ck_judge_doubtful(struct check *ck)
{
	uint64_t first = ck_cluster_of(ck, ck->h->snapshots_offset);

	for (uint64_t i = 0; ck->doubtful && i < ck->snapshot_clusters; i++) {
		if (ck_count_of(ck, first + i) == 1)
			continue;
		ck_corrupt_for_good(ck, "ERROR the snapshot table (offset %#"
				    PRIx64 ", %" PRIu64 " bytes) lies over "
				    "something else", ck->h->snapshots_offset,
				    ck->snapshot_bytes);
		break;
	}
}

/* ---- a new table ---- */

/* Copies a record to `out`, with as much extra data as a reader wants; the
 * length is rewritten_size(). */
static int copy_record(struct check *ck, const struct record *r, uint8_t *out)
{
	uint32_t extra = min(r->extra, r->kept);
	uint64_t names = r->len - HEAD - r->extra;
	uint8_t *data = out + HEAD;
	int ret;

	memset(out, 0, rewritten_size(r));
	ret = image_pread(ck->file, r->pos, HEAD + extra, out);
	if (!ret)
		ret = image_pread(ck->file, r->pos + HEAD + r->extra, names,
				  data + r->kept);
	store_be32(out + 36, r->kept);
	if (r->kept <= r->extra)
		return ret;
	if (extra < 8)
		store_be64(data, load_be32(out + 32));
	store_be64(data + 8, ck->h->size);
	return ret;
}

static int build_table(struct check *ck, uint8_t *table, uint64_t *bytes)
{
	struct record r = { .pos = ck->h->snapshots_offset };
	const char *fault = NULL;
	int ret = 0;

	*bytes = 0;
	for (unsigned int i = 0; i < ck->h->nb_snapshots && !ret; i++) {
		if (!fault)
			ret = load_record(ck, &r, &fault);
		if (!ret && !fault && ck->snapshot_kept[i]) {
			ret = copy_record(ck, &r, table + *bytes);
			*bytes += rewritten_size(&r);
			ck->nb_snapshots++;
		}
		if (!fault)
			r.pos = align_up(r.pos + r.len, 8);
	}
	return ret;
}

int ck_rewrite_snapshots(struct check *ck)
{
	uint64_t n = ck->snapshot_clusters, bytes;
	cleanup_free uint8_t *table = malloc(ck->new_snapshot_bytes + 1);
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
