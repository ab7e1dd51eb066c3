/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * zero.c: zeroes and discards.
 *
 * Both change L2 entries alone where they can: whole clusters, and where the
 * image has them whole subclusters, get the zero flag. What is left at the ends
 * of a range of zeroes is written; a discard leaves it as it is. Only a whole
 * cluster, or the last subclusters that were left of one, can give space back.
 *
 * In a compressed cluster no part can be zero by itself: it is written, too.
 */
#include "image/qcow2/zero.h"

#include <errno.h>

#include "image/qcow2/begin.h"
#include "image/qcow2/data.h"
#include "image/qcow2/io.h"
#include "image/qcow2/map.h"
#include "image/qcow2/request.h"

/* Clusters cleared at a time: a commit, of many requests at once, before all that
 * they change is held in memory, other requests and the end of it all must be able
 * to come between. */
#define CLEAR_AT_ONCE 1024

enum clear_how {
	CLEAR_KEEP,	/* reads as zeroes, keeps its space */
	CLEAR_FREE,	/* reads as zeroes, gives its space back */
	CLEAR_HINT,	/* the same where no data has to be written for it */
};

/* ---- entries ---- */

/* A cluster that is all zeroes and takes no space. */
static struct qcow2_entry no_cluster(const struct qcow2 *q)
{
	if (qcow2_extended(&q->h))
		return (struct qcow2_entry){ 0, QCOW2_SUBS_ZERO };
	return (struct qcow2_entry){ q->h.version >= 3 ? QCOW2_ZERO : 0, 0 };
}

/* Whoever writes zeroes wants to find them there, whatever backing file the image
 * has one day; a discard only has to hide the one it has. */
static bool stays(const struct qcow2 *q, struct qcow2_entry old,
		  enum clear_how how)
{
	return how == CLEAR_HINT && !(old.word | old.bitmap) &&
	       !q->img->backing;
}

/* What a whole cluster's entry becomes; the old one where it may stay. */
static struct qcow2_entry cleared(const struct qcow2 *q,
				  struct qcow2_entry old, enum clear_how how)
{
	bool placed = !(old.word & QCOW2_COMPRESSED) &&
		      qcow2_entry_placed(&q->h, old.word);

	if (stays(q, old, how))
		return old;
	if (!placed || how != CLEAR_KEEP || !(old.word & QCOW2_COPIED))
		return no_cluster(q);
	if (qcow2_extended(&q->h))
		old.bitmap = QCOW2_SUBS_ZERO;
	else
		old.word |= QCOW2_ZERO;
	return old;
}

/* The same for some subclusters of a cluster that is not compressed. */
static struct qcow2_entry cleared_subs(const struct qcow2 *q,
				       struct qcow2_entry old, uint64_t subs,
				       enum clear_how how)
{
	struct qcow2_entry new = old;

	if (stays(q, old, how))
		return old;
	new.bitmap = (old.bitmap | subs << 32) & ~subs;
	if (new.bitmap & QCOW2_SUBS_ALLOCATED ||
	    (how == CLEAR_KEEP && old.word & QCOW2_COPIED))
		return new;
	new.word = 0;
	return new;
}

static void change_entry(struct qcow2 *q, struct qcow2_slice *slice,
			 void *table, uint64_t i, struct qcow2_entry new,
			 enum clear_how how)
{
	struct qcow2_entry old = qcow2_entry_load(&q->h, table, i);
	bool discard = how != CLEAR_KEEP && (q->img->flags & IMAGE_UNMAP);

	if (qcow2_entry_equal(old, new))
		return;
	qcow2_entry_store(&q->h, table, i, new);
	qcow2_cache_dirty(&q->l2_cache, slice);
	if (old.word & QCOW2_COMPRESSED ||
	    !qcow2_entry_placed(&q->h, new.word))
		qcow2_free_entry(q, old, discard);
}

/* ---- whole clusters ---- */

