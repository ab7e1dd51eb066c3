/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * open.c: loads a qcow2 image and validates it.
 *
 * The header, the refcount table and the L1 table are read into memory, every
 * entry is validated, and the clusters that hold metadata are registered. An
 * image whose tables contradict each other opens read-only at most: what is
 * sound in it can be read, and reading what is not fails.
 */

#include "config.h"

#include "image/qcow2/open.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/crypto/crypto.h"
#include "image/graph/open.h"
#include "image/qcow2/bitmap.h"
#include "image/qcow2/crypt.h"
#include "image/qcow2/snapshot.h"

/* ---- the header ---- */

static int load_header(struct image *file, struct qcow2_header *h,
		       struct error *err)
{
	cleanup_free uint8_t *buf = NULL;
	uint8_t start[512] = { 0 };
	uint64_t len = min(file->size, (uint64_t)sizeof(start));
	uint32_t bits;
	int ret;

	ret = image_pread(file, 0, sizeof(start), start);
	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	ret = qcow2_header_peek(start, len, &bits, err);
	if (ret)
		return ret;
	len = min(file->size, UINT64_C(1) << bits);
	buf = malloc(len);
	if (!buf)
		return -ENOMEM;
	ret = image_pread(file, 0, len, buf);
	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	return qcow2_header_parse(buf, len, h, err);
}

/* ---- tables ---- */

static int load_metadata_table(struct qcow2 *q, struct qcow2_table *t,
			       uint64_t entries, uint64_t offset,
			       const char *name, struct error *err)
{
	int ret = image_take(q->img, entries * 8 + qcow2_table_sectors(entries),
			     err);

	if (ret)
		return ret;
	ret = qcow2_table_init(t, entries);
	if (ret)
		return error_set_errno(err, -ret, "the %s", name);
	ret = qcow2_table_read(t, q->file, offset);
	return ret ? error_set_errno(err, -ret, "reading the %s", name) : 0;
}

/* [offset, offset + bytes) is metadata. Contradictions are -EINVAL. */
static int register_clusters(struct qcow2 *q, uint64_t offset, uint64_t bytes,
			     enum qcow2_meta type, struct error *err)
{
	uint64_t c = offset >> q->cluster_bits;
	uint64_t n = div_round_up(bytes, q->cluster_size);
	int ret;

	if (n && !range_within(offset, bytes, q->data_end))
		return error_set(err, EINVAL, "corrupt image: %s at %#" PRIx64
				 " lies beyond the end of the file (%#" PRIx64 ")",
				 qcow2_meta_name(type), offset, q->data_end);
	for (uint64_t i = 0; i < n; i++) {
		ret = qcow2_meta_add(&q->meta, c + i, type);
		if (ret == -EEXIST)
			return error_set(err, EINVAL, "corrupt image: cluster %"
					 PRIu64 " is %s and %s at once", c + i,
					 qcow2_meta_name(qcow2_meta_type(
						 &q->meta, c + i)),
					 qcow2_meta_name(type));
		if (ret)
			return ret;
	}
	return 0;
}

static int register_l2(struct qcow2 *q, uint32_t i, struct error *err)
{
	uint64_t entry = q->l1.v[i], offset = entry & QCOW2_L1_OFFSET;

	if (!entry)
		return 0;
	if (!offset || (entry & QCOW2_L1_RESERVED) ||
	    !is_aligned(offset, q->cluster_size))
		return error_set(err, EINVAL, "corrupt image: L1 entry %u is %#"
				 PRIx64 ", no cluster's offset", i, entry);
	return register_clusters(q, offset, q->cluster_size, QCOW2_META_L2, err);
}

/* Entries that the file does not hold are no entries. */
static int validate_l1_end(struct qcow2 *q, bool rdwr, struct error *err)
{
	uint64_t at = q->h.l1_table_offset, size = q->file->size;
	uint64_t there = (size - min(size, at)) / 8;

	if (there >= q->l1.nr)
		return 0;
	if (rdwr)
		return error_set(err, EINVAL, "corrupt image: the L1 table of "
				 "%u entries at %#" PRIx64 " is cut off by the "
				 "end of the file of %" PRIu64 " bytes",
				 q->l1.nr, at, size);
	for (; there < q->l1.nr; there++)
		q->l1.v[there] = QCOW2_L1_INVALID;
	return 0;
}

