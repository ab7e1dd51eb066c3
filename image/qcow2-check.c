/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-check.c: is a qcow2 image consistent, and how to make it so.
 *
 * 1. Every table that is not a refcount is found from the header and claims
 *    its clusters: header, L1 tables, snapshot table, encryption header,
 *    bitmaps. No two may overlap.
 * 2. The L2 tables of all L1 tables are listed, sorted by place, each with the
 *    number of L1 entries that lead to it; so each is read once, in the order
 *    of the file, however many snapshots share it. Their entries are judged
 *    and the clusters they point to counted.
 * 3. The refcount table and blocks are compared with these counts. Whatever
 *    they share with other clusters counts against them: refcounts can be
 *    computed anew, nothing else can.
 * 4. Repair, in an order that is safe against a crash: refcounts up (or all of
 *    them anew, at the end of the file, switched to by one write into the
 *    header), then entries, then refcounts down.
 *
 * A table that holds more nonsense than sense was never such a table: that is
 * one finding, about the entry that led there, and it is not followed.
 *
 * Payloads are not looked at (compressed data, bitmap contents), nor is the
 * backing chain; snapshot records that are broken are reported but stay.
 */
#include "image/qcow2-tools.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/refmap.h"

#define IO_BYTES MiB
/* Findings beyond that are counted but not listed. */
#define MAX_LINES 10000
/* From that many bad entries on a table is suspected to be none. */
#define GARBAGE_MIN 8
/* How many L2 tables a repair is ready to copy. */
#define MAX_COPIES 1024
/* QEMU's limits on snapshot records */
#define SNAPSHOT_HEAD 40u
#define SNAPSHOT_MAX_EXTRA 1024u
#define SNAPSHOT_MIN_EXTRA_V3 16u
#define SNAPSHOT_MAX_TABLE (64 * MiB)
#define BITMAP_HEAD 24u
#define BITMAP_TABLE_MAX_ENTRIES 0x8000000u

/* What is known of a cluster besides its count. */
enum {
	SEEN_META = 1 << 0,	/* a table: nothing else may point there */
	SEEN_COPIED = 1 << 1,	/* an active entry says: refcount is 1 */
	SEEN_SHARED = 1 << 2,	/* an active entry says: it is not */
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

struct l2_entry {
	uint64_t word, bitmap;
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
	struct image_check *res;
	uint64_t cluster_size;
	uint64_t file_len;		/* bytes */
	uint64_t nr_clusters;		/* of the file, the last may be cut */
	uint64_t l2_reserved;		/* bits */
	struct l2_entry blank;		/* for entries that are dropped */

	/* what was found */
	struct refmap refs;		/* all but the refcount structure */
	struct refmap own;		/* the refcount structure */
	struct l1_table *l1;
	size_t nr_l1;
	struct l2_table *l2;		/* sorted by offset once complete */
	size_t nr_l2, max_l2;
	struct suspect *suspects;
	size_t nr_suspects;
	uint64_t *reftable;		/* offsets, or REFBLOCK_* */
	uint64_t nr_reftable;
	uint64_t highest;		/* cluster in use */
	bool any_in_use;

	/* what that means for a repair */
	uint64_t unfixable;		/* of res->corruptions */
	uint64_t bad_entries;		/* references nobody can trust */
	bool rebuild;			/* refcounts need a new structure */
	bool refs_unknown;		/* free nothing, something is unread */
	bool wrong_flags;		/* COPIED */
	bool cut;			/* the last cluster is incomplete */
	uint64_t nr_copies;		/* of L2 tables that the active L1
					 * table uses more than once */
	uint64_t lines;
	int ret;			/* sticky: -ENOMEM */
};

/* ---- findings ---- */

static void say(struct check *ck, const char *fmt, va_list ap)
{
	char text[512];

	if (!ck->res->report || ck->lines > MAX_LINES)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	if (ck->lines++ == MAX_LINES)
		snprintf(text, sizeof(text), "More than %d findings: the rest "
			 "is counted, but not listed", MAX_LINES);
	ck->res->report(ck->res->report_arg, text);
}

__attribute__((format(printf, 2, 3)))
static void note(struct check *ck, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(ck, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 2, 3)))
static void corrupt(struct check *ck, const char *fmt, ...)
{
	va_list ap;

	ck->res->corruptions++;
	va_start(ap, fmt);
	say(ck, fmt, ap);
	va_end(ap);
}

/* One that repair leaves alone, as nobody can tell what should be there. */
__attribute__((format(printf, 2, 3)))
static void corrupt_for_good(struct check *ck, const char *fmt, ...)
{
	va_list ap;

	ck->res->corruptions++;
	ck->unfixable++;
	ck->bad_entries++;
	ck->refs_unknown = true;
	va_start(ap, fmt);
	say(ck, fmt, ap);
	va_end(ap);
}

static void unreadable(struct check *ck, int ret, const char *what,
		       uint64_t offset)
{
	ck->res->check_errors++;
	ck->refs_unknown = true;
	note(ck, "ERROR cannot read %s at offset %#" PRIx64 ": %s", what,
	     offset, strerror(-ret));
}

/* ---- small helpers ---- */

static uint64_t cluster_of(const struct check *ck, uint64_t offset)
{
	return offset >> ck->h->cluster_bits;
}

static bool in_cluster_start(const struct check *ck, uint64_t offset)
{
	return is_aligned(offset, ck->cluster_size);
}

static void add_refs(struct check *ck, uint64_t cluster, uint32_t n,
		     unsigned int flags)
{
	if (refmap_add(&ck->refs, cluster, n, flags))
		ck->ret = -ENOMEM;
}

static bool is_meta(struct check *ck, uint64_t cluster)
{
	return refmap_get(&ck->refs, cluster).flags & SEEN_META;
}

/* How often `cluster` is referenced, by all. */
static uint64_t count_of(struct check *ck, uint64_t cluster)
{
	return (uint64_t)refmap_get(&ck->refs, cluster).count +
	       refmap_get(&ck->own, cluster).count;
}

static bool is_garbage(uint64_t bad, uint64_t good)
{
	return bad >= GARBAGE_MIN && bad > good;
}