/* co. No L2 table, and none that has to be made. *n clusters. */
static bool nothing_there(const struct qcow2 *q, uint64_t index,
			  enum clear_how how, uint64_t *n)
{
	uint64_t per_table = UINT64_C(1) << q->l2_bits;

	if (q->l1.v[index >> q->l2_bits] ||
	    !(stays(q, (struct qcow2_entry){ 0 }, how) || q->h.version < 3))
		return false;
	*n = per_table - (index & (per_table - 1));
	return true;
}

static void clear_entries(struct qcow2 *q, struct qcow2_slice *slice,
			  void *table, uint64_t n, enum clear_how how)
{
	for (uint64_t i = 0; i < n; i++) {
		struct qcow2_entry old = qcow2_entry_load(&q->h, table, i);

		change_entry(q, slice, table, i, cleared(q, old, how), how);
	}
}

static int clear_clusters(struct qcow2 *q, uint64_t index, uint64_t count,
			  enum clear_how how)
{
	struct qcow2_slice *slice;
	void *table;
	uint64_t n;
	int ret;

	while (count) {
		if (!nothing_there(q, index, how, &n)) {
			ret = qcow2_l2_for_write(q, index, &slice, &table, &n);
			if (ret)
				return ret;
			n = min(n, count);
			if (qcow2_alloc_wait(q, index, index + n - 1)) {
				qcow2_cache_put(slice);
				continue;
			}
			clear_entries(q, slice, table, n, how);
			qcow2_cache_put(slice);
		} else {
			n = min(n, count);
			if (qcow2_alloc_wait(q, index, index + n - 1))
				continue;
		}
		index += n;
		count -= n;
	}
	return 0;
}

/* ---- parts of clusters ---- */

/* co. The pinned slice with the entry of guest cluster `index`, which nobody else
 * is changing. */
static int entry_for_write(struct qcow2 *q, uint64_t index,
			   struct qcow2_slice **slice, void **table)
{
	uint64_t n;
	int ret;

	for (;;) {
		ret = qcow2_l2_for_write(q, index, slice, table, &n);
		if (ret || !qcow2_alloc_wait(q, index, index))
			return ret;
		qcow2_cache_put(*slice);
	}
}

/* co. Whole subclusters, of one cluster. -EAGAIN: it cannot be done so. */
static int clear_subs(struct qcow2 *q, uint64_t off, uint64_t len,
		      enum clear_how how)
{
	uint64_t index = off >> q->cluster_bits, n;
	uint64_t first = (off & (q->cluster_size - 1)) >> q->sub_bits;
	uint64_t subs = qcow2_subs((unsigned int)first,
				   (unsigned int)(first + (len >> q->sub_bits)));
	struct qcow2_slice *slice;
	struct qcow2_entry old;
	void *table;
	int ret;

	while (nothing_there(q, index, how, &n))
		if (!qcow2_alloc_wait(q, index, index))
			return 0;
	ret = entry_for_write(q, index, &slice, &table);
	if (ret)
		return ret;
	old = qcow2_entry_load(&q->h, table, 0);
	if (old.word & QCOW2_COMPRESSED)
		ret = -EAGAIN;
	else
		change_entry(q, slice, table, 0,
			     cleared_subs(q, old, subs, how), how);
	qcow2_cache_put(slice);
	return ret;
}

/* ---- parts of subclusters ---- */

static bool holds_data(enum qcow2_kind kind)
{
	return kind == QCOW2_NORMAL || kind == QCOW2_COMPRESSED_CLUSTER;
}

