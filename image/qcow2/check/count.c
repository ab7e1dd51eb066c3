/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * count.c: counts what the L2 tables point to.
 *
 * Tables are read ahead in the order of the file. Most entries are unremarkable
 * and follow each other in the file: such a run is judged and counted at once;
 * anything else is looked at entry by entry. A table that is mostly nonsense is
 * not followed.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/bits.h"
#include "image/readahead.h"

/* ---- runs ---- */

/* Entries that point to clusters side by side, all of them in the file, with
 * no more to be said about any than COPIED. */
struct run {
	uint32_t first, nr;		/* entries */
	struct qcow2_entry e;		/* the first one */
};

static bool is_plain(const struct check *ck, struct qcow2_entry e)
{
	uint64_t offset = e.word & QCOW2_L2_OFFSET;

	return !(e.word & ~(QCOW2_COPIED | QCOW2_L2_OFFSET)) && offset &&
	       ck_in_cluster_start(ck, offset) &&
	       range_within(offset, ck->cluster_size, ck->file_len) &&
	       !((uint32_t)e.bitmap & (uint32_t)(e.bitmap >> 32)) &&
	       !(ck->h->incompat & QCOW2_INCOMPAT_DATA_FILE);
}

/* The run that begins at r->first; r->nr is 0 if that entry is not plain. */
static void find_plain_run(const struct check *ck, const uint8_t *table,
			   struct run *r)
{
	uint32_t end = 1u << qcow2_l2_bits(ck->h), step = 8, n;
	uint64_t most, word;

	r->e = qcow2_entry_load(ck->h, table, r->first);
	r->nr = 0;
	if (!is_plain(ck, r->e))
		return;
	most = (ck->file_len - (r->e.word & QCOW2_L2_OFFSET)) >>
	       ck->h->cluster_bits;
	end = (uint32_t)min((uint64_t)end, r->first + most);
	if (qcow2_extended(ck->h))
		step = 16;
	word = r->e.word;
	for (n = r->first + 1; n < end; n++) {
		const uint8_t *p = table + (uint64_t)n * step;

		word += ck->cluster_size;
		if (load_be64(p) != word ||
		    (step == 16 && load_be64(p + 8) != r->e.bitmap))
			break;
	}
	r->nr = n - r->first;
}

/* May the run be taken as it is, as far as others point there? */
static bool run_is_clear(struct check *ck, const struct run *r,
			 unsigned int bad)
{
	return r->nr && !(bad & refmap_flags(&ck->refs,
		ck_cluster_of(ck, r->e.word & QCOW2_L2_OFFSET), r->nr));
}

static void count_run(struct check *ck, const struct l2_table *t,
		      const struct run *r, uint64_t *next)
{
	uint64_t offset = r->e.word & QCOW2_L2_OFFSET;
	unsigned int seen = 0;

	if (t->active_refs)
		seen = r->e.word & QCOW2_COPIED ? SEEN_COPIED : SEEN_SHARED;
	if (refmap_add_range(&ck->refs, ck_cluster_of(ck, offset), r->nr,
			     t->refs, seen))
		ck->ret = -ENOMEM;
	ck->res->allocated_clusters += (uint64_t)r->nr * t->active_refs;
	if (*next && *next != offset)
		ck->res->fragmented_clusters += t->active_refs;
	*next = offset + r->nr * ck->cluster_size;
}

/* ---- single entries ---- */

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
			     uint32_t index, uint64_t word)
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
	ck_unpack(ck, t, index, word);
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

/* Clusters of a data file lie where the guest has them and are no one else's.
 * Where they do not, nobody knows which of the two places is the right one. */
static void validate_external_offset(struct check *ck, const struct l2_table *t,
				     uint32_t index, uint64_t word)
{
	uint64_t guest = (((uint64_t)t->l1_index << qcow2_l2_bits(ck->h)) +
			  index) << ck->h->cluster_bits;

	if ((word & QCOW2_L2_OFFSET) != guest) {
		ck_corrupt_for_good(ck, "ERROR L2 entry %u of the table at %#"
				    PRIx64 " = %#" PRIx64 " is not at its guest "
				    "offset %#" PRIx64 " in the data file",
				    index, t->offset, word, guest);
	} else if (!(word & QCOW2_COPIED)) {
		ck->wrong_flags++;
		ck_corrupt(ck, "ERROR OFLAG_COPIED data cluster: l2_entry=%"
			   PRIx64 " in a data file", word);
	}
}