static void swap_words(uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		words[i] = load_be64(&words[i]);
}

/*
 * Takes the clusters of [offset, offset + bytes) for a table. False, with a
 * finding, when the range is not one a table can have.
 */
__attribute__((format(printf, 4, 5)))
static bool claim(struct check *ck, uint64_t offset, uint64_t bytes,
		  const char *fmt, ...)
{
	uint64_t first = cluster_of(ck, offset);
	uint64_t n = div_round_up(bytes, ck->cluster_size);
	const char *fault = NULL;
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!in_cluster_start(ck, offset))
		fault = "is not cluster aligned";
	else if (!range_within(offset, bytes, ck->file_len))
		fault = "reaches beyond the end of the file";
	for (uint64_t i = 0; !fault && i < n; i++)
		if (is_meta(ck, first + i))
			fault = "overlaps with other metadata";
	if (fault) {
		corrupt_for_good(ck, "ERROR %s (offset %#" PRIx64 ", %" PRIu64
				 " bytes) %s", what, offset, bytes, fault);
		return false;
	}
	for (uint64_t i = 0; i < n; i++)
		add_refs(ck, first + i, 1, SEEN_META);
	return true;
}

/* ---- snapshots and bitmaps ---- */

static int add_l1(struct check *ck, uint64_t offset, uint32_t nr,
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

static int load_snapshots(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	uint64_t pos = h->snapshots_offset, end;
	unsigned int i;

	for (i = 0; i < h->nb_snapshots; i++) {
		struct l1_table l1 = { 0 };
		const char *fault = load_snapshot(ck, &pos, &l1);

		if (fault) {
			corrupt_for_good(ck, "ERROR snapshot table entry %u "
					 "(offset %#" PRIx64 ") %s", i, pos,
					 fault);
			break;
		}
		if ((uint64_t)l1.nr * 8 > QCOW2_MAX_L1_BYTES) {
			corrupt_for_good(ck, "ERROR snapshot table entry %u: L1 "
					 "table of %u entries, at most %u", i,
					 l1.nr, QCOW2_MAX_L1_BYTES / 8);
			continue;
		}
		if (add_l1(ck, l1.offset, l1.nr, i + 1))
			return -ENOMEM;
	}
	end = min(pos, ck->file_len);
	if (end > h->snapshots_offset)
		claim(ck, h->snapshots_offset, end - h->snapshots_offset,
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
			corrupt_for_good(ck, "ERROR bitmap %u: table entry %u "
					 "(%#" PRIx64 ") has reserved bits set",
					 nr, i, e);
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
		corrupt_for_good(ck, "ERROR bitmap %u: table of %u entries",
				 nr, entries);
		return 0;
	}
	if (!claim(ck, offset, bytes, "the table of bitmap %u", nr))
		return 0;
	table = malloc(bytes);
	if (!table)
		return -ENOMEM;
	ret = image_pread(ck->file, offset, bytes, table);
	if (ret)
		unreadable(ck, ret, "a bitmap table", offset);
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
			corrupt_for_good(ck, "ERROR bitmap %u lies beyond the "
					 "end of the bitmap directory", i);
			break;
		}
		ret = load_bitmap(ck, i, load_be64(e), load_be32(e + 8));
		pos += align_up(len, 8);
	}
	return ret;
}

static int load_bitmaps(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	cleanup_free uint8_t *dir = NULL;
	int ret;

	/* Without the bit the extension is stale: its clusters are leaks. */
	if (!h->has_bitmaps || !(h->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	if (!claim(ck, h->bitmap_dir_offset, h->bitmap_dir_size,
		   "the bitmap directory"))
		return 0;
	dir = malloc(h->bitmap_dir_size);
	if (!dir)
		return -ENOMEM;
	ret = image_pread(ck->file, h->bitmap_dir_offset, h->bitmap_dir_size,
			  dir);
	if (ret) {
		unreadable(ck, ret, "the bitmap directory",
			   h->bitmap_dir_offset);
		return 0;
	}
	return load_bitmap_directory(ck, dir);
}

/* ---- L1 tables ---- */

static const char *l1_name(const struct l1_table *l1, char buf[32])
{
	if (l1->active)
		return "active";
	snprintf(buf, 32, "snapshot %u", l1->snapshot);
	return buf;
}

/* Sets *e to what it should be (0: dropped). NULL when that is what it was. */
static const char *judge_l1_entry(struct check *ck, uint64_t *e)
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
	} else if (!in_cluster_start(ck, offset)) {
		fault = "is not cluster aligned";
		*e = 0;
	} else if (!range_within(offset, ck->cluster_size, ck->file_len)) {
		fault = "points beyond the end of the file";
		*e = 0;
	}
	return fault;
}

static int list_l2(struct check *ck, const struct l1_table *l1, uint64_t e,
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
		.seen = !l1->active ? 0 :
			e & QCOW2_COPIED ? SEEN_COPIED : SEEN_SHARED,
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

		if (e && judge_l1_entry(ck, &e))
			bad++;
		else if (e)
			good++;
	}
	if (is_garbage(bad, good)) {
		corrupt_for_good(ck, "ERROR L1 table (%s): %" PRIu64 " of %"
				 PRIu64 " entries are invalid",
				 l1_name(l1, name), bad, bad + good);
		return 0;
	}
	for (size_t i = 0; i < n && !ret; i++) {
		uint64_t e = words[i];
		const char *fault = judge_l1_entry(ck, &e);

		if (e && is_meta(ck, cluster_of(ck, e & QCOW2_L1_OFFSET))) {
			fault = "points at other metadata";
			e = 0;
		}
		if (fault) {
			ck->bad_entries++;
			corrupt(ck, "ERROR L1 entry %zu (%s) = %#" PRIx64
				" %s", first + i, l1_name(l1, name), words[i],
				fault);
		}
		if (e)
			ret = list_l2(ck, l1, e, first + (uint32_t)i);
	}
	return ret;
}

