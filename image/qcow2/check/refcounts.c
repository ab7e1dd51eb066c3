/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcounts.c: the refcount table and blocks, and how they compare
 * with the references that were counted.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/readahead.h"

/* ---- the refcount structure ---- */

static const char *validate_reftable_entry(struct check *ck, uint64_t *e)
{
	const char *fault = NULL;

	if (*e & QCOW2_REFTABLE_RESERVED) {
		fault = "has reserved bits set";
		*e &= QCOW2_REFTABLE_OFFSET;
	}
	if (!*e)
		return fault;
	if (!ck_in_cluster_start(ck, *e))
		fault = "is not cluster aligned";
	else if (*e >= ck->file_len)
		fault = "points beyond the end of the file";
	else if (ck_is_meta(ck, ck_cluster_of(ck, *e)))
		fault = "points at other metadata";
	else if (refmap_get(&ck->own, ck_cluster_of(ck, *e)).count)
		fault = "points where the refcount structure is already";
	else
		return fault;
	*e = REFBLOCK_BAD;
	return fault;
}

static void distrust_reftable(struct check *ck)
{
	for (uint64_t i = 0; i < ck->nr_reftable; i++)
		ck->reftable[i] = REFBLOCK_BAD;
	ck->rebuild = true;
}

static int list_refblocks(struct check *ck)
{
	uint64_t bad = 0, good = 0;

	for (uint64_t i = 0; i < ck->nr_reftable; i++) {
		uint64_t e = ck->reftable[i];

		if (e && validate_reftable_entry(ck, &e))
			bad++;
		else if (e)
			good++;
	}
	if (ck_is_garbage(bad, good)) {
		ck_corrupt(ck,
			   "ERROR refcount table: %" PRIu64 " of %" PRIu64
			   " entries are invalid",
			   bad, bad + good);
		distrust_reftable(ck);
		return 0;
	}
	for (uint64_t i = 0; i < ck->nr_reftable; i++) {
		uint64_t e = ck->reftable[i];
		const char *fault =
			validate_reftable_entry(ck, &ck->reftable[i]);

		if (fault) {
			ck->rebuild = true;
			ck_corrupt(ck,
				   "ERROR refcount table entry %" PRIu64
				   " = %#" PRIx64 " %s",
				   i, e, fault);
		}
		if (ck->reftable[i] > REFBLOCK_BAD &&
		    refmap_add(&ck->own, ck_cluster_of(ck, ck->reftable[i]), 1,
			       0))
			return -ENOMEM;
	}
	return 0;
}

int ck_load_reftable(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	uint64_t bytes = (uint64_t)h->refcount_table_clusters
			 << h->cluster_bits;
	uint64_t first = ck_cluster_of(ck, h->refcount_table_offset);
	const char *fault = NULL;
	int ret;

	if (!bytes)
		fault = "has no clusters";
	else if (h->refcount_table_offset >= ck->file_len)
		fault = "lies beyond the end of the file";
	for (uint64_t i = 0; !fault && i < h->refcount_table_clusters; i++)
		if (ck_is_meta(ck, first + i))
			fault = "overlaps with other metadata";
	if (fault) {
		ck_corrupt(ck,
			   "ERROR the refcount table (offset %#" PRIx64
			   ", %u clusters) %s",
			   h->refcount_table_offset, h->refcount_table_clusters,
			   fault);
		ck->rebuild = true;
		return 0;
	}
	ck->reftable = malloc(bytes);
	if (!ck->reftable)
		return -ENOMEM;
	ret = image_pread(ck->file, h->refcount_table_offset, bytes,
			  ck->reftable);
	if (ret) {
		ck_unreadable(ck, ret, "the refcount table",
			      h->refcount_table_offset);
		return 0;
	}
	ck->nr_reftable = bytes / 8;
	ck_swap_words(ck->reftable, ck->nr_reftable);
	for (uint64_t i = 0; i < h->refcount_table_clusters; i++)
		if (refmap_add(&ck->own, first + i, 1, 0))
			return -ENOMEM;
	return list_refblocks(ck);
}

