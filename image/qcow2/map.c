/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * map.c: guest offsets to host offsets.
 *
 *	guest offset = L1 index | L2 index | offset in cluster
 *
 * The L1 table is in memory and was judged when the image was opened. L2
 * entries are judged each time one is used: a table can change under no one
 * but us, but checking costs less than remembering.
 *
 * With extended L2 entries each of a cluster's 32 subclusters has a kind of its
 * own; a run of them that are alike is what one lookup answers.
 */
#include "image/qcow2/map.h"

#include <errno.h>
#include <inttypes.h>

#include "image/qcow2/core/refcount.h"

uint64_t qcow2_vmstate_base(const struct qcow2 *q)
{
	return qcow2_l1_needed(&q->h, q->h.size)
	       << (q->cluster_bits + q->l2_bits);
}

static uint64_t l2_index(const struct qcow2 *q, uint64_t index)
{
	return index & ((UINT64_C(1) << q->l2_bits) - 1);
}

static uint64_t slice_entries(const struct qcow2 *q)
{
	return q->slice_size >> qcow2_entry_bits(&q->h);
}

/* Where the slice with the entry of guest cluster `index` lies. */
static uint64_t slice_offset(const struct qcow2 *q, uint64_t table,
			     uint64_t index)
{
	return table + align_down(l2_index(q, index) << qcow2_entry_bits(&q->h),
				  q->slice_size);
}

static const char beyond_end[] = "points beyond the end of the file";

static const char *validate_compressed_word(const struct qcow2 *q,
					    struct qcow2_entry e)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(q->cluster_bits, e.word);

	if (qcow2_external(&q->h))
		return "is compressed in an image with a data file";
	if (e.word & QCOW2_COPIED)
		return "is compressed and has the copied flag";
	if (c.offset >= q->data_end || !c.offset)
		return beyond_end;
	return e.bitmap ? "is compressed and has subclusters" : NULL;
}

static const char *validate_l2_word(const struct qcow2 *q, uint64_t index,
				    uint64_t word)
{
	uint64_t host = word & QCOW2_L2_OFFSET;

	if (word & QCOW2_L2_RESERVED)
		return "has reserved bits set";
	if (word & QCOW2_ZERO && qcow2_extended(&q->h))
		return "has the zero flag in an image with subclusters";
	if (word & QCOW2_ZERO && q->h.version < 3)
		return "has the zero flag in a version 2 image";
	if (!is_aligned(host, q->cluster_size))
		return "points into the middle of a cluster";
	if (qcow2_external(&q->h))
		return qcow2_entry_placed(&q->h, word) &&
		       host != index << q->cluster_bits ?
			       "is not at its guest offset in the data file" :
			       NULL;
	if (host >= q->data_end)
		return beyond_end;
	if (!host && word & QCOW2_COPIED)
		return "points at the header";
	return NULL;
}

static const char *validate_subclusters(const struct qcow2 *q,
					struct qcow2_entry e)
{
	if (e.bitmap & e.bitmap >> 32 & QCOW2_SUBS_ALLOCATED)
		return "has subclusters both allocated and zero";
	if (e.bitmap & QCOW2_SUBS_ALLOCATED &&
	    !qcow2_entry_placed(&q->h, e.word))
		return "has allocated subclusters but no cluster";
	return NULL;
}

/* Reserved bits, place of the host cluster, contradictions: all that an entry
 * can get wrong by itself. */
static int validate_l2_entry(struct qcow2 *q, uint64_t index,
			     struct qcow2_entry e)
{
	const char *wrong;

	if (e.word & QCOW2_COMPRESSED)
		wrong = validate_compressed_word(q, e);
	else
		wrong = validate_l2_word(q, index, e.word)
				?: validate_subclusters(q, e);
	if (likely(!wrong))
		return 0;
	if (wrong == beyond_end)
		return qcow2_corrupt(q, "L2 entry %#" PRIx64 " of guest offset "
				     "%#" PRIx64 " %s, which has %" PRIu64
				     " bytes", e.word, index << q->cluster_bits,
				     wrong, q->file->size);
	return qcow2_corrupt(q, "L2 entry %#" PRIx64 " (%#" PRIx64
			     ") of guest offset %#" PRIx64 " %s", e.word,
			     e.bitmap, index << q->cluster_bits, wrong);
}