/* Is [offset, offset + len) a hole of the file, full of zeroes? */
static bool is_hole(struct check *ck, uint64_t offset, uint64_t len)
{
	struct image_extent e;

	if (!range_within(offset, len, image_size(ck->file)))
		return false;
	return !image_block_status(ck->file, offset, len, &e) &&
	       e.length == len && (e.flags & IMAGE_EXTENT_ZERO);
}

static int collect_l1(struct check *ck, const struct l1_table *l1)
{
	cleanup_free uint64_t *words = malloc(IO_BYTES);
	int ret = 0;

	if (!words)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < l1->nr && !ret; i += n) {
		uint64_t offset = l1->offset + (uint64_t)i * 8;

		n = min(l1->nr - i, (uint32_t)(IO_BYTES / 8));
		if (is_hole(ck, offset, (uint64_t)n * 8))
			continue;
		ret = image_pread(ck->file, offset, (uint64_t)n * 8, words);
		if (ret) {
			unreadable(ck, ret, "an L1 table", offset);
			return 0;
		}
		swap_words(words, n);
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
		corrupt_for_good(ck, "ERROR %u L1 entries lead to the L2 table "
				 "at %#" PRIx64, t->active_refs, t->offset);
		return;
	}
	ck->rebuild = true;
	corrupt(ck, "ERROR %u L1 entries lead to the L2 table at %#" PRIx64,
		t->active_refs, t->offset);
}

/* One record per L2 table, sorted; the tables claim their clusters. */
static void unify_l2(struct check *ck)
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
		add_refs(ck, cluster_of(ck, ck->l2[i].offset), ck->l2[i].refs,
			 SEEN_META | ck->l2[i].seen);
		if (ck->l2[i].active_refs > 1)
			find_used_twice(ck, &ck->l2[i]);
	}
}

static struct l2_table *find_l2(struct check *ck, uint64_t offset)
{
	struct l2_table key = { .offset = offset };

	if (!ck->nr_l2)
		return NULL;
	return bsearch(&key, ck->l2, ck->nr_l2, sizeof(key), compare_l2);
}

/* ---- L2 tables ---- */

static const char points_at_metadata[] = "points at metadata";

static const char *judge_compressed(struct check *ck, struct l2_entry *e)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(ck->h->cluster_bits, e->word);
	uint64_t last = cluster_of(ck, c.offset + c.len - 1);
	const char *fault = NULL;

	if (ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE) {
		*e = ck->blank;
		return "is compressed, which an external data file cannot be";
	}
	if (last >= ck->nr_clusters) {
		*e = ck->blank;
		return "(compressed) points beyond the end of the file";
	}
	for (uint64_t i = cluster_of(ck, c.offset); i <= last; i++)
		if (is_meta(ck, i)) {
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

static const char *judge_bitmap(struct l2_entry *e, bool allocated)
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

static const char *judge_offset(struct check *ck, const struct l2_entry *e)
{
	uint64_t offset = e->word & QCOW2_L2_OFFSET;

	if (!in_cluster_start(ck, offset))
		return "is not cluster aligned";
	if (ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE)
		return NULL;
	if (!offset)
		return e->word & QCOW2_COPIED && !(e->word & QCOW2_ZERO) ?
			       "points at the header" : NULL;
	if (offset >= ck->file_len)
		return "points beyond the end of the file";
	if (is_meta(ck, cluster_of(ck, offset)))
		return points_at_metadata;
	return NULL;
}

/* Sets *e to what it should be. NULL when that is what it was. */
static const char *judge_l2_entry(struct check *ck, struct l2_entry *e)
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

static struct l2_entry load_entry(const struct check *ck, const uint8_t *table,
				  uint32_t i)
{
	if (ck->h->incompat & QCOW2_INCOMPAT_EXTENDED_L2)
		return (struct l2_entry){ load_be64(table + 16 * i),
					  load_be64(table + 16 * i + 8) };
	return (struct l2_entry){ load_be64(table + 8 * i), 0 };
}

static void store_entry(const struct check *ck, uint8_t *table, uint32_t i,
			struct l2_entry e)
{
	if (ck->h->incompat & QCOW2_INCOMPAT_EXTENDED_L2) {
		store_be64(table + 16 * i, e.word);
		store_be64(table + 16 * i + 8, e.bitmap);
	} else {
		store_be64(table + 8 * i, e.word);
	}
}

/* Bytes of a guest cluster that lie within the disk. */
static uint64_t guest_bytes(const struct check *ck, const struct l2_table *t,
			    uint32_t index)
{
	uint64_t offset = (((uint64_t)t->l1_index << qcow2_l2_bits(ck->h)) +
			   index) << ck->h->cluster_bits;

	if (offset >= ck->h->size)
		return ck->cluster_size;
	return min(ck->cluster_size, ck->h->size - offset);
}

static void count_compressed(struct check *ck, const struct l2_table *t,
			     uint64_t word)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(ck->h->cluster_bits, word);
	uint64_t last = cluster_of(ck, c.offset + c.len - 1);

	for (uint64_t i = cluster_of(ck, c.offset); i <= last; i++)
		add_refs(ck, i, t->refs, 0);
	/* Files of whole sectors: what is cut off there was never written. */
	if (c.offset + c.len > align_up(ck->file_len, SECTOR_SIZE)) {
		ck->cut = true;
		corrupt(ck, "ERROR compressed cluster at %#" PRIx64 " is cut "
			"off by the end of the file", c.offset);
	}
	ck->res->compressed_clusters += t->active_refs;
	ck->res->allocated_clusters += t->active_refs;
	ck->res->fragmented_clusters += t->active_refs;
}