/* Where refcounts share a cluster with anything else, they have to move. */
void ck_find_shared_refblocks(struct check *ck)
{
	uint64_t c = 0;

	while (refmap_next(&ck->own, c, &c, &ck->ret)) {
		if (refmap_get(&ck->refs, c).count) {
			ck->rebuild = true;
			ck_corrupt(ck,
				   "ERROR cluster %" PRIu64 " of the refcount "
				   "structure is used for something else too",
				   c);
		}
		c++;
	}
}

/* ---- comparing ---- */

static const char *finding_prefix(const struct check *ck, bool leak)
{
	bool mends = ck->repair == IMAGE_REPAIR_ALL ||
		     (leak && ck->repair == IMAGE_REPAIR_LEAKS &&
		      !ck->bad_entries && !ck->rebuild);

	if (mends && !ck->res->dry_run && !ck->refs_unknown &&
	    !ck->res->check_errors)
		return "Repairing";
	return leak ? "Leaked" : "ERROR";
}

static void compare_flags(struct check *ck, uint64_t cluster,
			  unsigned int flags, uint64_t refcount)
{
	uint64_t offset = cluster << ck->h->cluster_bits;
	bool table = flags & SEEN_META;

	if (flags & (refcount == 1 ? SEEN_SHARED : SEEN_COPIED)) {
		ck->wrong_flags++;
		ck_corrupt(ck,
			   "ERROR OFLAG_COPIED %s: %s=%" PRIx64
			   " refcount=%" PRIu64,
			   table ? "L2 cluster" : "data cluster",
			   table ? "l1_entry" : "l2_entry",
			   refcount == 1 ? offset : offset | QCOW2_COPIED,
			   refcount);
	}
}

static void compare_cluster(struct check *ck, uint64_t cluster,
			    uint64_t refcount)
{
	struct refmap_entry e = refmap_get(&ck->refs, cluster);
	uint64_t count =
		(uint64_t)e.count + refmap_get(&ck->own, cluster).count;

	if (likely(!refcount && !count))
		return;
	ck->any_in_use = true;
	ck->highest = max(ck->highest, cluster);
	if (count > qcow2_refcount_max(ck->h->refcount_order))
		ck_corrupt_for_good(
			ck,
			"ERROR cluster %" PRIu64 " has %" PRIu64
			" references, more than a refcount of %u bits "
			"can hold",
			cluster, count, 1u << ck->h->refcount_order);
	else if (refcount < count)
		ck_corrupt(ck,
			   "%s cluster %" PRIu64 " refcount=%" PRIu64
			   " reference=%" PRIu64,
			   finding_prefix(ck, false), cluster, refcount, count);
	/* Shared clusters may be meant; too low a refcount never is. */
	if (refcount < count && refmap_get(&ck->aliases, cluster).count &&
	    refmap_add(&ck->apart, cluster, 1, 0))
		ck->ret = -ENOMEM;
	if (refcount > count) {
		ck->res->leaks++;
		ck_note(ck,
			"%s cluster %" PRIu64 " refcount=%" PRIu64
			" reference=%" PRIu64,
			finding_prefix(ck, true), cluster, refcount, count);
	}
	if (e.flags & (SEEN_COPIED | SEEN_SHARED))
		compare_flags(ck, cluster, e.flags, refcount);
}

/* Clusters [first, end) have no refcount block: those in use lack one. */
static void compare_without_block(struct check *ck, uint64_t first,
				  uint64_t end, bool silently)
{
	uint64_t c, d;

	for (c = first;; c++) {
		bool in_refs = refmap_next(&ck->refs, c, &d, &ck->ret);
		uint64_t at = d;
		bool in_own = refmap_next(&ck->own, c, &d, &ck->ret);

		if (!in_refs && !in_own)
			return;
		c = !in_own ? at : !in_refs ? d : min(at, d);
		if (c >= end)
			return;
		ck->rebuild = true;
		if (!silently) {
			compare_cluster(ck, c, 0);
			continue;
		}
		if (refmap_get(&ck->aliases, c).count &&
		    refmap_add(&ck->apart, c, 1, 0))
			ck->ret = -ENOMEM;
		ck->any_in_use = true;
		ck->highest = max(ck->highest, c);
	}
}