/* co. Memory to register the tables that both tables lead to, and those that
 * writes will make: a refcount block counts as many clusters as an L2 table has,
 * or more. */
static int reserve_registry(struct qcow2 *q, bool rdwr, struct error *err)
{
	uint64_t nr = 0, later = rdwr ? UINT64_C(2) * q->l1.nr : 0;
	int ret;

	for (uint32_t i = 0; i < q->l1.nr; i++)
		nr += q->l1.v[i] && q->l1.v[i] != QCOW2_L1_INVALID;
	for (uint32_t i = 0; i < q->reftable.nr; i++)
		nr += q->reftable.v[i] != 0;
	ret = image_take(q->img, nr * QCOW2_META_BYTES, err);
	if (ret || later <= nr)
		return ret;
	return image_take_later(q->img, (later - nr) * QCOW2_META_BYTES, err);
}

/* Read-only, an entry that is wrong is put out of use, the rest is used. */
static int register_l2_tables(struct qcow2 *q, struct error *err)
{
	int first = 0, ret;

	for (uint32_t i = 0; i < q->l1.nr; i++) {
		ret = register_l2(q, i, first ? NULL : err);
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			q->l1.v[i] = QCOW2_L1_INVALID;
		first = first ? first : ret;
	}
	return first;
}

static int register_refblocks(struct qcow2 *q, struct error *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < q->reftable.nr; i++) {
		uint64_t entry = q->reftable.v[i];

		if (!entry)
			continue;
		if ((entry & QCOW2_REFTABLE_RESERVED) || entry >> 56 ||
		    !is_aligned(entry, q->cluster_size))
			return error_set(err, EINVAL, "corrupt image: refcount "
					 "table entry %u is %#" PRIx64 ", no "
					 "cluster's offset", i, entry);
		ret = register_clusters(q, entry, q->cluster_size, QCOW2_META_REFBLOCK, err);
	}
	return ret;
}

/* Snapshots' L1 tables are read when an image is opened for writing: there is an
 * end to that, far beyond what is in use. */
#define MAX_INACTIVE_L1_BYTES GiB

static int limit_inactive(struct qcow2 *q, uint64_t l1_bytes,
			  struct error *err)
{
	q->inactive_l1_bytes += l1_bytes;
	if (q->inactive_l1_bytes > MAX_INACTIVE_L1_BYTES)
		return error_set(err, EFBIG, "the L1 tables of the snapshots "
				 "take up more than 1 GiB: read-only at most");
	return 0;
}

/* A snapshot's L2 tables: shared ones are known already. */
static int register_inactive_l2(struct qcow2 *q, const uint8_t *buf, uint64_t bytes)
{
	for (uint64_t o = 0; o + 8 <= bytes; o += 8) {
		uint64_t offset = load_be64(buf + o) & QCOW2_L1_OFFSET;
		int ret;

		if (!offset)
			continue;
		ret = qcow2_meta_add(&q->meta, offset >> q->cluster_bits,
				     QCOW2_META_INACTIVE_L2);
		if (ret && ret != -EEXIST)
			return ret;
	}
	return 0;
}

static int register_snapshot(void *arg, const struct qcow2_snapshot *sn,
			 struct error *err)
{
	struct qcow2 *q = arg;
	uint64_t bytes = (uint64_t)sn->l1_size * 8, n;
	cleanup_free uint8_t *buf = malloc(64 * KiB);
	int ret;