/* Counts a judged entry; *next is where the one before it ended. */
static void count_entry(struct check *ck, const struct l2_table *t,
			uint32_t index, uint64_t word, uint64_t *next)
{
	uint64_t offset = word & QCOW2_L2_OFFSET;
	unsigned int seen = 0;

	if (word & QCOW2_COMPRESSED) {
		count_compressed(ck, t, word);
		return;
	}
	if (!offset || ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE)
		return;
	if (t->active_refs)
		seen = word & QCOW2_COPIED ? SEEN_COPIED : SEEN_SHARED;
	add_refs(ck, cluster_of(ck, offset), t->refs, seen);
	ck->res->allocated_clusters += t->active_refs;
	if (*next && *next != offset)
		ck->res->fragmented_clusters += t->active_refs;
	*next = offset + ck->cluster_size;
	if (unlikely(*next > ck->file_len) && !(word & QCOW2_ZERO) &&
	    offset + guest_bytes(ck, t, index) > ck->file_len) {
		ck->cut = true;
		corrupt(ck, "ERROR cluster %" PRIu64 " is cut off by the end "
			"of the file: %" PRIu64 " of %" PRIu64 " bytes are "
			"there", cluster_of(ck, offset), ck->file_len - offset,
			ck->cluster_size);
	}
}

static void report_entry(struct check *ck, const struct l2_table *t,
			 uint32_t index, uint64_t word, const char *fault)
{
	ck->bad_entries++;
	corrupt(ck, "ERROR L2 entry %u of the table at %#" PRIx64 " = %#"
		PRIx64 " %s", index, t->offset, word, fault);
}

/* The word points at an L2 table that may yet turn out to be none. */
static bool suspect_entry(struct check *ck, const struct l2_table *t,
			  uint32_t index, uint64_t word)
{
	struct l2_table *to = NULL;
	struct suspect *s;

	if (!(word & QCOW2_COMPRESSED))
		to = find_l2(ck, word & QCOW2_L2_OFFSET);
	if (!to || to == t)
		return false;
	s = realloc(ck->suspects, (ck->nr_suspects + 1) * sizeof(*s));
	if (!s) {
		ck->ret = -ENOMEM;
		return true;
	}
	ck->suspects = s;
	s[ck->nr_suspects++] = (struct suspect){ t, to, word, index };
	return true;
}

static void count_table(struct check *ck, struct l2_table *t,
			const uint8_t *table)
{
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	uint64_t bad = 0, good = 0, next = 0;

	for (uint32_t i = 0; i < nr; i++) {
		struct l2_entry e = load_entry(ck, table, i);

		if (!e.word && !e.bitmap)
			continue;
		if (judge_l2_entry(ck, &e))
			bad++;
		else
			good++;
	}
	if (is_garbage(bad, good)) {
		t->bad = true;
		ck->bad_entries++;
		refmap_clear(&ck->refs, cluster_of(ck, t->offset));
		corrupt(ck, "ERROR L1 entry %u points at %#" PRIx64 ", which "
			"is no L2 table: %" PRIu64 " of %" PRIu64 " entries "
			"are invalid", t->l1_index, t->offset, bad, bad + good);
		return;
	}
	for (uint32_t i = 0; i < nr; i++) {
		struct l2_entry e = load_entry(ck, table, i);
		uint64_t word = e.word;
		const char *fault = bad ? judge_l2_entry(ck, &e) : NULL;

		if (fault == points_at_metadata &&
		    suspect_entry(ck, t, i, word))
			continue;
		if (fault)
			report_entry(ck, t, i, word, fault);
		if (e.word)
			count_entry(ck, t, i, e.word, &next);
	}
}

static void resolve_suspects(struct check *ck)
{
	for (size_t i = 0; i < ck->nr_suspects; i++) {
		const struct suspect *s = &ck->suspects[i];
		uint64_t next = 0;

		if (s->to->bad)
			count_entry(ck, s->from, s->index, s->word, &next);
		else
			report_entry(ck, s->from, s->index, s->word,
				     points_at_metadata);
	}
}

/* ---- mending L2 tables ---- */

/* What COPIED has to say about a host cluster of the active tables. */
static uint64_t copied_flag(struct check *ck, uint64_t offset)
{
	return count_of(ck, cluster_of(ck, offset)) == 1 ? QCOW2_COPIED : 0;
}

/* True when the table has changed. */
static bool mend_table(struct check *ck, const struct l2_table *t,
		       uint8_t *table)
{
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	bool changed = false;

	for (uint32_t i = 0; i < nr; i++) {
		struct l2_entry old = load_entry(ck, table, i), e = old;

		judge_l2_entry(ck, &e);
		if (t->active_refs && e.word & QCOW2_L2_OFFSET &&
		    !(e.word & QCOW2_COMPRESSED) &&
		    !(ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE))
			e.word = (e.word & ~QCOW2_COPIED) |
				 copied_flag(ck, e.word & QCOW2_L2_OFFSET);
		if (e.word == old.word && e.bitmap == old.bitmap)
			continue;
		store_entry(ck, table, i, e);
		changed = true;
	}
	return changed;
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

static int mend_tables(struct check *ck, struct l2_table *t, size_t n,
		       uint8_t *buf)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++) {
		uint8_t *table = buf + i * ck->cluster_size;

		if (!t[i].bad && mend_table(ck, &t[i], table))
			ret = image_pwrite(ck->file, t[i].offset,
					   ck->cluster_size, table);
	}
	return ret;
}

/* Reads every L2 table, to count or to mend. */
static int walk_l2(struct check *ck, bool mend)
{
	cleanup_free uint8_t *buf = malloc(max(IO_BYTES, ck->cluster_size));
	size_t n;
	int ret;

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < ck->nr_l2; i += n) {
		struct l2_table *t = &ck->l2[i];

		n = run_of_tables(ck, i);
		if (is_hole(ck, t->offset, n * ck->cluster_size))
			continue;
		ret = image_pread(ck->file, t->offset, n * ck->cluster_size,
				  buf);
		if (ret && mend)
			return ret;
		if (ret)
			unreadable(ck, ret, "L2 tables", t->offset);
		else if (mend)
			ret = mend_tables(ck, t, n, buf);
		else
			for (size_t k = 0; k < n; k++)
				count_table(ck, &t[k],
					    buf + k * ck->cluster_size);
		if (mend && ret)
			return ret;
		if (ck->ret)
			return ck->ret;
	}
	return 0;
}

/* ---- the refcount structure ---- */