/* ---- plain entries ---- */

/* How many entries, with the first, continue it. Those that point beyond the end
 * of the file are told to the one who comes to them. */
static uint64_t entry_run_length(const struct qcow2 *q, const uint64_t *e,
				 uint64_t max, uint64_t entry,
				 enum qcow2_kind kind)
{
	uint64_t n = 1, next = entry, host = entry & QCOW2_L2_OFFSET;

	if (max == 1 || kind == QCOW2_COMPRESSED_CLUSTER)
		return 1;
	if (host && host < q->data_end && !qcow2_external(&q->h))
		max = min(max, (q->data_end - host) >> q->cluster_bits);
	for (; n < max; n++) {
		if (kind == QCOW2_NORMAL || kind == QCOW2_ZERO_ALLOC)
			next += q->cluster_size;
		if (load_be64(&e[n]) != next)
			break;
	}
	return n;
}

/* Up to `max` entries from that of `index` on. */
static int decode(struct qcow2 *q, uint64_t index, const uint64_t *e,
		  uint64_t max, uint64_t in, struct qcow2_mapping *out)
{
	uint64_t n;
	int ret = 0;

	n = entry_run_length(q, e, max, out->entry.word, out->kind);
	out->len = (n << q->cluster_bits) - in;
	if (out->entry.word)
		ret = validate_l2_entry(q, index, out->entry);
	if (!ret && n > 1 && out->entry.word & QCOW2_L2_OFFSET)
		ret = validate_l2_entry(q, index + n - 1,
					qcow2_entry_load(&q->h, e, n - 1));
	return ret;
}

/* ---- extended entries ---- */

/* Does `e` go on as the cluster before it, whose entry was `last`? */
static bool continues_run(const struct qcow2 *q, const struct qcow2_mapping *m,
			  uint64_t last, struct qcow2_entry e)
{
	if (m->kind == QCOW2_COMPRESSED_CLUSTER ||
	    qcow2_entry_kind(&q->h, e, 0) != m->kind)
		return false;
	return m->kind == QCOW2_UNALLOCATED || m->kind == QCOW2_ZERO_PLAIN ||
	       (e.word == last + q->cluster_size &&
		((e.word & QCOW2_L2_OFFSET) < q->data_end ||
		 qcow2_external(&q->h)));
}

/* The same over subclusters: a run may begin and end within a cluster. */
static int decode_extended(struct qcow2 *q, uint64_t index, const void *table,
			   uint64_t max, uint64_t in,
			   struct qcow2_mapping *out)
{
	unsigned int sub = (unsigned int)(in >> q->sub_bits), n;
	struct qcow2_entry e = out->entry;
	uint64_t i = 0, last;
	int ret = validate_l2_entry(q, index, e);

	n = qcow2_subs_alike(e, sub);
	out->len = ((uint64_t)(sub + n) << q->sub_bits) - in;
	while (!ret && sub + n == QCOW2_SUBCLUSTERS && ++i < max) {
		last = e.word;
		e = qcow2_entry_load(&q->h, table, i);
		if (!continues_run(q, out, last, e))
			break;
		sub = 0;
		n = qcow2_subs_alike(e, 0);
		out->len += (uint64_t)n << q->sub_bits;
		ret = validate_l2_entry(q, index + i, e);
	}
	return ret;
}

/* ---- looking up ---- */

static int decode_slice(struct qcow2 *q, const struct qcow2_slice *s,
			uint64_t off, uint64_t len, struct qcow2_mapping *out)
{
	uint64_t index = off >> q->cluster_bits;
	uint64_t in = off & (q->cluster_size - 1);
	uint64_t in_slice = l2_index(q, index) % slice_entries(q);
	uint64_t max = (in + len + q->cluster_size - 1) >> q->cluster_bits;
	const void *e = s->data + (in_slice << qcow2_entry_bits(&q->h));
	bool extended = qcow2_extended(&q->h);
	unsigned int sub = extended ? (unsigned int)(in >> q->sub_bits) : 0;
	int ret;

	max = min(max, slice_entries(q) - in_slice);
	out->entry = qcow2_entry_load(&q->h, e, 0);
	out->kind = qcow2_entry_kind(&q->h, out->entry, sub);
	/* A data file is nobody else's. */
	out->copied = out->entry.word & QCOW2_COPIED || qcow2_external(&q->h);
	out->host = (out->entry.word & QCOW2_L2_OFFSET) + in;
	ret = extended ? decode_extended(q, index, e, max, in, out) :
			 decode(q, index, e, max, in, out);
	out->len = min(out->len, len);
	return ret;
}

