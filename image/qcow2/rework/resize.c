/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * resize.c: another virtual size.
 *
 * Growing, in the order in which it reaches the file:
 *	1 a larger L1 table, where the old one is too short
 *	2 zeroes where the new space would show something: a longer backing
 *	  image, the rest of the last cluster, what entries beyond the end of
 *	  the disk hold (a VM state, what a crash left of the below)
 *	3 the size in the header
 * Shrinking:
 *	1 the size in the header
 *	2 entries beyond the end of the disk are cleared, clusters freed
 *	3 a shorter L1 table
 *	4 the end of the file
 * A crash in between leaves clusters beyond the end of the disk, which are
 * counted and do no harm.
 */
#include "image/qcow2/rework/rework.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/bitmap.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/l1.h"
#include "image/qcow2/core/rewrite.h"
#include "image/qcow2/data.h"
#include "image/qcow2/map.h"

/* ---- growing ---- */

/* Where [pos, ...) ends to be of one L1 entry. */
static uint64_t table_end(const struct qcow2 *q, uint64_t pos)
{
	uint32_t bits = q->cluster_bits + q->l2_bits;

	return ((pos >> bits) + 1) << bits;
}

/* co. [from, end of the disk) reads as zeroes. */
static int clear_new_space(struct image *img, uint64_t from)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t backed = img->backing ? img->backing->size : 0, end, next;
	uint64_t rest = min(align_up(from, q->cluster_size), img->size) - from;
	int ret = 0;

	if (qcow2_raw_data(&q->h))
		return image_pwrite_zeroes(img, from, img->size - from,
					   IMAGE_ZERO_UNMAP);
	if (rest)
		ret = image_pwrite_zeroes(img, from, rest, IMAGE_ZERO_UNMAP);
	for (uint64_t pos = from + rest; !ret && pos < img->size; pos = next) {
		next = min(table_end(q, pos), img->size);
		end = q->l1.v[pos >> (q->cluster_bits + q->l2_bits)] ?
			      next : min(next, max(backed, pos));
		ret = image_pwrite_zeroes(img, pos, end - pos,
					  IMAGE_ZERO_UNMAP);
	}
	return ret ? ret : qcow2_commit_all(q);
}

static int grow_disk(struct qcow2 *q, uint64_t size, struct error *err)
{
	uint64_t entries = qcow2_l1_needed(&q->h, size);
	uint64_t old = q->img->size;
	int ret;

	if (entries > QCOW2_MAX_L1_BYTES / 8)
		return error_set(err, EFBIG, "Failed to grow the L1 table: %"
				 PRIu64 " bytes are too many for clusters of %"
				 PRIu64 " bytes", size, q->cluster_size);
	ret = qcow2_resize_data(q, size, err);
	if (ret)
		return ret;
	ret = entries > q->h.l1_size ? qcow2_grow_l1(q, entries) : 0;
	if (ret)
		return error_set_errno(err, -ret, "Failed to grow the L1 table");
	q->img->size = align_down(size, SECTOR_SIZE);
	ret = clear_new_space(q->img, old);
	if (ret) {
		q->img->size = old;
		return error_set_errno(err, -ret, "Failed to zero out the new "
				       "area");
	}
	q->h.size = size;
	ret = qcow2_write_header(q);
	if (ret)
		return error_set_errno(err, -qcow2_lose(q, ret, "resizing"),
				       "Failed to update the image size");
	/* A raw data file's clusters are all allocated, as in QEMU. */
	if (!qcow2_raw_data(&q->h))
		return 0;
	return qcow2_preallocate(q->img, old, size - old,
				 IMAGE_PREALLOC_METADATA, err);
}

/* ---- shrinking ---- */

/* co. Lets go of what the entries of a table point at; they themselves stay.
 * The L1 entry that led to them is gone already. */
static int free_l2_entries(struct qcow2 *q, uint64_t table)
{
	uint64_t n = q->slice_size >> qcow2_entry_bits(&q->h);
	struct qcow2_slice *s;
	int ret;

	for (uint64_t o = 0; o < q->cluster_size; o += q->slice_size) {
		ret = qcow2_cache_get(&q->l2_cache, table + o, &s);
		if (ret)
			return ret;
		for (uint64_t i = 0; i < n; i++)
			qcow2_free_entry(q, qcow2_entry_load(&q->h, s->data, i),
					 true);
		qcow2_cache_put(s);
	}
	return 0;
}

