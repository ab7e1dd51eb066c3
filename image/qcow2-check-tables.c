/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-check-tables.c: the L1 and L2 tables of a check.
 *
 * judge_*() say what is wrong with an entry and what it should be, count_*()
 * take what is left of it into account. Tables that are mostly nonsense are
 * not followed.
 */
#include "image/qcow2-check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/bits.h"
#include "common/cleanup.h"

/* How many L2 tables a repair is ready to copy. */
#define MAX_COPIES 1024

/* ---- L1 tables ---- */

const char *ck_l1_name(const struct l1_table *l1, char buf[32])
{
	if (l1->active)
		return "active";
	snprintf(buf, 32, "snapshot %u", l1->snapshot);
	return buf;
}

/* Sets *e to what it should be (0: dropped). NULL when that is what it was. */
const char *ck_judge_l1_entry(struct check *ck, uint64_t *e)
{
	const char *fault = NULL;
	uint64_t offset;

	if (!*e)
		return NULL;
	if (*e & QCOW2_L1_RESERVED) {
		fault = "has reserved bits set";
		*e &= ~QCOW2_L1_RESERVED;
	}
	offset = *e & QCOW2_L1_OFFSET;
	if (!offset) {
		fault = "points at the header";
		*e = 0;
	} else if (!ck_in_cluster_start(ck, offset)) {
		fault = "is not cluster aligned";
		*e = 0;
	} else if (!range_within(offset, ck->cluster_size, ck->file_len)) {
		fault = "points beyond the end of the file";
		*e = 0;
	}
	return fault;
}

int ck_list_l2(struct check *ck, const struct l1_table *l1, uint64_t e,
	       uint32_t index)
{
	if (ck->nr_l2 == ck->max_l2) {
		size_t n = ck->max_l2 ? ck->max_l2 * 2 : 64;
		struct l2_table *l2 = realloc(ck->l2, n * sizeof(*l2));

		if (!l2)
			return -ENOMEM;
		ck->l2 = l2;
		ck->max_l2 = n;
	}
	ck->l2[ck->nr_l2++] = (struct l2_table){
		.offset = e & QCOW2_L1_OFFSET,
		.refs = 1,
		.active_refs = l1->active,
		.l1_index = index,
		.seen = !l1->active	   ? 0
			: e & QCOW2_COPIED ? SEEN_COPIED
					   : SEEN_SHARED,
	};
	return 0;
}

static int collect_l1_part(struct check *ck, const struct l1_table *l1,
			   uint32_t first, const uint64_t *words, size_t n)
{
	uint64_t bad = 0, good = 0;
	char name[32];
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t e = words[i];

		if (e && ck_judge_l1_entry(ck, &e))
			bad++;
		else if (e)
			good++;
	}
	if (ck_is_garbage(bad, good)) {
		ck_corrupt_for_good(ck,
				    "ERROR L1 table (%s): %" PRIu64
				    " of %" PRIu64 " entries are invalid",
				    ck_l1_name(l1, name), bad, bad + good);
		return 0;
	}
	for (size_t i = 0; i < n && !ret; i++) {
		uint64_t e = words[i];
		const char *fault = ck_judge_l1_entry(ck, &e);

		if (e &&
		    ck_is_meta(ck, ck_cluster_of(ck, e & QCOW2_L1_OFFSET))) {
			fault = "points at other metadata";
			e = 0;
		}
		if (fault) {
			ck->bad_entries++;
			ck_corrupt(ck,
				   "ERROR L1 entry %zu (%s) = %#" PRIx64 " %s",
				   first + i, ck_l1_name(l1, name), words[i],
				   fault);
		}
		if (e)
			ret = ck_list_l2(ck, l1, e, first + (uint32_t)i);
	}
	return ret;
}

/* Is [offset, offset + len) a hole of the file, full of zeroes? */
bool ck_is_hole(struct check *ck, uint64_t offset, uint64_t len)
{
	struct image_extent e;

	if (!range_within(offset, len, image_size(ck->file)))
		return false;
	return !image_block_status(ck->file, offset, len, &e) &&
	       e.length == len && (e.flags & IMAGE_EXTENT_ZERO);
}

int ck_collect_l1(struct check *ck, const struct l1_table *l1)
{
	cleanup_free uint64_t *words = malloc(IO_BYTES);
	int ret = 0;

	if (!words)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < l1->nr && !ret; i += n) {
		uint64_t offset = l1->offset + (uint64_t)i * 8;

		n = min(l1->nr - i, (uint32_t)(IO_BYTES / 8));
		if (ck_is_hole(ck, offset, (uint64_t)n * 8))
			continue;
		ret = image_pread(ck->file, offset, (uint64_t)n * 8, words);
		if (ret) {
			ck_unreadable(ck, ret, "an L1 table", offset);
			return 0;
		}
		ck_swap_words(words, n);
		ret = collect_l1_part(ck, l1, i, words, n);
	}
	return ret;
}

