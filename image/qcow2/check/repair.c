/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * repair.c: mends what a check has found.
 *
 * In an order that is safe against a crash: refcounts up (or all of them anew,
 * rebuild.c), then entries, then refcounts down.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/bits.h"
#include "common/cleanup.h"

/* ---- mending L2 tables ---- */

/* What COPIED has to say about a host cluster of the active tables. */
static uint64_t copied_flag(struct check *ck, uint64_t offset)
{
	if (qcow2_external(ck->h))
		return QCOW2_COPIED;
	return ck_count_of(ck, ck_cluster_of(ck, offset)) == 1 ? QCOW2_COPIED
							       : 0;
}

/* True when the table has changed. */
static bool mend_l2_table(struct check *ck, const struct l2_table *t,
			  uint8_t *table)
{
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	bool changed = false;

	for (uint32_t i = 0; i < nr; i++) {
		struct qcow2_entry old = qcow2_entry_load(ck->h, table, i);
		struct qcow2_entry e = old;

		uint64_t copy = ck_alias_copy(ck, t, i);

		ck_judge_l2_entry(ck, &e);
		if (copy)
			e.word = copy | (e.word & QCOW2_ZERO);
		if (t->active_refs && e.word & QCOW2_L2_OFFSET &&
		    !(e.word & QCOW2_COMPRESSED))
			e.word = (e.word & ~QCOW2_COPIED) |
				 copied_flag(ck, e.word & QCOW2_L2_OFFSET);
		if (qcow2_entry_equal(e, old))
			continue;
		qcow2_entry_store(ck->h, table, i, e);
		changed = true;
	}
	return changed;
}

/* ---- repair: refcounts in place ---- */

bool ck_mend_refblock(struct check *ck, uint64_t first, uint8_t *block,
		      enum direction direction)
{
	uint64_t n = UINT64_C(1) << qcow2_refblock_bits(ck->h);
	uint32_t order = ck->h->refcount_order;
	bool changed = false;

	for (uint64_t k = 0; k < n; k++) {
		uint64_t old = qcow2_refcount_get(block, order, k);
		uint64_t count = ck_count_of(ck, first + k);

		if (direction == RAISE ? count > old : count < old) {
			qcow2_refcount_set(block, order, k, count);
			changed = true;
		}
	}
	return changed;
}

static int mend_refcounts(struct check *ck, enum direction direction)
{
	cleanup_free uint8_t *block = malloc(ck->cluster_size);
	uint32_t bits = qcow2_refblock_bits(ck->h);
	int ret = 0;

	if (!block)
		return -ENOMEM;
	for (uint64_t i = 0; i < ck->nr_reftable && !ret; i++) {
		if (ck->reftable[i] <= REFBLOCK_BAD)
			continue;
		ret = ck_read_refblock(ck, i, block);
		if (!ret && ck_mend_refblock(ck, i << bits, block, direction))
			ret = image_pwrite(ck->file, ck->reftable[i],
					   ck->cluster_size, block);
	}
	return ret ? ret : image_flush(ck->file);
}

/* ---- repair: entries and flags ---- */

/* For ck_walk_l1() */
static int mend_l1_entries(struct check *ck, const struct l1_table *l1,
			   uint32_t first, uint64_t *words, size_t n)
{
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		uint64_t old = words[i], e = old;
		struct l2_table *t;

		ck_judge_l1_entry(ck, &e);
		t = e ? ck_find_l2(ck, e & QCOW2_L1_OFFSET) : NULL;
		if (!t || t->bad)
			e = 0;
		else if (l1->active) {
			t = ck_one_of(ck, t);
			e = t->offset | copied_flag(ck, t->offset);
		}
		words[i] = e;
		changed |= e != old;
	}
	return changed;
}

static int write_mended_l2(struct check *ck, struct l2_table *t, uint8_t *table)
{
	if (t->bad || !mend_l2_table(ck, t, table))
		return 0;
	return image_pwrite(ck->file, t->offset, ck->cluster_size, table);
}

