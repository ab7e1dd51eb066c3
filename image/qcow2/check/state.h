/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.h: a check in progress, shared by the files that make it up.
 *
 *	check.c		the order of things
 *	findings.c	what is said and counted, claims of clusters
 *	snapshots.c	the snapshot table
 *	bitmaps.c	dirty bitmaps
 *	tables.c	L1 tables; what an entry may be
 *	count.c	what the L2 tables point to
 *	data.c	whether compressed clusters can be unpacked
 *	refcounts.c	the refcount structure, the comparison
 *	repair.c		what is done about it
 *	repair-copies.c	copies of what is used twice
 *	rebuild.c		a new refcount structure
 *
 * What others may call is in check.h. All functions with a result return
 * 0 or -errno unless they say otherwise; what is wrong with the image is no
 * error but a finding.
 */
#ifndef XD_IMAGE_QCOW2_CHECK_STATE_H
#define XD_IMAGE_QCOW2_CHECK_STATE_H

#include "common/bits.h"
#include "io/co-group.h"
#include "image/driver.h"
#include "image/qcow2/core/entry.h"
#include "common/refmap.h"

#define IO_BYTES MiB

/* What is known of a cluster besides its count. */
enum {
	SEEN_META = 1 << 0,	/* a table: nothing else may point there */
	SEEN_COPIED = 1 << 1,	/* an active entry says: refcount is 1 */
	SEEN_SHARED = 1 << 2,	/* an active entry says: it is not */
	SEEN_PACKED = 1 << 3,	/* active compressed clusters are in there */
};

struct l1_table {
	uint64_t offset;
	uint32_t nr;			/* entries */
	bool active;
	unsigned int snapshot;		/* from 1, unless active */
};

struct l2_table {
	uint64_t offset;
	uint32_t refs;			/* L1 entries that lead here */
	uint32_t active_refs;		/* those in the active table */
	uint32_t l1_index;		/* of one of them */
	uint8_t seen;			/* COPIED flags of the active ones */
	bool bad;			/* no L2 table, not followed */
	bool kept;			/* an active entry leads here still */
	uint64_t copies;		/* for the others: offset of the first */
};

/* An entry that gets a cluster of its own, as another has the same one. */
struct alias {
	uint64_t table;			/* bytes, of the L2 table */
	uint32_t index;
	uint64_t to;			/* bytes, of the copy */
};

/* A data entry that points at a listed L2 table: one of them is wrong. */
struct suspect {
	const struct l2_table *from, *to;
	uint64_t word;
	uint32_t index;
};

/* Places in the refcount table where no usable block is. */
#define REFBLOCK_NONE UINT64_C(0)
#define REFBLOCK_BAD UINT64_C(1)

struct check {
	/* the image */
	struct image *file;
	const struct qcow2_header *h;
	enum image_repair repair;
	bool careful;			/* repair nothing but refcounts */
	uint64_t room;			/* bytes of memory; 0: no limit */
	struct image_check *res;
	uint64_t cluster_size;
	uint64_t file_len;		/* bytes */
	uint64_t nr_clusters;		/* of the file, the last may be cut */
	uint64_t l2_reserved;		/* bits */
	struct qcow2_entry blank;	/* for entries that are dropped */

	/* what was found */
	struct refmap refs;		/* all but the refcount structure */
	struct refmap own;		/* the refcount structure */
	struct l1_table *l1;
	size_t nr_l1;
	struct l2_table *l2;		/* sorted by offset once complete */
	size_t nr_l2, max_l2;
	struct refmap aliases;		/* used twice by the active tables */
	struct suspect *suspects;
	size_t nr_suspects;
	uint64_t *reftable;		/* offsets, or REFBLOCK_* */
	uint64_t nr_reftable;
	struct co_group unpacking;	/* compressed clusters, for res->data */
	uint64_t highest;		/* cluster in use */
	bool any_in_use;
	bool *snapshot_kept;		/* by index; others are given up */
	uint64_t snapshot_bytes;	/* of the table that was read */
	uint64_t snapshot_clusters;
	bool doubtful;			/* it has more than readers want */
	uint64_t new_snapshot_bytes;	/* of a new one, if all are kept */
	struct refmap bitmaps;		/* their claims, while they are read */