static const char *judge_refblock(struct check *ck, uint64_t *e)
{
	const char *fault = NULL;

	if (*e & QCOW2_REFTABLE_RESERVED) {
		fault = "has reserved bits set";
		*e &= QCOW2_REFTABLE_OFFSET;
	}
	if (!*e)
		return fault;
	if (!in_cluster_start(ck, *e))
		fault = "is not cluster aligned";
	else if (*e >= ck->file_len)
		fault = "points beyond the end of the file";
	else if (is_meta(ck, cluster_of(ck, *e)))
		fault = "points at other metadata";
	else if (refmap_get(&ck->own, cluster_of(ck, *e)).count)
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

		if (e && judge_refblock(ck, &e))
			bad++;
		else if (e)
			good++;
	}
	if (is_garbage(bad, good)) {
		corrupt(ck, "ERROR refcount table: %" PRIu64 " of %" PRIu64
			" entries are invalid", bad, bad + good);
		distrust_reftable(ck);
		return 0;
	}
	for (uint64_t i = 0; i < ck->nr_reftable; i++) {
		uint64_t e = ck->reftable[i];
		const char *fault = judge_refblock(ck, &ck->reftable[i]);

		if (fault) {
			ck->rebuild = true;
			corrupt(ck, "ERROR refcount table entry %" PRIu64
				" = %#" PRIx64 " %s", i, e, fault);
		}
		if (ck->reftable[i] > REFBLOCK_BAD &&
		    refmap_add(&ck->own, cluster_of(ck, ck->reftable[i]), 1,
			       0))
			return -ENOMEM;
	}
	return 0;
}

static int load_reftable(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	uint64_t bytes = (uint64_t)h->refcount_table_clusters
			 << h->cluster_bits;
	uint64_t first = cluster_of(ck, h->refcount_table_offset);
	const char *fault = NULL;
	int ret;

	if (!bytes)
		fault = "has no clusters";
	else if (h->refcount_table_offset >= ck->file_len)
		fault = "lies beyond the end of the file";
	for (uint64_t i = 0; !fault && i < h->refcount_table_clusters; i++)
		if (is_meta(ck, first + i))
			fault = "overlaps with other metadata";
	if (fault) {
		corrupt(ck, "ERROR the refcount table (offset %#" PRIx64
			", %u clusters) %s", h->refcount_table_offset,
			h->refcount_table_clusters, fault);
		ck->rebuild = true;
		return 0;
	}
	ck->reftable = malloc(bytes);
	if (!ck->reftable)
		return -ENOMEM;
	ret = image_pread(ck->file, h->refcount_table_offset, bytes,
			  ck->reftable);
	if (ret) {
		unreadable(ck, ret, "the refcount table",
			   h->refcount_table_offset);
		return 0;
	}
	ck->nr_reftable = bytes / 8;
	swap_words(ck->reftable, ck->nr_reftable);
	for (uint64_t i = 0; i < h->refcount_table_clusters; i++)
		if (refmap_add(&ck->own, first + i, 1, 0))
			return -ENOMEM;
	return list_refblocks(ck);
}

/* Where refcounts share a cluster with anything else, they have to move. */
static void find_shared_refblocks(struct check *ck)
{
	uint64_t c = 0;

	while (refmap_next(&ck->own, c, &c, &ck->ret)) {
		if (refmap_get(&ck->refs, c).count) {
			ck->rebuild = true;
			corrupt(ck, "ERROR cluster %" PRIu64 " of the refcount "
				"structure is used for something else too", c);
		}
		c++;
	}
}

/* ---- comparing ---- */

static const char *verb(const struct check *ck, bool leak)
{
	bool mends = ck->repair == IMAGE_REPAIR_ALL ||
		     (leak && ck->repair == IMAGE_REPAIR_LEAKS &&
		      !ck->bad_entries && !ck->rebuild);

	if (mends && !ck->refs_unknown && !ck->res->check_errors)
		return "Repairing";
	return leak ? "Leaked" : "ERROR";
}

static void compare_flags(struct check *ck, uint64_t cluster,
			  unsigned int flags, uint64_t refcount)
{
	uint64_t offset = cluster << ck->h->cluster_bits;
	bool table = flags & SEEN_META;

	if (flags & (refcount == 1 ? SEEN_SHARED : SEEN_COPIED)) {
		ck->wrong_flags = true;
		corrupt(ck, "ERROR OFLAG_COPIED %s: %s=%" PRIx64 " refcount=%"
			PRIu64, table ? "L2 cluster" : "data cluster",
			table ? "l1_entry" : "l2_entry",
			refcount == 1 ? offset : offset | QCOW2_COPIED,
			refcount);
	}
}

static void compare_cluster(struct check *ck, uint64_t cluster,
			    uint64_t refcount)
{
	struct refmap_entry e = refmap_get(&ck->refs, cluster);
	uint64_t count = (uint64_t)e.count +
			 refmap_get(&ck->own, cluster).count;

	if (likely(!refcount && !count))
		return;
	ck->any_in_use = true;
	ck->highest = max(ck->highest, cluster);
	if (count > qcow2_refcount_max(ck->h->refcount_order))
		corrupt_for_good(ck, "ERROR cluster %" PRIu64 " has %" PRIu64
				 " references, more than a refcount of %u bits "
				 "can hold", cluster, count,
				 1u << ck->h->refcount_order);
	else if (refcount < count)
		corrupt(ck, "%s cluster %" PRIu64 " refcount=%" PRIu64
			" reference=%" PRIu64, verb(ck, false), cluster,
			refcount, count);
	if (refcount > count) {
		ck->res->leaks++;
		note(ck, "%s cluster %" PRIu64 " refcount=%" PRIu64
		     " reference=%" PRIu64, verb(ck, true), cluster, refcount,
		     count);
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
		ck->any_in_use = true;
		ck->highest = max(ck->highest, c);
	}
}

static int read_refblock(struct check *ck, uint64_t i, uint8_t *block)
{
	int ret = image_pread(ck->file, ck->reftable[i], ck->cluster_size,
			      block);

	if (ret)
		unreadable(ck, ret, "a refcount block", ck->reftable[i]);
	return ret;
}