static int mend_entries(struct check *ck)
{
	int ret = ck_walk_l2(ck, write_mended_l2, true);

	for (size_t i = 0; i < ck->nr_l1 && !ret; i++)
		ret = ck_walk_l1(ck, &ck->l1[i], mend_l1_entries, true);
	return ret ? ret : image_flush(ck->file);
}

static int clear_bits(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	const uint64_t bits = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT;
	/* As before any other write, those that we do not know are cleared. */
	uint64_t autoclear = h->autoclear & (QCOW2_AUTOCLEAR_BITMAPS |
					     QCOW2_AUTOCLEAR_DATA_FILE_RAW);
	uint8_t field[8];
	int ret = 0;

	if (!h->has_bitmaps || ck->bad_bitmaps)
		autoclear &= ~QCOW2_AUTOCLEAR_BITMAPS;
	if (!(h->incompat & QCOW2_INCOMPAT_DATA_FILE))
		autoclear &= ~QCOW2_AUTOCLEAR_DATA_FILE_RAW;

	if (ck->res->dry_run) {
		if (h->incompat & bits || autoclear != h->autoclear)
			ck_note(ck, "Would clear bits in the header");
		return 0;
	}
	if (h->incompat & bits) {
		store_be64(field, h->incompat & ~bits);
		ret = image_pwrite(ck->file, QCOW2_OFF_INCOMPAT, sizeof(field),
				   field);
	}
	if (!ret && h->version >= 3 && autoclear != h->autoclear) {
		store_be64(field, autoclear);
		ret = image_pwrite(ck->file, QCOW2_OFF_AUTOCLEAR, sizeof(field),
				   field);
	}
	return ret ? ret : image_flush(ck->file);
}

/* ---- the steps ---- */

/* One thing that a repair does, in this order. */
struct step {
	bool (*wanted)(const struct check *ck);
	int (*run)(struct check *ck, struct error *err);
	const char *what;		/* for those who ask first */
};

static bool is_cut(const struct check *ck)
{
	return ck->cut;
}

static int complete_file(struct check *ck, struct error *err)
{
	return image_truncate(ck->file, ck->nr_clusters << ck->h->cluster_bits,
			      err);
}

static bool has_bad_snapshots(const struct check *ck)
{
	return ck->bad_snapshots;
}

static int rewrite_snapshots(struct check *ck, struct error *err)
{
	return ck_rewrite_snapshots(ck);
}

static bool has_bad_bitmaps(const struct check *ck)
{
	return ck->bad_bitmaps;
}

/* Before anything that was theirs is free. */
static int give_up_bitmaps(struct check *ck, struct error *err)
{
	uint8_t field[8];
	int ret;

	store_be64(field, ck->h->autoclear & ~QCOW2_AUTOCLEAR_BITMAPS);
	ret = image_pwrite(ck->file, QCOW2_OFF_AUTOCLEAR, sizeof(field), field);
	return ret ? ret : image_flush(ck->file);
}

static bool has_double_tables(const struct check *ck)
{
	return ck->nr_copies;
}

static int copy_l2_tables(struct check *ck, struct error *err)
{
	return ck_copy_l2_tables(ck);
}

static bool has_aliases(const struct check *ck)
{
	return ck->apart.nr_leaves;
}

static int copy_aliases(struct check *ck, struct error *err)
{
	return ck_copy_aliases(ck);
}

static bool must_rebuild(const struct check *ck)
{
	return ck->rebuild || has_aliases(ck);
}

static int rebuild_refcounts(struct check *ck, struct error *err)
{
	return ck_rebuild_refcounts(ck, err);
}

static bool must_raise(const struct check *ck)
{
	return ck->res->corruptions && !must_rebuild(ck);
}

static int raise_refcounts(struct check *ck, struct error *err)
{
	return mend_refcounts(ck, RAISE);
}

static bool has_bad_entries(const struct check *ck)
{
	return ck->bad_entries;
}

/* Refcounts that were too high had flags that went with them. */
static bool has_findings(const struct check *ck)
{
	return ck->res->corruptions || ck->res->leaks;
}