static int compare_l2(const void *a, const void *b)
{
	const struct l2_table *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* No guest cluster is another's: an L2 table stands in the active L1 table
 * once. A repair gives the others a copy, for nobody knows whose it is. */
static void find_used_twice(struct check *ck, const struct l2_table *t)
{
	ck->nr_copies += t->active_refs - 1;
	if (ck->nr_copies > MAX_COPIES) {
		ck_corrupt_for_good(ck,
				    "ERROR %u L1 entries lead to the L2 table "
				    "at %#" PRIx64,
				    t->active_refs, t->offset);
		return;
	}
	ck->rebuild = true;
	ck_corrupt(ck, "ERROR %u L1 entries lead to the L2 table at %#" PRIx64,
		   t->active_refs, t->offset);
}

/* One record per L2 table, sorted; the tables claim their clusters. */
void ck_unify_l2(struct check *ck)
{
	size_t n = 0;

	if (ck->nr_l2)
		qsort(ck->l2, ck->nr_l2, sizeof(*ck->l2), compare_l2);
	for (size_t i = 0; i < ck->nr_l2; i++) {
		struct l2_table *t = &ck->l2[i];

		if (n && ck->l2[n - 1].offset == t->offset) {
			ck->l2[n - 1].refs += t->refs;
			ck->l2[n - 1].active_refs += t->active_refs;
			ck->l2[n - 1].seen |= t->seen;
		} else {
			ck->l2[n++] = *t;
		}
	}
	ck->nr_l2 = n;
	for (size_t i = 0; i < n; i++) {
		ck_add_refs(ck, ck_cluster_of(ck, ck->l2[i].offset),
			    ck->l2[i].refs, SEEN_META | ck->l2[i].seen);
		if (ck->l2[i].active_refs > 1)
			find_used_twice(ck, &ck->l2[i]);
	}
}

struct l2_table *ck_find_l2(struct check *ck, uint64_t offset)
{
	struct l2_table key = {.offset = offset};

	if (!ck->nr_l2)
		return NULL;
	return bsearch(&key, ck->l2, ck->nr_l2, sizeof(key), compare_l2);
}

/* ---- L2 tables ---- */

static const char points_at_metadata[] = "points at metadata";

static const char *judge_compressed(struct check *ck, struct qcow2_entry *e)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(ck->h->cluster_bits, e->word);
	uint64_t last = ck_cluster_of(ck, c.offset + c.len - 1);
	const char *fault = NULL;

	if (ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE) {
		*e = ck->blank;
		return "is compressed, which an external data file cannot be";
	}
	if (last >= ck->nr_clusters) {
		*e = ck->blank;
		return "(compressed) points beyond the end of the file";
	}
	for (uint64_t i = ck_cluster_of(ck, c.offset); i <= last; i++)
		if (ck_is_meta(ck, i)) {
			*e = ck->blank;
			return points_at_metadata;
		}
	if (e->word & QCOW2_COPIED) {
		e->word &= ~QCOW2_COPIED;
		fault = "(compressed) has the COPIED flag set";
	}
	if (e->bitmap) {
		e->bitmap = 0;
		fault = "(compressed) has subclusters";
	}
	return fault;
}

static const char *judge_bitmap(struct qcow2_entry *e, bool allocated)
{
	uint32_t alloc = (uint32_t)e->bitmap;
	uint32_t zero = (uint32_t)(e->bitmap >> 32);

	if (!allocated && alloc) {
		e->bitmap = (uint64_t)(zero | alloc) << 32;
		return "has allocated subclusters but no cluster";
	}
	if (alloc & zero) {
		e->bitmap = (uint64_t)(zero & ~alloc) << 32 | alloc;
		return "has subclusters both allocated and zero";
	}
	return NULL;
}

static const char *judge_offset(struct check *ck, const struct qcow2_entry *e)
{
	uint64_t offset = e->word & QCOW2_L2_OFFSET;

	if (!ck_in_cluster_start(ck, offset))
		return "is not cluster aligned";
	if (ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE)
		return NULL;
	if (!offset)
		return e->word & QCOW2_COPIED && !(e->word & QCOW2_ZERO)
			       ? "points at the header"
			       : NULL;
	if (offset >= ck->file_len)
		return "points beyond the end of the file";
	if (ck_is_meta(ck, ck_cluster_of(ck, offset)))
		return points_at_metadata;
	return NULL;
}