int qcow2_lookup(struct qcow2 *q, uint64_t off, uint64_t len,
		 struct qcow2_mapping *out)
{
	uint64_t index = off >> q->cluster_bits, offset;
	uint64_t l1 = q->l1.v[index >> q->l2_bits];
	uint64_t table = UINT64_C(1) << (q->l2_bits + q->cluster_bits);
	struct qcow2_slice *s;
	int ret;

	if (!(l1 & QCOW2_L1_OFFSET)) {
		if (unlikely(l1))
			return qcow2_corrupt(q, "L1 entry %" PRIu64 " of guest "
					     "offset %#" PRIx64 " is invalid, "
					     "or beyond the end of the file, "
					     "which has %" PRIu64 " bytes",
					     index >> q->l2_bits, off,
					     q->file->size);
		*out = (struct qcow2_mapping){
			.kind = QCOW2_UNALLOCATED,
			.len = min(len, table - (off & (table - 1))),
		};
		return 0;
	}
	offset = slice_offset(q, l1 & QCOW2_L1_OFFSET, index);
	s = qcow2_cache_peek(&q->l2_cache, offset);
	if (unlikely(!s)) {
		ret = qcow2_cache_get(&q->l2_cache, offset, &s);
		if (ret)
			return ret;
		qcow2_cache_put(s);	/* we do not wait before we are done */
	}
	return decode_slice(q, s, off, len, out);
}

bool qcow2_reads_zero(const struct qcow2 *q, const struct qcow2_mapping *m,
		      uint64_t off)
{
	const struct image *backing = q->img->backing;

	switch (m->kind) {
	case QCOW2_ZERO_PLAIN:
	case QCOW2_ZERO_ALLOC:
		return true;
	case QCOW2_UNALLOCATED:
	case QCOW2_UNALLOCATED_ALLOC:
		return !backing || off >= q->img->size ||
		       align_down(off, q->sub_size) >= backing->size;
	case QCOW2_NORMAL:
	case QCOW2_COMPRESSED_CLUSTER:
		return false;
	}
	return false;
}

/* ---- L2 tables that may be changed ---- */

/* co. The old table's entries into the new one, in memory. */
static int copy_l2_slices(struct qcow2 *q, uint64_t from, uint64_t to)
{
	struct qcow2_slice *old, *new;
	int ret;

	for (uint64_t o = 0; o < q->cluster_size; o += q->slice_size) {
		ret = qcow2_cache_get(&q->l2_cache, from + o, &old);
		if (ret)
			return ret;
		ret = qcow2_cache_new(&q->l2_cache, to + o, &new);
		if (!ret) {
			memcpy(new->data, old->data, q->slice_size);
			qcow2_cache_dirty(&q->l2_cache, new);
			qcow2_cache_put(new);
		}
		qcow2_cache_put(old);
		if (ret)
			return ret;
	}
	return 0;
}

/* co. An empty table in the file: nothing has to be written where the file
 * reads as zeroes already. */
static int clear_l2(struct qcow2 *q, uint64_t offset, bool fresh)
{
	image_event(q->file, IMAGE_EVENT_L2_ALLOC_WRITE);
	if (fresh)
		return 0;
	qcow2_cache_drop(&q->l2_cache, offset, q->cluster_size);
	return image_pwrite_zeroes(q->file, offset, q->cluster_size, 0);
}

static void set_l1(struct qcow2 *q, uint64_t i, uint64_t entry)
{
	qcow2_table_set(&q->l1, i, entry);
}