/* Nothing is doubtful but flags: refcounts tell what they should be, as soon as
 * leaks are mended. */
static bool has_only_flags(const struct check *ck)
{
	return ck->res->corruptions == ck->wrong_flags && has_findings(ck);
}

static int mend_flags(struct check *ck, struct error *err)
{
	return mend_entries(ck);
}

static bool has_leaks(const struct check *ck)
{
	return ck->res->leaks && !must_rebuild(ck);
}

static int lower_refcounts(struct check *ck, struct error *err)
{
	return mend_refcounts(ck, LOWER);
}

static const struct step all_steps[] = {
	{ is_cut, complete_file, "complete the last cluster of the file" },
	{ has_bad_bitmaps, give_up_bitmaps, "give up the bitmaps" },
	{ has_bad_snapshots, rewrite_snapshots, "write a new snapshot table" },
	{ has_double_tables, copy_l2_tables,
	  "copy L2 tables that are used more than once" },
	{ has_aliases, copy_aliases,
	  "copy clusters that are used more than once" },
	{ must_rebuild, rebuild_refcounts, "write a new refcount structure" },
	{ must_raise, raise_refcounts, "raise refcounts that are too low" },
	{ has_bad_entries, NULL, "drop or mend entries that are wrong" },
	{ has_findings, mend_flags, "set COPIED flags right" },
	{ has_leaks, lower_refcounts, "free leaked clusters" },
	{ NULL, NULL, NULL },
};

/* While nothing is corrupt but flags, what was too high was so for them. A power
 * cut while a snapshot is made or deleted leaves that, see rework/snapshot-ops.c.
 */
static const struct step leak_steps[] = {
	{ has_leaks, lower_refcounts, "free leaked clusters" },
	{ has_only_flags, mend_flags, "set COPIED flags right" },
	{ NULL, NULL, NULL },
};

/* A step without a function is part of the next one. */
static int take_steps(struct check *ck, const struct step *s,
		      struct error *err)
{
	int ret = 0;

	for (; s->what && !ret; s++) {
		if (!s->wanted(ck))
			continue;
		if (ck->res->dry_run)
			ck_note(ck, "Would %s", s->what);
		else if (s->run)
			ret = s->run(ck, err);
	}
	return ret;
}

/* ---- repair ---- */

static int repair_leaks(struct check *ck, struct error *err)
{
	int ret;

	if (ck->bad_entries || ck->refs_unknown || ck->rebuild) {
		if (ck->res->leaks)
			ck_note(ck, "Leaked clusters are kept: they may belong "
				    "to what is corrupt");
		return 0;
	}
	ret = take_steps(ck, leak_steps, err);
	if (ret)
		return ret;
	ck->res->leaks_fixed = ck->res->leaks;
	if (ck->res->corruptions != ck->wrong_flags)
		return 0;
	ck->res->corruptions_fixed = ck->wrong_flags;
	return clear_bits(ck);
}

static int repair_all(struct check *ck, struct error *err)
{
	int ret;

	if (ck->refs_unknown) {
		ck_note(ck, "Nothing is repaired: what cannot be repaired "
			    "hides which clusters are in use");
		return 0;
	}
	if (ck->careful && ck->bad_entries)
		return 0;
	ret = take_steps(ck, all_steps, err);
	if (ret)
		return ret;
	ck->res->corruptions_fixed = ck->res->corruptions - ck->unfixable;
	ck->res->leaks_fixed = ck->res->leaks;
	return ck->unfixable ? 0 : clear_bits(ck);
}

int ck_repair(struct check *ck, struct error *err)
{
	struct error e = ERROR_INIT;
	int ret;

	if (ck->res->check_errors) {
		ck_note(ck, "Nothing is repaired: not all of the image could "
			    "be read");
		return 0;
	}
	ret = ck->repair == IMAGE_REPAIR_LEAKS ? repair_leaks(ck, &e) :
						 repair_all(ck, &e);
	if (ret)
		return error_set(err, -ret, "repair failed: %s",
				 error_text(&e, ret));
	return 0;
}