/* co. Lets go of all that the L1 entry `i` leads to; once committed the guest
 * clusters are unallocated. */
static int drop_l1_entry(struct qcow2 *q, uint32_t i)
{
	uint64_t table = q->l1.v[i] & QCOW2_L1_OFFSET;
	int ret;

	if (!table)
		return 0;
	qcow2_table_set(&q->l1, i, 0);
	ret = free_l2_entries(q, table);
	return ret ? ret : qcow2_free_l2(q, table, true);
}

/* co. The entries of guest cluster `index` and behind it in its table. */
static int drop_rest(struct qcow2 *q, uint64_t index)
{
	uint64_t per_table = UINT64_C(1) << q->l2_bits, n;
	const struct qcow2_entry none = { 0, 0 };
	uint64_t end = align_up(index, per_table);
	struct qcow2_slice *slice;
	void *table;
	int ret;

	for (; index < end; index += n) {
		ret = qcow2_l2_for_write(q, index, &slice, &table, &n);
		if (ret)
			return ret;
		for (uint64_t i = 0; i < n; i++) {
			struct qcow2_entry e =
				qcow2_entry_load(&q->h, table, i);

			qcow2_entry_store(&q->h, table, i, none);
			qcow2_free_entry(q, e, true);
		}
		qcow2_cache_dirty(&q->l2_cache, slice);
		qcow2_cache_put(slice);
	}
	return 0;
}

/* co. All beyond the end of the disk. */
static int drop_beyond_end(struct qcow2 *q)
{
	uint64_t per_table = UINT64_C(1) << q->l2_bits;
	uint64_t index = div_round_up(q->img->size, q->cluster_size);
	uint64_t i = index >> q->l2_bits;
	int ret = 0;

	if ((index & (per_table - 1)) && q->l1.v[i])
		ret = drop_rest(q, index);
	for (i = div_round_up(index, per_table); !ret && i < q->l1.nr; i++) {
		ret = drop_l1_entry(q, (uint32_t)i);
		if (!ret)
			ret = qcow2_relieve(q);
	}
	return ret ? ret : qcow2_commit_all(q);
}

static int shrink_disk(struct qcow2 *q, uint64_t size, struct error *err)
{
	int ret;

	q->h.size = size;
	ret = qcow2_write_header(q);
	if (ret)
		return error_set_errno(err, -qcow2_lose(q, ret, "resizing"),
				       "Failed to update the image size");
	q->img->size = align_down(size, SECTOR_SIZE);
	ret = drop_beyond_end(q);
	if (!ret)
		ret = qcow2_shorten_l1(q);
	if (!ret)
		ret = qcow2_trim(q);
	if (ret)
		return error_set_errno(err, -qcow2_lose(q, ret, "shrinking"),
				       "Failed to free what was cut off");
	return qcow2_resize_data(q, size, err);
}

/* ---- both ---- */

static int validate_resize(const struct qcow2 *q, struct error *err)
{
	if (q->write_error)
		return error_set_errno(err, -q->write_error, "%s", q->img->path);
	if (q->h.version < 3 && q->h.nb_snapshots)
		return error_set(err, ENOTSUP, "Can't resize a v2 image which "
				 "has snapshots");
	return 0;
}

int qcow2_truncate(struct image *img, uint64_t size, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	int ret;

	ret = validate_resize(q, err);
	if (!ret && !is_aligned(size, SECTOR_SIZE))
		ret = error_set(err, EINVAL, "The new size must be a multiple "
				"of 512, not %" PRIu64, size);
	if (ret)
		return ret;
	ret = qcow2_begin_write(q);
	if (!ret)
		ret = qcow2_commit_all(q);
	if (ret)
		return error_set_errno(err, -ret, "resizing %s", img->path);
	ret = qcow2_bitmaps_prepare_resize(q, size, err);
	if (ret)
		return ret;
	if (size > img->size)
		qcow2_bitmaps_resize(q, size);
	ret = size < img->size ? shrink_disk(q, size, err)
			       : grow_disk(q, size, err);
	qcow2_bitmaps_resize(q, img->size);
	return ret;
}

/* ---- preallocation ---- */

/* co. Host clusters that read as zeroes, with the space that mode says. A data
 * file does not reach further than the disk. */
static int prepare_data(struct qcow2 *q, uint64_t host, uint64_t count,
			bool fresh, enum image_preallocation mode,
			struct error *err)
{
	uint64_t len = count << q->cluster_bits;
	int ret = 0;