static int compare_refcounts(struct check *ck)
{
	cleanup_free uint8_t *block = malloc(ck->cluster_size);
	uint32_t bits = qcow2_refblock_bits(ck->h);
	uint64_t n = UINT64_C(1) << bits;

	if (!block)
		return -ENOMEM;
	for (uint64_t i = 0; i < ck->nr_reftable && !ck->ret; i++) {
		if (ck->reftable[i] <= REFBLOCK_BAD) {
			compare_without_block(ck, i << bits, (i + 1) << bits,
					      ck->reftable[i] == REFBLOCK_BAD);
			continue;
		}
		if (read_refblock(ck, i, block))
			continue;
		for (uint64_t k = 0; k < n; k++)
			compare_cluster(ck, (i << bits) + k,
					qcow2_refcount_get(block,
						ck->h->refcount_order, k));
	}
	compare_without_block(ck, ck->nr_reftable << bits, UINT64_MAX,
			      !ck->nr_reftable);
	return ck->ret;
}

/* ---- repair: refcounts in place ---- */

enum direction { RAISE, LOWER };

static bool mend_refblock(struct check *ck, uint64_t first, uint8_t *block,
			  enum direction direction)
{
	uint64_t n = UINT64_C(1) << qcow2_refblock_bits(ck->h);
	uint32_t order = ck->h->refcount_order;
	bool changed = false;

	for (uint64_t k = 0; k < n; k++) {
		uint64_t old = qcow2_refcount_get(block, order, k);
		uint64_t count = count_of(ck, first + k);

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
		ret = read_refblock(ck, i, block);
		if (!ret && mend_refblock(ck, i << bits, block, direction))
			ret = image_pwrite(ck->file, ck->reftable[i],
					   ck->cluster_size, block);
	}
	return ret ? ret : image_flush(ck->file);
}

/* ---- repair: a new refcount structure ---- */

/* Where it goes: the table, then the blocks, from cluster `base` on. */
struct rebuild {
	uint64_t base;
	uint64_t table_clusters;
	uint64_t *blocks;		/* table indices that need one, sorted */
	uint64_t nr_blocks, max_blocks;
};

static int want_block(struct rebuild *r, uint64_t index)
{
	if (r->nr_blocks && r->blocks[r->nr_blocks - 1] >= index)
		return 0;
	if (r->nr_blocks == r->max_blocks) {
		uint64_t n = r->max_blocks ? r->max_blocks * 2 : 64;
		uint64_t *blocks = realloc(r->blocks, n * sizeof(*blocks));

		if (!blocks)
			return -ENOMEM;
		r->blocks = blocks;
		r->max_blocks = n;
	}
	r->blocks[r->nr_blocks++] = index;
	return 0;
}

/* The structure counts itself: lay it out until it covers what it takes. */
static int plan_rebuild(struct check *ck, struct rebuild *r)
{
	uint32_t bits = qcow2_refblock_bits(ck->h);
	uint64_t c = 0, end, last;
	int ret = 0;

	while (!ret && refmap_next(&ck->refs, c, &c, &ck->ret)) {
		ret = want_block(r, c >> bits);
		c = ((c >> bits) + 1) << bits;
	}
	ret = ret ? ret : ck->ret;
	r->base = max(ck->nr_clusters, ck->highest + 1);
	do {
		end = r->base + r->table_clusters + r->nr_blocks;
		last = end >> bits;
		for (uint64_t i = r->base >> bits; i <= last && !ret; i++)
			ret = want_block(r, i);
		r->table_clusters = div_round_up((last + 1) * 8,
						 ck->cluster_size);
		if (r->table_clusters * ck->cluster_size >
			    QCOW2_MAX_REFTABLE_BYTES ||
		    end >= UINT64_C(1) << (56 - ck->h->cluster_bits))
			return -EFBIG;
	} while (!ret && r->base + r->table_clusters + r->nr_blocks > end);
	return ret;
}

static int write_blocks(struct check *ck, const struct rebuild *r,
			uint64_t *table)
{
	cleanup_free uint8_t *block = malloc(ck->cluster_size);
	uint32_t bits = qcow2_refblock_bits(ck->h);
	int ret = 0;

	if (!block)
		return -ENOMEM;
	for (uint64_t i = 0; i < r->nr_blocks && !ret; i++) {
		uint64_t at = (r->base + r->table_clusters + i)
			      << ck->h->cluster_bits;

		memset(block, 0, ck->cluster_size);
		mend_refblock(ck, r->blocks[i] << bits, block, RAISE);
		ret = image_pwrite(ck->file, at, ck->cluster_size, block);
		store_be64(&table[r->blocks[i]], at);
	}
	return ret;
}

static int switch_reftable(struct check *ck, const struct rebuild *r)
{
	uint8_t fields[12];
	int ret;

	store_be64(fields, r->base << ck->h->cluster_bits);
	store_be32(fields + 8, (uint32_t)r->table_clusters);
	ret = image_pwrite(ck->file, QCOW2_OFF_REFTABLE, sizeof(fields),
			   fields);
	return ret ? ret : image_flush(ck->file);
}

static int write_rebuild(struct check *ck, const struct rebuild *r)
{
	uint64_t bytes = r->table_clusters << ck->h->cluster_bits;
	cleanup_free uint64_t *table = calloc(1, bytes);
	int ret = 0;

	if (!table)
		return -ENOMEM;
	refmap_free(&ck->own);
	for (uint64_t i = 0; i < r->table_clusters + r->nr_blocks; i++)
		if (refmap_add(&ck->own, r->base + i, 1, 0))
			return -ENOMEM;
	ret = write_blocks(ck, r, table);
	if (!ret)
		ret = image_pwrite(ck->file, r->base << ck->h->cluster_bits,
				   bytes, table);
	if (!ret)
		ret = image_flush(ck->file);
	return ret ? ret : switch_reftable(ck, r);
}

static int rebuild_refcounts(struct check *ck, struct error *err)
{
	struct rebuild r = { 0 };
	int ret = plan_rebuild(ck, &r);

	if (ret == -EFBIG)
		error_set(err, EFBIG, "a refcount table for a file of %" PRIu64
			  " bytes would be larger than %u bytes", ck->file_len,
			  QCOW2_MAX_REFTABLE_BYTES);
	if (!ret) {
		note(ck, "Writing a new refcount structure at offset %#" PRIx64,
		     r.base << ck->h->cluster_bits);
		ret = write_rebuild(ck, &r);
	}
	free(r.blocks);
	return ret;
}