/* Counts a judged entry. */
static void count_entry(struct check *ck, const struct l2_table *t,
			uint32_t index, struct qcow2_entry e, uint64_t *next)
{
	uint64_t word = e.word, offset = word & QCOW2_L2_OFFSET;
	unsigned int seen = 0;

	if (word & QCOW2_COMPRESSED) {
		count_compressed(ck, t, index, word);
		return;
	}
	if (qcow2_external(ck->h)) {
		if (!qcow2_entry_placed(ck->h, word))
			return;
		validate_external_offset(ck, t, index, word);
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

static void report_l2_entry(struct check *ck, const struct l2_table *t,
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

/* ---- a table ---- */

static void count_valid_entries(struct check *ck, const uint8_t *table,
				uint64_t *bad, uint64_t *good)
{
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	struct run r = { 0 };

	*bad = *good = 0;
	for (; r.first < nr; r.first += max(r.nr, 1u)) {
		find_plain_run(ck, table, &r);
		if (run_is_clear(ck, &r, SEEN_META)) {
			*good += r.nr;
			continue;
		}
		r.nr = 0;
		if (!r.e.word && !r.e.bitmap)
			continue;
		if (ck_judge_l2_entry(ck, &r.e))
			++*bad;
		else
			++*good;
	}
}

static void count_single(struct check *ck, const struct l2_table *t,
			 uint32_t index, struct qcow2_entry e, uint64_t *next)
{
	uint64_t word = e.word;
	const char *fault = ck_judge_l2_entry(ck, &e);

	if (fault == ck_points_at_metadata && suspect_entry(ck, t, index, word))
		return;
	if (fault)
		report_l2_entry(ck, t, index, word, fault);
	if (e.word)
		count_entry(ck, t, index, e, next);
}

static void count_entries(struct check *ck, const struct l2_table *t,
			  const uint8_t *table)
{
	/* What a cluster must not have been used for to be taken in a run. */
	unsigned int bad = t->active_refs ? SEEN_META | SEEN_COPIED |
			   SEEN_SHARED | SEEN_PACKED : SEEN_META;
	uint32_t nr = 1u << qcow2_l2_bits(ck->h);
	struct run r = { 0 };
	uint64_t next = 0;

	for (; r.first < nr; r.first += max(r.nr, 1u)) {
		find_plain_run(ck, table, &r);
		if (run_is_clear(ck, &r, bad) && t->active_refs <= 1) {
			count_run(ck, t, &r, &next);
			continue;
		}
		r.nr = 0;
		if (r.e.word || r.e.bitmap)
			count_single(ck, t, r.first, r.e, &next);
	}
}

int ck_count_table(struct check *ck, struct l2_table *t, uint8_t *table)
{
	uint64_t bad, good;

	count_valid_entries(ck, table, &bad, &good);
	if (!ck_is_garbage(bad, good)) {
		count_entries(ck, t, table);
		ck_judge_room(ck);
		return ck->ret;
	}
	t->bad = true;
	ck->bad_entries++;
	refmap_clear(&ck->refs, ck_cluster_of(ck, t->offset));
	ck_corrupt(ck, "ERROR L1 entry %u points at %#" PRIx64 ", which is no "
		   "L2 table: %" PRIu64 " of %" PRIu64 " entries are invalid",
		   t->l1_index, t->offset, bad, bad + good);
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
			report_l2_entry(ck, s->from, s->index, s->word,
					ck_points_at_metadata);
	}
}

/* ---- walking them ---- */

struct walk {
	struct check *ck;
	size_t next;			/* in ck->l2 */
};

/* How many tables from `first` on lie side by side and fit one read. */
static size_t run_of_tables(const struct check *ck, size_t first)
{
	size_t most = max(IO_BYTES / ck->cluster_size, (uint64_t)1), n = 1;

	while (n < most && first + n < ck->nr_l2 &&
	       ck->l2[first + n].offset ==
		       ck->l2[first].offset + n * ck->cluster_size)
		n++;
	return n;
}

static bool next_tables(void *arg, uint64_t *offset, uint64_t *len)
{
	struct walk *w = arg;
	struct check *ck = w->ck;

	while (w->next < ck->nr_l2) {
		size_t n = run_of_tables(ck, w->next);

		*offset = ck->l2[w->next].offset;
		*len = n * ck->cluster_size;
		w->next += n;
		if (!ck_is_hole(ck, *offset, *len))
			return true;
		ck_progress(ck, *len);
	}
	return false;
}

int ck_walk_l2(struct check *ck,
	       int (*each)(struct check *ck, struct l2_table *t,
			   uint8_t *table),
	       bool must_read)
{
	struct walk w = { ck, 0 };
	struct readahead_range *r;
	struct readahead ra;
	int ret = 0;

	readahead_init(&ra, ck->file, next_tables, &w);
	while (!ret && (r = readahead_get(&ra))) {
		struct l2_table *t = ck_find_l2(ck, r->offset);

		/* An image that is repaired when it is opened: whoever opens it
		 * may have changed his mind. */
		loop_next_turn(ck->file->loop);
		ret = image_cancelled(ck->file);
		if (ret)
			break;
		ret = r->ret;
		if (ret && !must_read) {
			ck_unreadable(ck, ret, "L2 tables", r->offset);
			ret = 0;
			continue;
		}
		for (uint64_t at = 0; at < r->len && !ret;
		     at += ck->cluster_size)
			ret = each(ck, t++, r->data + at);
		ck_progress(ck, r->len);
	}
	readahead_deinit(&ra);
	return ret;
}