	if (!buf)
		return -ENOMEM;
	if (bytes > QCOW2_MAX_L1_BYTES ||
	    !is_aligned(sn->l1_offset, q->cluster_size))
		return error_set(err, EINVAL, "corrupt image: snapshot '%.100s' "
				 "has an L1 table of %" PRIu64 " bytes at %#"
				 PRIx64, sn->info.name, bytes, sn->l1_offset);
	ret = limit_inactive(q, bytes, err);
	if (!ret)
		ret = register_clusters(q, sn->l1_offset, bytes, QCOW2_META_INACTIVE_L1,
			   err);
	for (uint64_t o = 0; !ret && o < bytes; o += n) {
		uint64_t before = q->meta.nr;

		n = min(bytes - o, 64 * KiB);
		ret = image_pread(q->file, sn->l1_offset + o, n, buf);
		if (!ret)
			ret = register_inactive_l2(q, buf, n);
		if (!ret)
			ret = image_take(q->img, (q->meta.nr - before) *
						 QCOW2_META_BYTES, err);
	}
	return ret;
}

static int register_snapshots(struct qcow2 *q, struct error *err)
{
	uint64_t bytes;
	int ret;

	if (!q->h.nb_snapshots)
		return 0;
	ret = qcow2_for_each_snapshot(q->file, &q->h, register_snapshot, q,
				      &bytes, err);
	return ret ? ret : register_clusters(q, q->h.snapshots_offset, bytes,
					     QCOW2_META_SNAPSHOTS, err);
}