	if (qcow2_external(&q->h))
		len = min(len, q->img->size - host);
	if (!fresh && mode != IMAGE_PREALLOC_FULL)
		ret = image_pwrite_zeroes(q->data, host, len,
					  mode == IMAGE_PREALLOC_METADATA ?
						  IMAGE_ZERO_UNMAP : 0);
	if (ret)
		return error_set_errno(err, -ret, "zeroing new clusters");
	if (mode == IMAGE_PREALLOC_METADATA)
		return 0;
	return image_preallocate(q->data, host, len, mode, err);
}

/* Encrypted clusters do not read as zeroes by being empty. */
static void mark_zero(const struct qcow2 *q, struct qcow2_entry *e)
{
	if (qcow2_extended(&q->h))
		e->bitmap = (uint64_t)QCOW2_SUBS_ALLOCATED << 32;
	else
		e->word |= QCOW2_ZERO;
}

/* co. Points guest clusters, which read as zeroes, at host clusters that do;
 * *linked of them. */
static int link_preallocated(struct qcow2 *q, uint64_t index, uint64_t count,
			     uint64_t host, uint64_t *linked)
{
	struct qcow2_slice *slice;
	struct qcow2_entry new;
	void *table;
	uint64_t n;
	int ret;

	for (*linked = 0; *linked < count; *linked += n) {
		ret = qcow2_l2_for_write(q, index + *linked, &slice, &table, &n);
		if (ret)
			return ret;
		n = min(n, count - *linked);
		for (uint64_t i = 0; i < n; i++, host += q->cluster_size) {
			qcow2_free_entry(q, qcow2_entry_load(&q->h, table, i),
					 false);
			new.word = host | QCOW2_COPIED;
			new.bitmap = QCOW2_SUBS_ALLOCATED;
			if (q->crypto)
				mark_zero(q, &new);
			qcow2_entry_store(&q->h, table, i, new);
		}
		qcow2_cache_dirty(&q->l2_cache, slice);
		qcow2_cache_put(slice);
	}
	return 0;
}

/* co. Some of the guest clusters from `index` on; *done of them. */
static int preallocate_some(struct qcow2 *q, uint64_t index, uint64_t max,
			    enum image_preallocation mode, uint64_t *done,
			    struct error *err)
{
	uint64_t host, linked = 0;
	bool fresh;
	int ret;

	ret = qcow2_writable(q, 0, 0);
	if (!ret)
		ret = qcow2_alloc_data(q, index, max, &host, done, &fresh);
	if (ret)
		return error_set_errno(err, -ret, "allocating clusters");
	ret = prepare_data(q, host, *done, fresh, mode, err);
	if (!ret) {
		ret = link_preallocated(q, index, *done, host, &linked);
		error_set_errno(ret ? err : NULL, -ret, "allocating L2 tables");
	}
	if (ret)
		qcow2_free_data(q, host + (linked << q->cluster_bits),
				*done - linked);
	q->modified++;
	return ret;
}

/* co. Within a cluster that holds something before `off`, less than a cluster:
 * the zeroes that are read there are written. Whatever the cluster was (nothing,
 * the backing image's, a snapshot's, compressed), it has a place of its own then,
 * and space there. */
static int preallocate_rest(struct image *img, uint64_t off, uint64_t len,
			    struct error *err)
{
	cleanup_free void *zeroes = calloc(1, len);
	int ret = zeroes ? image_pwrite(img, off, len, zeroes) : -ENOMEM;

	return ret ? error_set_errno(err, -ret, "allocating the cluster at the "
				     "old end") : 0;
}

int qcow2_preallocate(struct image *img, uint64_t off, uint64_t len,
		      enum image_preallocation mode, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t rest = min(len, -off & (q->cluster_size - 1));
	uint64_t index = align_up(off, q->cluster_size) >> q->cluster_bits;
	uint64_t end = div_round_up(off + len, q->cluster_size), n;
	int ret = 0;

	if (q->crypto && q->h.version < 3)
		return error_set(err, ENOTSUP, "Preallocated encrypted images "
				 "require compatibility level 1.1 or above "
				 "(use compat=v3)");
	if (rest)
		ret = preallocate_rest(img, off, rest, err);
	for (; !ret && index < end; index += n)
		ret = preallocate_some(q, index, end - index, mode, &n, err);
	if (ret)
		return ret;
	ret = qcow2_commit_all(q);
	return ret ? error_set_errno(err, -ret, "%s", img->path) : 0;
}
