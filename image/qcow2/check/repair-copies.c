/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * repair-copies.c: what is used twice becomes two.
 *
 * No guest cluster is another's. Where two L1 entries lead to one L2 table, or
 * two L2 entries to one cluster that was counted once, nobody knows whose it
 * is: all get the same content, but each its own. Otherwise a write through one
 * of them would leave the other with a COPIED flag that is wrong.
 *
 * Copies go behind the end of the file; a new refcount structure follows them.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/bits.h"
#include "common/cleanup.h"

/* What is ready to be copied; clusters beyond that stay shared. */
#define MAX_ALIASES 65536u
#define MAX_ALIAS_BYTES GiB

/* ---- L2 tables ---- */

/* One copy of `t`, at the end of the file and of the list. */
static int append_l2_copy(struct check *ck, size_t t, const uint8_t *table)
{
	uint64_t at = ck->nr_clusters++;
	struct l1_table active = {.active = true};
	int ret;

	ret = ck_list_l2(ck, &active, at << ck->h->cluster_bits,
			 ck->l2[t].l1_index);
	if (ret)
		return ret;
	if (!ck->l2[t].copies)
		ck->l2[t].copies = at << ck->h->cluster_bits;
	ck->highest = max(ck->highest, at);
	ck_add_refs(ck, at, 1, SEEN_META);
	return ck->ret ? ck->ret
		       : image_pwrite(ck->file, at << ck->h->cluster_bits,
				      ck->cluster_size, table);
}

/* An L1 entry for each: what t had too many of, the copies have. */
int ck_copy_l2_tables(struct check *ck)
{
	cleanup_free uint8_t *table = malloc(ck->cluster_size);
	size_t nr = ck->nr_l2;
	int ret = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < nr && !ret; i++) {
		uint32_t more = ck->l2[i].active_refs - 1;
		uint64_t c = ck_cluster_of(ck, ck->l2[i].offset);

		if (ck->l2[i].active_refs < 2 || ck->l2[i].bad)
			continue;
		ret = image_pread(ck->file, ck->l2[i].offset, ck->cluster_size,
				  table);
		for (uint32_t k = 0; k < more && !ret; k++)
			ret = append_l2_copy(ck, i, table);
		ck->l2[i].refs -= more;
		ck->l2[i].active_refs = 1;
		refmap_clear(&ck->refs, c);
		ck_add_refs(ck, c, ck->l2[i].refs, SEEN_META);
	}
	return ret ? ret : ck->ret;
}

struct l2_table *ck_one_of(struct check *ck, struct l2_table *t)
{
	uint64_t offset = t->copies;

	if (!t->kept || !offset) {
		t->kept = true;
		return t;
	}
	t->copies += ck->cluster_size;
	return ck_find_l2(ck, offset);
}

/* ---- clusters ---- */

static int keep_alias(struct check *ck, const struct l2_table *t,
		      uint32_t index, uint64_t to)
{
	if (array_reserve(ck->copied, ck->nr_copied, ck->max_copied))
		return -ENOMEM;
	ck->copied[ck->nr_copied++] = (struct alias){ t->offset, index, to };
	return 0;
}

/* A copy of the cluster at `from` for one entry; counts in memory follow. */
static int copy_cluster(struct check *ck, const struct l2_table *t,
			uint32_t index, uint64_t from)
{
	cleanup_free uint8_t *buf = calloc(1, ck->cluster_size);
	uint64_t to = ck->nr_clusters << ck->h->cluster_bits;
	uint64_t end = image_size(ck->file);
	int ret;

	if (!buf)
		return -ENOMEM;
	ret = image_pread(ck->file, from, min(ck->cluster_size, end - from),
			  buf);
	if (!ret)
		ret = image_pwrite(ck->file, to, ck->cluster_size, buf);
	if (!ret)
		ret = keep_alias(ck, t, index, to);
	if (ret)
		return ret;
	ck->highest = max(ck->highest, ck->nr_clusters);
	ck_add_refs(ck, ck->nr_clusters++, 1, 0);
	refmap_drop(&ck->refs, ck_cluster_of(ck, from));
	return ck->ret;
}

/* The first entry to come keeps the cluster, unless compressed ones have it. */
static bool is_first_use(struct check *ck, uint64_t cluster)
{
	struct refmap_entry e = refmap_get(&ck->apart, cluster);

	if (e.flags || refmap_get(&ck->refs, cluster).flags & SEEN_PACKED)
		return false;
	refmap_add(&ck->apart, cluster, 0, 1);	/* the leaf is there */
	return true;
}

static int copy_aliases_of(struct check *ck, struct l2_table *t,
			   uint8_t *table)
{
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	int ret = 0;

	if (t->bad || !t->active_refs)
		return 0;
	for (uint32_t i = 0; i < nr && !ret; i++) {
		struct qcow2_entry e = qcow2_entry_load(ck->h, table, i);
		uint64_t offset, c;

		ck_judge_l2_entry(ck, &e);
		offset = e.word & QCOW2_L2_OFFSET;
		c = ck_cluster_of(ck, offset);
		if (!offset || e.word & QCOW2_COMPRESSED ||
		    !refmap_get(&ck->apart, c).count || is_first_use(ck, c))
			continue;
		if (ck->nr_copied >= MAX_ALIASES ||
		    ck->nr_copied >= MAX_ALIAS_BYTES / ck->cluster_size)
			return 0;
		ret = copy_cluster(ck, t, i, offset);
	}
	return ret;
}

int ck_copy_aliases(struct check *ck)
{
	uint64_t c;
	int ret;

	if (!refmap_next(&ck->apart, 0, &c, &ck->ret))
		return ck->ret;
	ret = ck_walk_l2(ck, copy_aliases_of, true);
	if (!ret && ck->nr_copied) {
		ck_note(ck, "Copied %zu clusters that were used more than once",
			ck->nr_copied);
		ck->rebuild = true;
	}
	return ret;
}

uint64_t ck_alias_copy(struct check *ck, const struct l2_table *t,
		       uint32_t index)
{
	const struct alias *a;

	if (ck->copied_next == ck->nr_copied)
		return 0;
	a = &ck->copied[ck->copied_next];
	if (a->table != t->offset || a->index != index)
		return 0;
	ck->copied_next++;
	return a->to;
}