int ck_read_refblock(struct check *ck, uint64_t i, uint8_t *block)
{
	int ret =
		image_pread(ck->file, ck->reftable[i], ck->cluster_size, block);

	if (ret)
		ck_unreadable(ck, ret, "a refcount block", ck->reftable[i]);
	return ret;
}

struct block_walk {
	struct check *ck;
	uint64_t next;			/* in ck->reftable */
};

/* Compares up to REFMAP_CELLS refcounts of 16 bits that are what they should
 * be, most of the time; false: they have to be looked at one by one. */
static bool compare_cells(struct check *ck, uint64_t first,
			  const uint8_t *counts, uint64_t n)
{
	const uint8_t *refs = refmap_cells(&ck->refs, first);
	const uint8_t *own = refmap_cells(&ck->own, first);
	uint64_t last = UINT64_MAX;

	if (!refs || !own)
		return false;
	for (uint64_t k = 0; k < n; k++) {
		unsigned int count = load_be16(counts + 2 * k);
		unsigned int want = (refs[k] >> REFMAP_FLAGS) +
				    (own[k] >> REFMAP_FLAGS);

		if (count != want ||
		    (refs[k] & (count == 1 ? SEEN_SHARED : SEEN_COPIED)))
			return false;
		if (count)
			last = k;
	}
	if (last != UINT64_MAX) {
		ck->any_in_use = true;
		ck->highest = max(ck->highest, first + last);
	}
	return true;
}

static void compare_block(struct check *ck, uint64_t first,
			  const uint8_t *block)
{
	uint64_t end = UINT64_C(1) << qcow2_refblock_bits(ck->h), n;
	uint32_t order = ck->h->refcount_order;

	for (uint64_t i = 0; i < end; i += n) {
		n = min(end, (uint64_t)REFMAP_CELLS);
		if (order == 4 && is_aligned(first, REFMAP_CELLS) &&
		    compare_cells(ck, first + i, block + 2 * i, n))
			continue;
		for (uint64_t k = i; k < i + n; k++)
			compare_cluster(ck, first + k,
					qcow2_refcount_get(block, order, k));
	}
}

static bool next_refblock(void *arg, uint64_t *offset, uint64_t *len)
{
	struct block_walk *w = arg;
	struct check *ck = w->ck;

	while (w->next < ck->nr_reftable) {
		*offset = ck->reftable[w->next++];
		*len = ck->cluster_size;
		if (*offset > REFBLOCK_BAD)
			return true;
	}
	return false;
}

static void compare_blocks(struct check *ck, struct readahead *ra)
{
	uint32_t bits = qcow2_refblock_bits(ck->h);
	struct readahead_range *r;

	for (uint64_t i = 0; i < ck->nr_reftable && !ck->ret; i++) {
		if (ck->reftable[i] <= REFBLOCK_BAD) {
			compare_without_block(ck, i << bits, (i + 1) << bits,
					      ck->reftable[i] == REFBLOCK_BAD);
			continue;
		}
		r = readahead_get(ra);
		if (r->ret)
			ck_unreadable(ck, r->ret, "a refcount block",
				      r->offset);
		else
			compare_block(ck, i << bits, r->data);
		ck_progress(ck, ck->cluster_size);
	}
}

int ck_compare_refcounts(struct check *ck)
{
	struct block_walk w = { ck, 0 };
	struct readahead ra;

	readahead_init(&ra, ck->file, next_refblock, &w);
	compare_blocks(ck, &ra);
	readahead_deinit(&ra);
	compare_without_block(ck, ck->nr_reftable << qcow2_refblock_bits(ck->h),
			      UINT64_MAX, !ck->nr_reftable);
	return ck->ret;
}

uint64_t ck_refblock_bytes(const struct check *ck)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < ck->nr_reftable; i++)
		n += ck->reftable[i] > REFBLOCK_BAD;
	return n << ck->h->cluster_bits;
}