	/* what that means for a repair */
	uint64_t unfixable;		/* of res->corruptions */
	uint64_t bad_entries;		/* references nobody can trust */
	bool rebuild;			/* refcounts need a new structure */
	bool refs_unknown;		/* free nothing, something is unread */
	uint64_t wrong_flags;		/* COPIED: so many corruptions */
	bool cut;			/* the last cluster is incomplete */
	bool bad_snapshots;		/* the table has to be written anew */
	bool bad_bitmaps;
	/* to be written along with a new refcount structure */
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	struct refmap apart;		/* aliases that a repair resolves */
	struct alias *copied;		/* in the order of ck_walk_l2() */
	size_t nr_copied, max_copied, copied_next;
	uint64_t nr_copies;		/* of L2 tables that the active L1
					 * table uses more than once */
	uint64_t lines;
	uint64_t done, total;		/* bytes of tables, for the progress */
	int ret;			/* sticky: -ENOMEM, -EFBIG */
};

/* ---- findings.c ---- */

void ck_note(struct check *ck, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void ck_corrupt(struct check *ck, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* One that repair leaves alone, as nobody can tell what should be there. */
void ck_corrupt_for_good(struct check *ck, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void ck_unreadable(struct check *ck, int ret, const char *what,
		   uint64_t offset);

/* So many more bytes of tables have been dealt with. */
void ck_progress(struct check *ck, uint64_t bytes);

/* Is there room for what was noted so far? Else ck->ret is -EFBIG. */
void ck_judge_room(struct check *ck);
/* Notes n references; ck->ret is set when there is no memory for it. */
void ck_add_refs(struct check *ck, uint64_t cluster, uint32_t n,
		 unsigned int flags);
/* Takes the clusters of [offset, offset + bytes) for a table. NULL, or why the
 * range is not one a table can have. */
const char *ck_try_claim(struct check *ck, uint64_t offset, uint64_t bytes);
/* The same for what an image cannot do without; false, with a finding. */
bool ck_claim(struct check *ck, uint64_t offset, uint64_t bytes,
	      const char *what);
/* So much nonsense that it never was such a table? */
bool ck_is_garbage(uint64_t bad, uint64_t good);
/* Big-endian words to ours. */
void ck_swap_words(uint64_t *words, size_t n);

static inline uint64_t ck_cluster_of(const struct check *ck, uint64_t offset)
{
	return offset >> ck->h->cluster_bits;
}

static inline bool ck_in_cluster_start(const struct check *ck, uint64_t offset)
{
	return is_aligned(offset, ck->cluster_size);
}

static inline bool ck_is_meta(struct check *ck, uint64_t cluster)
{
	return refmap_get(&ck->refs, cluster).flags & SEEN_META;
}

/* How often `cluster` is referenced, by all. */
static inline uint64_t ck_count_of(struct check *ck, uint64_t cluster)
{
	return (uint64_t)refmap_get(&ck->refs, cluster).count +
	       refmap_get(&ck->own, cluster).count;
}

/* ---- snapshots.c ---- */

/* snapshot: from 1, 0 is the active table */
int ck_add_l1(struct check *ck, uint64_t offset, uint32_t nr,
	      unsigned int snapshot);
/* Claims the table and the L1 tables of those that can be kept. */
int ck_load_snapshots(struct check *ck);
/* When all else is counted: whether a doubtful table can be one. */
void ck_judge_doubtful(struct check *ck);
/* Writes a new table of those; ck->nb_snapshots and snapshots_offset tell. */
int ck_rewrite_snapshots(struct check *ck);

/* ---- bitmaps.c ---- */

int ck_load_bitmaps(struct check *ck);

/* ---- tables.c ---- */

const char *ck_l1_name(const struct l1_table *l1, char buf[32]);
/* Sets *e to what it should be (0: dropped). NULL when that is what it was. */
const char *ck_judge_l1_entry(struct check *ck, uint64_t *e);
extern const char ck_points_at_metadata[];
const char *ck_judge_l2_entry(struct check *ck, struct qcow2_entry *e);

/* Lists the L2 table that entry `e`, the index-th of l1, leads to. */
int ck_list_l2(struct check *ck, const struct l1_table *l1, uint64_t e,
	       uint32_t index);
/* Calls each() with the entries of an L1 table, a part at a time; 1: it has
 * changed some, which are written. Holes of the file have none. What cannot be
 * read is an error (must_read), or else a finding that ends the walk. */
int ck_walk_l1(struct check *ck, const struct l1_table *l1,
	       int (*each)(struct check *ck, const struct l1_table *l1,
			   uint32_t first, uint64_t *words, size_t n),
	       bool must_read);
/* For ck_walk_l1(): lists the L2 tables that the entries lead to. */
int ck_collect_l1(struct check *ck, const struct l1_table *l1, uint32_t first,
		  uint64_t *words, size_t n);
/* One record per L2 table, sorted; the tables claim their clusters. */
void ck_unify_l2(struct check *ck);
struct l2_table *ck_find_l2(struct check *ck, uint64_t offset);
/* Is [offset, offset + len) a hole of the file, full of zeroes? */
bool ck_is_hole(struct check *ck, uint64_t offset, uint64_t len);

/* ---- count.c ---- */

/* Calls each() with every L2 table, read, in the order of the file. Tables that
 * cannot be read are an error (must_read), or else a finding. */
int ck_walk_l2(struct check *ck,
	       int (*each)(struct check *ck, struct l2_table *t,
			   uint8_t *table),
	       bool must_read);
/* For ck_walk_l2(): judges the entries and counts what they point to. */
int ck_count_table(struct check *ck, struct l2_table *t, uint8_t *table);
void ck_resolve_suspects(struct check *ck);

/* ---- data.c ---- */

void ck_data_init(struct check *ck);
/* co. If that was asked for: begins to unpack the cluster of an entry. */
void ck_unpack(struct check *ck, const struct l2_table *t, uint32_t index,
	       uint64_t entry);
/* co. Waits for all that were begun. */
void ck_data_finish(struct check *ck);

/* ---- refcounts.c ---- */

int ck_load_reftable(struct check *ck);
/* Where refcounts share a cluster with anything else, they have to move. */
void ck_find_shared_refblocks(struct check *ck);
int ck_compare_refcounts(struct check *ck);
uint64_t ck_refblock_bytes(const struct check *ck);	/* of all blocks */
/* The i-th block; a failure is a finding, too. */
int ck_read_refblock(struct check *ck, uint64_t i, uint8_t *block);

/* ---- repair.c ---- */

enum direction { RAISE, LOWER };

/* Sets the refcounts of a block that begins with cluster `first`; true when
 * that has changed it. */
bool ck_mend_refblock(struct check *ck, uint64_t first, uint8_t *block,
		      enum direction direction);
int ck_repair(struct check *ck, struct error *err);

/* ---- repair-copies.c ---- */

/* All of it goes behind the end, before refcounts are made anew. */
int ck_copy_l2_tables(struct check *ck);
int ck_copy_aliases(struct check *ck);
/* The table that the next active L1 entry that leads to `t` has to lead to. */
struct l2_table *ck_one_of(struct check *ck, struct l2_table *t);
/* The copy made for entry `index` of the table, or 0; in their order. */
uint64_t ck_alias_copy(struct check *ck, const struct l2_table *t,
		       uint32_t index);

/* ---- rebuild.c ---- */

int ck_rebuild_refcounts(struct check *ck, struct error *err);

#endif