/* ---- repair: copies of L2 tables ---- */

/* One copy of `t`, at the end of the file and of the list. */
static int copy_l2(struct check *ck, size_t t, const uint8_t *table)
{
	uint64_t at = ck->nr_clusters++;
	struct l1_table active = { .active = true };
	int ret;

	ret = list_l2(ck, &active, at << ck->h->cluster_bits,
		      ck->l2[t].l1_index);
	if (ret)
		return ret;
	if (!ck->l2[t].copies)
		ck->l2[t].copies = at << ck->h->cluster_bits;
	ck->highest = max(ck->highest, at);
	add_refs(ck, at, 1, SEEN_META);
	return ck->ret ? ck->ret : image_pwrite(ck->file,
						at << ck->h->cluster_bits,
						ck->cluster_size, table);
}

/* An L1 entry for each: what t had too many of, the copies have. */
static int copy_l2_tables(struct check *ck)
{
	cleanup_free uint8_t *table = malloc(ck->cluster_size);
	size_t nr = ck->nr_l2;
	int ret = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < nr && !ret; i++) {
		uint32_t more = ck->l2[i].active_refs - 1;
		uint64_t c = cluster_of(ck, ck->l2[i].offset);

		if (ck->l2[i].active_refs < 2 || ck->l2[i].bad)
			continue;
		ret = image_pread(ck->file, ck->l2[i].offset, ck->cluster_size,
				  table);
		for (uint32_t k = 0; k < more && !ret; k++)
			ret = copy_l2(ck, i, table);
		ck->l2[i].refs -= more;
		ck->l2[i].active_refs = 1;
		refmap_clear(&ck->refs, c);
		add_refs(ck, c, ck->l2[i].refs, SEEN_META);
	}
	return ret ? ret : ck->ret;
}

/* Where the next L1 entry that leads to `t` has to lead. */
static struct l2_table *one_of(struct check *ck, struct l2_table *t)
{
	uint64_t offset = t->copies;

	if (!t->kept || !offset) {
		t->kept = true;
		return t;
	}
	t->copies += ck->cluster_size;
	return find_l2(ck, offset);
}

/* ---- repair: entries and flags ---- */

static bool mend_l1_part(struct check *ck, const struct l1_table *l1,
			 uint64_t *words, size_t n)
{
	bool changed = false;

	for (size_t i = 0; i < n; i++) {
		uint64_t old = load_be64(&words[i]), e = old;
		struct l2_table *t;

		judge_l1_entry(ck, &e);
		t = e ? find_l2(ck, e & QCOW2_L1_OFFSET) : NULL;
		if (!t || t->bad)
			e = 0;
		else if (l1->active) {
			t = one_of(ck, t);
			e = t->offset | copied_flag(ck, t->offset);
		}
		if (e != old) {
			store_be64(&words[i], e);
			changed = true;
		}
	}
	return changed;
}

static int mend_l1(struct check *ck, const struct l1_table *l1)
{
	cleanup_free uint64_t *words = malloc(IO_BYTES);
	int ret = 0;

	if (!words)
		return -ENOMEM;
	for (uint32_t i = 0, n; i < l1->nr && !ret; i += n) {
		uint64_t offset = l1->offset + (uint64_t)i * 8;

		n = min(l1->nr - i, (uint32_t)(IO_BYTES / 8));
		ret = image_pread(ck->file, offset, (uint64_t)n * 8, words);
		if (!ret && mend_l1_part(ck, l1, words, n))
			ret = image_pwrite(ck->file, offset, (uint64_t)n * 8,
					   words);
	}
	return ret;
}

static int mend_entries(struct check *ck)
{
	int ret = walk_l2(ck, true);

	for (size_t i = 0; i < ck->nr_l1 && !ret; i++)
		ret = mend_l1(ck, &ck->l1[i]);
	return ret ? ret : image_flush(ck->file);
}

static int clear_bits(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	const uint64_t bits = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT;
	uint64_t autoclear = h->autoclear;
	uint8_t field[8];
	int ret = 0;

	if (!h->has_bitmaps)
		autoclear &= ~QCOW2_AUTOCLEAR_BITMAPS;
	if (!(h->incompat & QCOW2_INCOMPAT_DATA_FILE))
		autoclear &= ~QCOW2_AUTOCLEAR_DATA_FILE_RAW;

	if (h->incompat & bits) {
		store_be64(field, h->incompat & ~bits);
		ret = image_pwrite(ck->file, QCOW2_OFF_INCOMPAT, sizeof(field),
				   field);
	}
	if (!ret && h->version >= 3 && autoclear != h->autoclear) {
		store_be64(field, autoclear);
		ret = image_pwrite(ck->file, QCOW2_OFF_AUTOCLEAR,
				   sizeof(field), field);
	}
	return ret ? ret : image_flush(ck->file);
}

/* ---- repair ---- */

static int repair_leaks(struct check *ck)
{
	bool clean = !ck->res->corruptions;
	int ret;

	if (ck->bad_entries || ck->refs_unknown || ck->rebuild) {
		if (ck->res->leaks)
			note(ck, "Leaked clusters are kept: they may belong to "
			     "what is corrupt");
		return 0;
	}
	ret = mend_refcounts(ck, LOWER);
	if (!ret && clean && ck->res->leaks)
		ret = mend_entries(ck);
	if (!ret)
		ck->res->leaks_fixed = ck->res->leaks;
	if (!ret && clean)
		ret = clear_bits(ck);
	return ret;
}