/* Sets *e to what it should be. NULL when that is what it was. */
const char *ck_judge_l2_entry(struct check *ck, struct qcow2_entry *e)
{
	const char *fault = NULL, *worse;

	if (!e->word && !e->bitmap)
		return NULL;
	if (e->word & QCOW2_COMPRESSED)
		return judge_compressed(ck, e);
	if (e->word & ck->l2_reserved) {
		fault = "has reserved bits set";
		e->word &= ~ck->l2_reserved;
	}
	worse = judge_offset(ck, e);
	if (worse) {
		*e = ck->blank;
		return worse;
	}
	if (ck->h->incompat & QCOW2_INCOMPAT_EXTENDED_L2) {
		worse = judge_bitmap(e, e->word & QCOW2_L2_OFFSET ||
						(e->word & QCOW2_COPIED));
		fault = worse ? worse : fault;
	}
	return fault;
}

/* Bytes of a guest cluster that lie within the disk and in the file. */
static uint64_t guest_bytes(const struct check *ck, const struct l2_table *t,
			    uint32_t index, struct qcow2_entry e)
{
	uint64_t offset =
		(((uint64_t)t->l1_index << qcow2_l2_bits(ck->h)) + index)
		<< ck->h->cluster_bits;
	uint32_t alloc = (uint32_t)e.bitmap;
	uint64_t bytes = ck->cluster_size;

	/* Behind its last subcluster nothing was ever written. */
	if (qcow2_extended(ck->h))
		bytes = !alloc ? 0 : (uint64_t)(32 - __builtin_clz(alloc))
					     << qcow2_sub_bits(ck->h);
	if (offset >= ck->h->size)
		return bytes;
	return min(bytes, ck->h->size - offset);
}

/* An active entry comes to a cluster that one of those has come to before. */
static void note_alias(struct check *ck, uint64_t cluster, unsigned int those)
{
	if ((refmap_get(&ck->refs, cluster).flags & those) &&
	    refmap_add(&ck->aliases, cluster, 1, 0))
		ck->ret = -ENOMEM;
}

static void count_compressed(struct check *ck, const struct l2_table *t,
			     uint64_t word)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(ck->h->cluster_bits, word);
	uint64_t last = ck_cluster_of(ck, c.offset + c.len - 1);

	for (uint64_t i = ck_cluster_of(ck, c.offset); i <= last; i++) {
		if (t->active_refs)
			note_alias(ck, i, SEEN_COPIED | SEEN_SHARED);
		ck_add_refs(ck, i, t->refs, t->active_refs ? SEEN_PACKED : 0);
	}
	/* Files of whole sectors: what is cut off there was never written. */
	if (c.offset + c.len > align_up(ck->file_len, SECTOR_SIZE)) {
		ck->cut = true;
		ck_corrupt(ck,
			   "ERROR compressed cluster at %#" PRIx64 " is cut "
			   "off by the end of the file",
			   c.offset);
	}
	ck->res->compressed_clusters += t->active_refs;
	ck->res->allocated_clusters += t->active_refs;
	ck->res->fragmented_clusters += t->active_refs;
}

/* An allocated cluster of the disk; *next is where the one before it ended. */
static void count_place(struct check *ck, const struct l2_table *t,
			uint64_t offset, uint64_t *next)
{
	ck->res->allocated_clusters += t->active_refs;
	if (*next && *next != offset)
		ck->res->fragmented_clusters += t->active_refs;
	*next = offset + ck->cluster_size;
}

/* Counts a judged entry. */
static void count_entry(struct check *ck, const struct l2_table *t,
			uint32_t index, struct qcow2_entry e, uint64_t *next)
{
	uint64_t word = e.word, offset = word & QCOW2_L2_OFFSET;
	unsigned int seen = 0;

	if (word & QCOW2_COMPRESSED) {
		count_compressed(ck, t, word);
		return;
	}
	if (ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE) {
		if (offset || word & QCOW2_COPIED)
			count_place(ck, t, offset, next);
		return;
	}
	if (!offset)
		return;
	if (t->active_refs) {
		seen = word & QCOW2_COPIED ? SEEN_COPIED : SEEN_SHARED;
		note_alias(ck, ck_cluster_of(ck, offset),
			   SEEN_COPIED | SEEN_SHARED | SEEN_PACKED);
	}
	ck_add_refs(ck, ck_cluster_of(ck, offset), t->refs, seen);
	if (t->active_refs > 1)
		note_alias(ck, ck_cluster_of(ck, offset), seen);
	count_place(ck, t, offset, next);
	if (unlikely(*next > ck->file_len) && !(word & QCOW2_ZERO) &&
	    offset + guest_bytes(ck, t, index, e) > ck->file_len) {
		ck->cut = true;
		ck_corrupt(ck,
			   "ERROR cluster %" PRIu64 " is cut off by the end "
			   "of the file: %" PRIu64 " of %" PRIu64 " bytes are "
			   "there",
			   ck_cluster_of(ck, offset), ck->file_len - offset,
			   ck->cluster_size);
	}
}