/* Every table of the image; refuses those that overlap. */
static int register_metadata(struct qcow2 *q, struct error *err)
{
	int ret;

	ret = register_clusters(q, 0, q->cluster_size, QCOW2_META_HEADER, err);
	if (!ret)
		ret = register_clusters(q, q->h.l1_table_offset,
					(uint64_t)q->h.l1_size * 8,
					QCOW2_META_L1, err);
	if (!ret)
		ret = register_clusters(q, q->h.refcount_table_offset,
					(uint64_t)q->reftable.nr * 8,
					QCOW2_META_REFTABLE, err);
	if (!ret)
		ret = register_refblocks(q, err);
	if (!ret && q->h.has_crypto)
		ret = register_clusters(q, q->h.crypto_offset,
					q->h.crypto_length, QCOW2_META_CRYPTO,
					err);
	if (!ret && q->h.has_bitmaps &&
	    (q->h.autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		ret = register_clusters(q, q->h.bitmap_dir_offset,
					q->h.bitmap_dir_size,
					QCOW2_META_BITMAPS, err);
	return ret;
}

static int load_metadata(struct qcow2 *q, struct error *err)
{
	bool rdwr = q->img->flags & IMAGE_RDWR;
	int ret, l2;

	ret = load_metadata_table(q, &q->l1, q->h.l1_size, q->h.l1_table_offset,
				  "L1 table", err);
	image_event(q->file, IMAGE_EVENT_REFTABLE_LOAD);
	if (!ret)
		ret = load_metadata_table(
			q, &q->reftable,
			((uint64_t)q->h.refcount_table_clusters
			 << q->cluster_bits) /
				8,
			q->h.refcount_table_offset, "refcount table", err);
	if (!ret)
		ret = validate_l1_end(q, rdwr, err);
	if (!ret)
		ret = reserve_registry(q, rdwr, err);
	if (ret)
		return ret;
	ret = register_metadata(q, rdwr ? err : NULL);
	if (ret && (rdwr || ret == -ENOMEM))
		return ret;
	l2 = register_l2_tables(q, rdwr ? err : NULL);
	if (l2 && (rdwr || l2 == -ENOMEM))
		return l2;
	ret = rdwr ? register_snapshots(q, err) : 0;
	return ret || !rdwr ? ret : qcow2_bitmaps_open(q, err);
}

/* ---- opening ---- */

static int validate_support(const struct qcow2 *q, struct error *err)
{
#ifndef HAVE_LIBZSTD
	if (q->h.compression_type == QCOW2_COMPRESSION_ZSTD)
		return error_set(err, ENOTSUP, "built without zstd, which this "
				 "image is compressed with");
#endif
	if (!q->h.refcount_table_clusters)
		return error_set(err, EINVAL, "the image has no refcount table: "
				 "xdisk check -r all can make one");
	return 0;
}

static void set_geometry(struct qcow2 *q)
{
	q->cluster_bits = q->h.cluster_bits;
	q->cluster_size = qcow2_cluster_size(&q->h);
	q->sub_bits = qcow2_sub_bits(&q->h);
	q->sub_size = UINT64_C(1) << q->sub_bits;
	q->l2_bits = qcow2_l2_bits(&q->h);
	q->refblock_bits = qcow2_refblock_bits(&q->h);
	q->slice_size = (uint32_t)min(q->cluster_size,
				      (uint64_t)QCOW2_SLICE_MAX);
	q->file_length = q->file->size;
	q->data_end = align_up(q->file->size, q->cluster_size);
	q->fresh_from = q->data_end;
	/* QEMU's disks are whole sectors: the rest is cut off. */
	q->img->size = align_down(q->h.size, SECTOR_SIZE);
	q->img->limits = q->file->limits;
	q->img->limits.discard = true;
	q->img->limits.discard_granularity = (uint32_t)q->cluster_size;
}

int qcow2_open_header(struct qcow2 *q, struct error *err)
{
	int ret;

	qcow2_header_free(&q->h);
	ret = load_header(q->file, &q->h, err);
	if (!ret)
		set_geometry(q);
	return ret;
}

static int validate_entry_size(const struct qcow2 *q, uint64_t bytes,
			       struct error *err)
{
	if (!bytes || (is_pow2(bytes) && bytes >= 512 &&
		       bytes <= q->cluster_size))
		return 0;
	return error_set(err, EINVAL, "L2 cache entry size must be a power of "
			 "two between 512 and the cluster size (%" PRIu64 ")",
			 q->cluster_size);
}

/* No cache is larger than what there is to cache. */
static int init_caches(struct qcow2 *q, const struct image_options *opts)
{
	uint64_t l2 = opts->l2_cache_size ? opts->l2_cache_size :
					    QCOW2_L2_CACHE_DEFAULT;
	uint64_t refs = opts->refcount_cache_size ? opts->refcount_cache_size :
						    QCOW2_REFCOUNT_CACHE_DEFAULT;
	int ret;

	ret = qcow2_cache_init(&q->l2_cache, q->file, q->slice_size, l2);
	if (!ret)
		ret = qcow2_cache_init(&q->ref_cache, q->file, q->slice_size,
				       refs);
	if (!ret)
		ret = qcow2_meta_init(&q->meta);
	q->l2_cache.img = q->img;
	q->l2_cache.loads = IMAGE_EVENT_L2_LOAD;
	q->ref_cache.loads = IMAGE_EVENT_REFBLOCK_LOAD;
	return ret;
}

int qcow2_open_tables(struct qcow2 *q, const struct image_options *opts,
		      struct error *err)
{
	int ret = validate_support(q, err);

	if (!ret)
		ret = validate_entry_size(q, opts->l2_cache_entry_size, err);
	if (!ret)
		ret = qcow2_crypt_open(q, opts->node, err);
	if (!ret)
		ret = init_caches(q, opts);
	if (!ret)
		ret = load_metadata(q, err);
	return ret;
}

int qcow2_name_backing(struct qcow2 *q)
{
	if (!q->h.backing_file || (q->img->flags & IMAGE_NO_BACKING))
		return 0;
	return image_name_backing(q->img, q->h.backing_file,
				  q->h.backing_format);
}

void qcow2_deinit(struct qcow2 *q)
{
	qcow2_bitmaps_free(q);
	qcow2_cache_deinit(&q->l2_cache);
	qcow2_cache_deinit(&q->ref_cache);
	qcow2_meta_deinit(&q->meta);
	qcow2_header_free(&q->h);
	qcow2_table_free(&q->l1);
	qcow2_table_free(&q->reftable);
	free(q->free_runs);
	free(q->freed.v);
	free(q->inflated);
	crypto_free(q->crypto);
}