/* co, l2_lock held. Makes a table, or a copy of one that is shared. */
static int replace_l2(struct qcow2 *q, uint64_t l1_index)
{
	uint64_t old = q->l1.v[l1_index] & QCOW2_L1_OFFSET, offset, count;
	bool fresh;
	int ret;

	ret = qcow2_alloc_clusters(q, 1, &offset, &count, &fresh);
	if (ret)
		return ret;
	/* A commit may write the first slices while the last are copied. */
	ret = qcow2_meta_add(&q->meta, offset >> q->cluster_bits,
			     QCOW2_META_L2);
	if (!ret)
		ret = old ? copy_l2_slices(q, old, offset)
			  : clear_l2(q, offset, fresh);
	if (ret) {
		qcow2_meta_del(&q->meta, offset >> q->cluster_bits);
		qcow2_cache_drop(&q->l2_cache, offset, q->cluster_size);
		qcow2_free_clusters(q, offset, 1, false);
		return ret;
	}
	set_l1(q, l1_index, offset | QCOW2_COPIED);
	/* The old one is left to the others who lead to it. */
	if (old)
		qcow2_free_clusters(q, old, 1, false);
	return 0;
}

/* co. Only the refcount says whether others lead to a table: a power cut may have
 * left it without its flag, or with one too many. */
static int table_refcount(struct qcow2 *q, uint64_t table, uint64_t *refcount)
{
	int ret;

	co_mutex_lock(&q->alloc_lock);
	ret = qcow2_get_refcount(q, table >> q->cluster_bits, refcount);
	co_mutex_unlock(&q->alloc_lock);
	return ret;
}

/* co, l2_lock held. There is no table, or one without the flag. */
static int own_l2(struct qcow2 *q, uint64_t l1_index)
{
	uint64_t table = q->l1.v[l1_index] & QCOW2_L1_OFFSET, refcount = 0;
	int ret = table ? table_refcount(q, table, &refcount) : 0;

	if (ret || refcount != 1)
		return ret ? ret : replace_l2(q, l1_index);
	set_l1(q, l1_index, table | QCOW2_COPIED);
	return 0;
}

int qcow2_make_l2(struct qcow2 *q, uint64_t index)
{
	uint64_t l1_index = index >> q->l2_bits;
	int ret = 0;

	if (likely(q->l1.v[l1_index] & QCOW2_COPIED))
		return 0;
	co_mutex_lock(&q->l2_lock);
	if (!(q->l1.v[l1_index] & QCOW2_COPIED))
		ret = own_l2(q, l1_index);
	co_mutex_unlock(&q->l2_lock);
	return ret;
}

int qcow2_l2_for_write(struct qcow2 *q, uint64_t index,
		       struct qcow2_slice **slice, void **table, uint64_t *nr)
{
	uint64_t l1_index = index >> q->l2_bits;
	uint64_t in_slice = l2_index(q, index) % slice_entries(q);
	int ret = qcow2_make_l2(q, index);

	if (ret)
		return ret;
	ret = qcow2_cache_get(&q->l2_cache,
			      slice_offset(q, q->l1.v[l1_index] & QCOW2_L1_OFFSET,
					   index),
			      slice);
	if (ret)
		return ret;
	*table = (*slice)->data + (in_slice << qcow2_entry_bits(&q->h));
	*nr = slice_entries(q) - in_slice;
	return 0;
}

static void free_compressed(struct qcow2 *q, uint64_t word, bool discard)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(q->cluster_bits, word);
	uint64_t first = align_down(c.offset, q->cluster_size);
	uint64_t last = align_down(c.offset + c.len - 1, q->cluster_size);

	if (word == q->inflated_entry)
		q->inflated_entry = 0;
	qcow2_free_clusters(q, first, ((last - first) >> q->cluster_bits) + 1,
			    discard);
}

int qcow2_free_l2(struct qcow2 *q, uint64_t table, bool discard)
{
	uint64_t refcount;
	int ret = table_refcount(q, table, &refcount);

	if (ret)
		return ret;
	if (refcount <= 1) {
		qcow2_cache_drop(&q->l2_cache, table, q->cluster_size);
		qcow2_meta_del(&q->meta, table >> q->cluster_bits);
	}
	qcow2_free_clusters(q, table, 1, discard);
	return 0;
}

void qcow2_free_entry(struct qcow2 *q, struct qcow2_entry e, bool discard)
{
	if (qcow2_external(&q->h))
		return;
	if (e.word & QCOW2_COMPRESSED)
		free_compressed(q, e.word, discard);
	else if (qcow2_entry_placed(&q->h, e.word))
		qcow2_free_clusters(q, e.word & QCOW2_L2_OFFSET, 1, discard);
}