/* co. The subcluster at `off`, if it has no data of its own; else -EAGAIN. */
static int clear_unwritten(struct qcow2 *q, uint64_t off)
{
	uint64_t index = off >> q->cluster_bits;
	unsigned int sub = (unsigned int)((off & (q->cluster_size - 1)) >>
					  q->sub_bits);
	struct qcow2_slice *slice;
	struct qcow2_entry old, new;
	void *table;
	int ret = entry_for_write(q, index, &slice, &table);

	if (ret)
		return ret;
	old = qcow2_entry_load(&q->h, table, 0);
	if (holds_data(qcow2_entry_kind(&q->h, old, sub))) {
		ret = -EAGAIN;
	} else {
		new = qcow2_extended(&q->h) ?
			      cleared_subs(q, old, qcow2_subs(sub, sub + 1),
					   CLEAR_KEEP) :
			      cleared(q, old, CLEAR_KEEP);
		change_entry(q, slice, table, 0, new, CLEAR_KEEP);
	}
	qcow2_cache_put(slice);
	return ret;
}

/* co. Is it known without reading that the range is zero? */
static bool known_zero(struct qcow2 *q, uint64_t off, uint64_t len)
{
	struct image_extent e;

	for (; len; off += e.length, len -= e.length)
		if (image_block_status_chain(q->img, off, len, &e) ||
		    !(e.flags & IMAGE_EXTENT_ZERO))
			return false;
	return true;
}

/* co. Within a subcluster: at most 2 MiB. */
static int write_zero_bytes(struct qcow2 *q, uint64_t off, uint64_t len)
{
	static const char zeroes[64 * KiB];
	struct iovec iov[2 * MiB / sizeof(zeroes)];
	int n = 0;

	for (uint64_t left = len; left; left -= iov[n++].iov_len)
		iov[n] = (struct iovec){ (void *)zeroes,
					 min(left, sizeof(zeroes)) };
	return qcow2_write_range(q, off, len, iow_of(iov, n));
}

/* co. Part of a subcluster that was mapped so. When the rest of it is zero, too,
 * the whole can be. */
static int zero_within(struct qcow2 *q, const struct qcow2_mapping *m,
		       uint64_t off, uint64_t len)
{
	uint64_t start = align_down(off, q->sub_size);
	uint64_t end = min(start + q->sub_size, q->img->size);
	int ret;

	if (!holds_data(m->kind) && q->h.version >= 3 &&
	    known_zero(q, start, off - start) &&
	    known_zero(q, off + len, end - off - len)) {
		ret = clear_unwritten(q, start);
		if (ret != -EAGAIN)
			return ret;
	} else if (qcow2_reads_zero(q, m, off)) {
		return 0;
	}
	return write_zero_bytes(q, off, len);
}

/* co. Within a cluster. */
static int write_zero_clusters(struct qcow2 *q, uint64_t off, uint64_t len)
{
	uint64_t index = off >> q->cluster_bits, n;
	struct qcow2_mapping m;
	int ret = 0;

	for (; !ret && len; off += n, len -= n) {
		n = min(len, q->sub_size - (off & (q->sub_size - 1)));
		do {
			ret = qcow2_lookup(q, off, n, &m);
		} while (!ret && qcow2_alloc_wait(q, index, index));
		if (!ret)
			ret = zero_within(q, &m, off, n);
	}
	return ret;
}

/* co. [off, off + len) lies within a cluster and is less. The disk's last
 * subcluster counts as whole. What is written comes first: a compressed cluster
 * is none afterwards. */
static int zero_part(struct qcow2 *q, uint64_t off, uint64_t len,
		     enum clear_how how)
{
	uint64_t first = align_up(off, q->sub_size), stop = off + len;
	uint64_t end = stop == q->img->size ? align_up(stop, q->sub_size) :
					      align_down(stop, q->sub_size);
	bool may_write = how != CLEAR_HINT;
	int ret = 0;

	if (first >= end)
		return may_write ? write_zero_clusters(q, off, len) : 0;
	if (may_write)
		ret = write_zero_clusters(q, off, first - off);
	if (!ret && may_write && end < stop)
		ret = write_zero_clusters(q, end, stop - end);
	if (!ret)
		ret = clear_subs(q, first, end - first, how);
	if (ret == -EAGAIN)
		ret = may_write ? write_zero_clusters(q, first,
						      min(end, stop) - first)
				: 0;
	return ret;
}