static int repair_all(struct check *ck, struct error *err)
{
	uint64_t end = ck->nr_clusters << ck->h->cluster_bits;
	int ret = 0;

	if (ck->refs_unknown) {
		note(ck, "Nothing is repaired: what cannot be repaired hides "
		     "which clusters are in use");
		return 0;
	}
	if (!ck->res->corruptions && !ck->res->leaks)
		return clear_bits(ck);
	if (ck->cut)
		ret = image_truncate(ck->file, end, err);
	if (!ret && ck->nr_copies)
		ret = copy_l2_tables(ck);
	if (!ret)
		ret = ck->rebuild ? rebuild_refcounts(ck, err) :
				    mend_refcounts(ck, RAISE);
	if (!ret)
		ret = mend_entries(ck);
	if (!ret && !ck->rebuild)
		ret = mend_refcounts(ck, LOWER);
	if (ret)
		return ret;
	ck->res->corruptions_fixed = ck->res->corruptions - ck->unfixable;
	ck->res->leaks_fixed = ck->res->leaks;
	return ck->unfixable ? 0 : clear_bits(ck);
}

static int mend(struct check *ck, struct error *err)
{
	struct error e = ERROR_INIT;
	int ret;

	if (ck->res->check_errors) {
		note(ck, "Nothing is repaired: not all of the image could be "
		     "read");
		return 0;
	}
	ret = ck->repair == IMAGE_REPAIR_LEAKS ? repair_leaks(ck) :
						 repair_all(ck, &e);
	if (ret)
		return error_set(err, -ret, "repair failed: %s",
				 error_text(&e, ret));
	return 0;
}

/* ---- all of it ---- */

/* What contradicts itself within the header. */
static void judge_features(struct check *ck)
{
	const struct qcow2_header *h = ck->h;

	if (h->crypt_method == QCOW2_CRYPT_LUKS && !h->has_crypto)
		corrupt_for_good(ck, "ERROR the image is encrypted with LUKS, "
				 "but has no encryption header");
	if ((h->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW) &&
	    !(h->incompat & QCOW2_INCOMPAT_DATA_FILE))
		corrupt(ck, "ERROR the raw external data bit is set without an "
			"external data file");
	if ((h->autoclear & QCOW2_AUTOCLEAR_BITMAPS) && !h->has_bitmaps)
		corrupt(ck, "ERROR the bitmaps feature bit is set without a "
			"bitmaps extension");
}


static void check_init(struct check *ck, struct image *img,
		       const struct qcow2_header *h, enum image_repair repair,
		       struct image_check *res)
{
	bool extended = h->incompat & QCOW2_INCOMPAT_EXTENDED_L2;

	*res = (struct image_check){
		.report = res->report,
		.report_arg = res->report_arg,
	};
	*ck = (struct check){
		.file = img->file,
		.h = h,
		.repair = repair,
		.res = res,
		.cluster_size = qcow2_cluster_size(h),
		.file_len = image_size(img->file),
		.l2_reserved = QCOW2_L2_RESERVED,
	};
	ck->nr_clusters = div_round_up(ck->file_len, ck->cluster_size);
	if (h->version < 3 || extended)
		ck->l2_reserved |= QCOW2_ZERO;
	if (extended)
		ck->blank.bitmap = UINT64_C(0xffffffff) << 32;
	else if (h->version >= 3)
		ck->blank.word = QCOW2_ZERO;
	res->total_clusters = div_round_up(h->size, ck->cluster_size);
}

/* Step 1: everything but L2 tables and refcounts. */
static int claim_tables(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	int ret;

	judge_features(ck);
	claim(ck, 0, min(ck->cluster_size, ck->file_len), "the header");
	ret = add_l1(ck, h->l1_table_offset, h->l1_size, 0);
	if (!ret && h->nb_snapshots)
		ret = load_snapshots(ck);
	for (size_t i = 0, n = ck->nr_l1; i < n && !ret; i++) {
		struct l1_table *l1 = &ck->l1[i];
		char name[32];

		if (l1->nr && !claim(ck, l1->offset, (uint64_t)l1->nr * 8,
				     "the L1 table (%s)", l1_name(l1, name)))
			l1->nr = 0;
	}
	if (h->has_crypto && h->crypto_length)
		claim(ck, h->crypto_offset, h->crypto_length,
		      "the encryption header");
	if (!ret)
		ret = load_bitmaps(ck);
	return ret ? ret : ck->ret;
}

static int count_references(struct check *ck)
{
	int ret = claim_tables(ck);

	for (size_t i = 0; i < ck->nr_l1 && !ret; i++)
		ret = collect_l1(ck, &ck->l1[i]);
	if (ret)
		return ret;
	unify_l2(ck);
	ret = ck->ret;
	if (!ret)
		ret = load_reftable(ck);
	if (!ret)
		ret = walk_l2(ck, false);
	if (ret)
		return ret;
	resolve_suspects(ck);
	find_shared_refblocks(ck);
	return ck->ret;
}

static void check_free(struct check *ck)
{
	refmap_free(&ck->refs);
	refmap_free(&ck->own);
	free(ck->l1);
	free(ck->l2);
	free(ck->suspects);
	free(ck->reftable);
}

int qcow2_check(struct image *img, const struct qcow2_header *h,
		enum image_repair repair, struct image_check *result,
		struct error *err)
{
	struct check ck;
	int ret;

	check_init(&ck, img, h, repair, result);
	ret = count_references(&ck);
	if (!ret)
		ret = compare_refcounts(&ck);
	if (ret) {
		error_set_errno(err, -ret, "check");
	} else {
		result->image_end_offset = ck.any_in_use ?
			(ck.highest + 1) << h->cluster_bits : 0;
		if (repair != IMAGE_REPAIR_NONE)
			ret = mend(&ck, err);
	}
	check_free(&ck);
	return ret;
}

int qcow2_repair_dirty(struct image *img, const struct qcow2_header *h,
		       struct error *err)
{
	struct image_check res = { 0 };
	int ret = qcow2_check(img, h, IMAGE_REPAIR_ALL, &res, err);

	if (ret)
		return ret;
	if (res.check_errors || res.corruptions > res.corruptions_fixed)
		return error_set(err, EIO, "the image was not closed cleanly "
				 "and has %" PRIu64 " errors that cannot be "
				 "repaired: look at it with 'xdisk check'",
				 res.check_errors + res.corruptions -
					 res.corruptions_fixed);
	return 0;
}