static void report_entry(struct check *ck, const struct l2_table *t,
			 uint32_t index, uint64_t word, const char *fault)
{
	ck->bad_entries++;
	ck_corrupt(ck,
		   "ERROR L2 entry %u of the table at %#" PRIx64 " = %#" PRIx64
		   " %s",
		   index, t->offset, word, fault);
}

/* The word points at an L2 table that may yet turn out to be none. */
static bool suspect_entry(struct check *ck, const struct l2_table *t,
			  uint32_t index, uint64_t word)
{
	struct l2_table *to = NULL;
	struct suspect *s;

	if (!(word & QCOW2_COMPRESSED))
		to = ck_find_l2(ck, word & QCOW2_L2_OFFSET);
	if (!to || to == t)
		return false;
	s = realloc(ck->suspects, (ck->nr_suspects + 1) * sizeof(*s));
	if (!s) {
		ck->ret = -ENOMEM;
		return true;
	}
	ck->suspects = s;
	s[ck->nr_suspects++] = (struct suspect){t, to, word, index};
	return true;
}

int ck_count_table(struct check *ck, struct l2_table *t, uint8_t *table)
{
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	uint64_t bad = 0, good = 0, next = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct qcow2_entry e = qcow2_entry_load(ck->h, table, i);

		if (!e.word && !e.bitmap)
			continue;
		if (ck_judge_l2_entry(ck, &e))
			bad++;
		else
			good++;
	}
	if (ck_is_garbage(bad, good)) {
		t->bad = true;
		ck->bad_entries++;
		refmap_clear(&ck->refs, ck_cluster_of(ck, t->offset));
		ck_corrupt(ck,
			   "ERROR L1 entry %u points at %#" PRIx64 ", which "
			   "is no L2 table: %" PRIu64 " of %" PRIu64 " entries "
			   "are invalid",
			   t->l1_index, t->offset, bad, bad + good);
		return ck->ret;
	}
	for (uint32_t i = 0; i < nr; i++) {
		struct qcow2_entry e = qcow2_entry_load(ck->h, table, i);
		uint64_t word = e.word;
		const char *fault = bad ? ck_judge_l2_entry(ck, &e) : NULL;

		if (fault == points_at_metadata &&
		    suspect_entry(ck, t, i, word))
			continue;
		if (fault)
			report_entry(ck, t, i, word, fault);
		if (e.word)
			count_entry(ck, t, i, e, &next);
	}
	return ck->ret;
}

void ck_resolve_suspects(struct check *ck)
{
	for (size_t i = 0; i < ck->nr_suspects; i++) {
		const struct suspect *s = &ck->suspects[i];
		uint64_t next = 0;

		if (s->to->bad)
			count_entry(ck, s->from, s->index,
				    (struct qcow2_entry){ s->word, 0 }, &next);
		else
			report_entry(ck, s->from, s->index, s->word,
				     points_at_metadata);
	}
}

/* ---- walking them ---- */

/* How many tables from `t` on lie side by side and fit one read. */
static size_t run_of_tables(const struct check *ck, size_t first)
{
	size_t most = max(IO_BYTES / ck->cluster_size, (uint64_t)1), n = 1;

	while (n < most && first + n < ck->nr_l2 &&
	       ck->l2[first + n].offset ==
		       ck->l2[first].offset + n * ck->cluster_size)
		n++;
	return n;
}

int ck_walk_l2(struct check *ck,
	       int (*each)(struct check *ck, struct l2_table *t,
			   uint8_t *table),
	       bool must_read)
{
	cleanup_free uint8_t *buf = malloc(max(IO_BYTES, ck->cluster_size));
	int ret = 0;
	size_t n;

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < ck->nr_l2 && !ret; i += n) {
		struct l2_table *t = &ck->l2[i];

		n = run_of_tables(ck, i);
		if (ck_is_hole(ck, t->offset, n * ck->cluster_size))
			continue;
		ret = image_pread(ck->file, t->offset, n * ck->cluster_size,
				  buf);
		if (ret && !must_read) {
			ck_unreadable(ck, ret, "L2 tables", t->offset);
			ret = 0;
			continue;
		}
		for (size_t k = 0; k < n && !ret; k++)
			ret = each(ck, &t[k], buf + k * ck->cluster_size);
	}
	return ret;
}