/* ---- ranges ---- */

/* The whole clusters in a range; the disk's last one counts as whole. */
static void whole_clusters(const struct qcow2 *q, uint64_t off, uint64_t len,
			   uint64_t *first, uint64_t *end)
{
	uint64_t stop = off + len;

	if (stop == q->img->size)
		stop = align_up(stop, q->cluster_size);
	*first = align_up(off, q->cluster_size) >> q->cluster_bits;
	*end = stop >> q->cluster_bits;
}

static int zero_range(struct qcow2 *q, uint64_t off, uint64_t len,
		      enum clear_how how)
{
	uint64_t first, end, head, tail;
	int ret;

	whole_clusters(q, off, len, &first, &end);
	if (first >= end) {
		head = min(len, -off & (q->cluster_size - 1));
		ret = zero_part(q, off, head, how);
		return ret ? ret : zero_part(q, off + head, len - head, how);
	}
	head = (first << q->cluster_bits) - off;
	tail = off + len > end << q->cluster_bits ?
		       off + len - (end << q->cluster_bits) : 0;
	ret = zero_part(q, off, head, how);
	if (!ret)
		ret = zero_part(q, off + len - tail, tail, how);
	return ret ? ret : clear_clusters(q, first, end - first, how);
}

/* co. The data file's part in it, before any entry says that there are zeroes:
 * a raw one holds them, and that is all; of another one the space is given
 * back. False: no entry has to change. */
static bool zero_data_first(struct qcow2 *q, uint64_t off, uint64_t len,
			    enum clear_how how, int *ret)
{
	unsigned int flags = how == CLEAR_KEEP ? 0 : IMAGE_ZERO_UNMAP;
	bool raw = qcow2_raw_data(&q->h);

	*ret = 0;
	if (!qcow2_external(&q->h) || q->crypto)
		return true;
	if (how == CLEAR_HINT || !raw)
		flags |= IMAGE_ZERO_FAST;
	if (raw || (how != CLEAR_KEEP && (q->img->flags & IMAGE_UNMAP)))
		*ret = qcow2_zero_data(q, off, len, flags);
	return !raw && !*ret;
}

/* co. zero_range() in pieces, each a request of its own: the whole disk would
 * make all its L2 tables dirty at once. */
static int clear_pieces(struct qcow2 *q, uint64_t off, uint64_t len,
			enum clear_how how)
{
	uint64_t piece = (uint64_t)CLEAR_AT_ONCE << q->cluster_bits, n;
	struct qcow2_request r;
	int ret = 0;

	for (; !ret && len; off += n, len -= n) {
		n = min(len, piece - (off & (piece - 1)));
		ret = image_cancelled(q->img);
		if (!ret)
			ret = qcow2_writable(q, off, n);
		if (ret)
			break;
		qcow2_request_begin(q, &r);
		if (zero_data_first(q, off, n, how, &ret))
			ret = zero_range(q, off, n, how);
		qcow2_request_end(&r);
		q->modified++;
		if (n < len)
			loop_give_way(q->img->loop);
	}
	return ret;
}

/* ---- verbs ---- */

int qcow2_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags)
{
	struct qcow2 *q = qcow2_of(img);
	bool unmap = flags & IMAGE_ZERO_UNMAP;

	/* Version 2 has no zero clusters: only what nobody backs can go. */
	if (q->h.version < 3 && (img->backing || !unmap))
		return -EOPNOTSUPP;
	return clear_pieces(q, off, len, unmap ? CLEAR_FREE : CLEAR_KEEP);
}

int qcow2_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(img);

	if (q->h.version < 3 && img->backing)
		return 0;
	return clear_pieces(q, off, len, CLEAR_HINT);
}
