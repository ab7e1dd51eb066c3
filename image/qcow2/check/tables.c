/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tables.c: L1 tables, and what an entry may be.
 *
 * L1 tables list the L2 tables; ck_judge_*() say what is wrong with an entry
 * and what it should be. What the entries of L2 tables point to is counted in
 * count.c.
 */
#include "image/qcow2/check/state.h"

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
		ck_judge_room(ck);
		if (ck->ret)
			return ck->ret;
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

int ck_collect_l1(struct check *ck, const struct l1_table *l1, uint32_t first,
		  uint64_t *words, size_t n)
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

int ck_walk_l1(struct check *ck, const struct l1_table *l1,
	       int (*each)(struct check *ck, const struct l1_table *l1,
			   uint32_t first, uint64_t *words, size_t n),
	       bool must_read)
{
	uint32_t most = min(l1->nr, (uint32_t)(IO_BYTES / 8));
	/* There may be as many tables as snapshots, all of them small. */
	cleanup_free uint64_t *words = malloc(most * sizeof(*words) + 1);
	int ret = 0;

	if (!words)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < l1->nr && ret >= 0; i += n) {
		uint64_t offset = l1->offset + (uint64_t)i * 8;

		n = min(l1->nr - i, most);
		if (ck_is_hole(ck, offset, (uint64_t)n * 8))
			continue;
		ret = image_pread(ck->file, offset, (uint64_t)n * 8, words);
		if (ret && !must_read) {
			ck_unreadable(ck, ret, "an L1 table", offset);
			return 0;
		}
		if (ret)
			return ret;
		ck_swap_words(words, n);
		ret = each(ck, l1, i, words, n);
		if (ret <= 0)
			continue;
		ck_swap_words(words, n);
		ret = image_pwrite(ck->file, offset, (uint64_t)n * 8, words);
	}
	return ret;
}

static int compare_l2_tables(const void *a, const void *b)
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
		qsort(ck->l2, ck->nr_l2, sizeof(*ck->l2), compare_l2_tables);
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
	return bsearch(&key, ck->l2, ck->nr_l2, sizeof(key), compare_l2_tables);
}

/* ---- L2 tables ---- */

const char ck_points_at_metadata[] = "points at metadata";

static const char *validate_compressed_entry(struct check *ck,
					     struct qcow2_entry *e)
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
			return ck_points_at_metadata;
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

static const char *validate_entry_bitmap(struct qcow2_entry *e, bool allocated)
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

static const char *validate_l2_entry_offset(struct check *ck,
					    const struct qcow2_entry *e)
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
		return ck_points_at_metadata;
	return NULL;
}

/* Sets *e to what it should be. NULL when that is what it was. */
const char *ck_judge_l2_entry(struct check *ck, struct qcow2_entry *e)
{
	const char *fault = NULL, *worse;

	if (!e->word && !e->bitmap)
		return NULL;
	if (e->word & QCOW2_COMPRESSED)
		return validate_compressed_entry(ck, e);
	if (e->word & ck->l2_reserved) {
		fault = "has reserved bits set";
		e->word &= ~ck->l2_reserved;
	}
	worse = validate_l2_entry_offset(ck, e);
	if (worse) {
		*e = ck->blank;
		return worse;
	}
	if (ck->h->incompat & QCOW2_INCOMPAT_EXTENDED_L2) {
		worse = validate_entry_bitmap(e,
					     e->word & QCOW2_L2_OFFSET ||
						     (e->word & QCOW2_COPIED));
		fault = worse ? worse : fault;
	}
	return fault;
}
