/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2.c: opens and closes qcow2 images; the driver's table.
 *
 * Opening reads the header, the refcount table and the L1 table into memory,
 * judges every entry, and notes which clusters hold metadata. An image whose
 * tables contradict each other opens read-only at most: what is sound in it
 * can be read, and reading what is not fails.
 */
#include "config.h"

#include "image/qcow2/qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "image/crypto/crypto.h"
#include "image/open.h"
#include "image/parts.h"
#include "image/qcow2/rework/amend.h"
#include "image/qcow2/bitmap.h"
#include "image/qcow2/io.h"
#include "image/qcow2/rework/compact.h"
#include "image/qcow2/rework/resize.h"
#include "image/qcow2/snapshot.h"
#include "image/qcow2/rework/tools.h"

/* ---- the header ---- */

static int read_header(struct image *file, struct qcow2_header *h,
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

/* co. The fixed fields in place; extensions and names stay as they are. */
int qcow2_write_header(struct qcow2 *q)
{
	uint8_t buf[QCOW2_V3_HEADER_LENGTH];
	uint32_t len = q->h.version >= 3 ? QCOW2_V3_HEADER_LENGTH :
					   QCOW2_V2_HEADER_LENGTH;
	int ret;

	ret = image_pread(q->file, 0, len, buf);
	if (ret)
		return ret;
	store_be64(buf + QCOW2_OFF_SIZE, q->h.size);
	store_be32(buf + QCOW2_OFF_L1, q->h.l1_size);
	store_be64(buf + QCOW2_OFF_L1 + 4, q->h.l1_table_offset);
	store_be64(buf + QCOW2_OFF_REFTABLE, q->h.refcount_table_offset);
	store_be32(buf + QCOW2_OFF_REFTABLE + 8, q->h.refcount_table_clusters);
	store_be32(buf + QCOW2_OFF_SNAPSHOTS, q->h.nb_snapshots);
	store_be64(buf + QCOW2_OFF_SNAPSHOTS + 4, q->h.snapshots_offset);
	if (q->h.version >= 3) {
		store_be64(buf + QCOW2_OFF_INCOMPAT, q->h.incompat);
		store_be64(buf + QCOW2_OFF_AUTOCLEAR, q->h.autoclear);
	}
	ret = image_pwrite(q->file, 0, len, buf);
	return ret ? ret : qcow2_barrier(q);
}

/* ---- tables ---- */

static int load_table(struct qcow2 *q, const char *name, uint64_t offset,
		      uint64_t entries, uint64_t **table, uint8_t **dirty,
		      struct error *err)
{
	int ret = image_take(q->img, entries * 8 + entries / 64, err);

	if (ret)
		return ret;
	*table = malloc(max(entries * 8, UINT64_C(8)));
	*dirty = calloc(1, entries / 64 + 1);
	if (!*table || !*dirty)
		return error_set_errno(err, ENOMEM, "the %s", name);
	if (entries)
		ret = image_pread(q->file, offset, entries * 8, *table);
	if (ret)
		return error_set_errno(err, -ret, "reading the %s", name);
	for (uint64_t i = 0; i < entries; i++)
		(*table)[i] = load_be64(&(*table)[i]);
	return 0;
}

/* Notes [offset, offset + bytes) as metadata. Contradictions are -EINVAL. */
static int note(struct qcow2 *q, uint64_t offset, uint64_t bytes,
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

static int note_l2(struct qcow2 *q, uint32_t i, struct error *err)
{
	uint64_t entry = q->l1[i], offset = entry & QCOW2_L1_OFFSET;

	if (!entry)
		return 0;
	if (!offset || (entry & QCOW2_L1_RESERVED) ||
	    !is_aligned(offset, q->cluster_size))
		return error_set(err, EINVAL, "corrupt image: L1 entry %u is %#"
				 PRIx64 ", no cluster's offset", i, entry);
	return note(q, offset, q->cluster_size, QCOW2_META_L2, err);
}

/* Entries that the file does not hold are no entries. */
static int judge_l1_end(struct qcow2 *q, bool rdwr, struct error *err)
{
	uint64_t at = q->h.l1_table_offset, size = q->file->size;
	uint64_t there = (size - min(size, at)) / 8;

	if (there >= q->h.l1_size)
		return 0;
	if (rdwr)
		return error_set(err, EINVAL, "corrupt image: the L1 table of "
				 "%u entries at %#" PRIx64 " is cut off by the "
				 "end of the file of %" PRIu64 " bytes",
				 q->h.l1_size, at, size);
	for (; there < q->h.l1_size; there++)
		q->l1[there] = QCOW2_L1_INVALID;
	return 0;
}

/* co. For what is going to be noted of tables that two tables lead to. */
static int take_notes(struct qcow2 *q, struct error *err)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < q->h.l1_size; i++)
		nr += q->l1[i] && q->l1[i] != QCOW2_L1_INVALID;
	for (uint32_t i = 0; i < q->reftable_entries; i++)
		nr += q->reftable[i] != 0;
	return image_take(q->img, nr * QCOW2_META_BYTES, err);
}

/* Read-only, an entry that is wrong is put out of use, the rest is used. */
static int note_l2_tables(struct qcow2 *q, struct error *err)
{
	int first = 0, ret;

	for (uint32_t i = 0; i < q->h.l1_size; i++) {
		ret = note_l2(q, i, first ? NULL : err);
		if (ret == -ENOMEM)
			return ret;
		if (ret)
			q->l1[i] = QCOW2_L1_INVALID;
		first = first ? first : ret;
	}
	return first;
}

static int note_refblocks(struct qcow2 *q, struct error *err)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < q->reftable_entries; i++) {
		uint64_t entry = q->reftable[i];

		if (!entry)
			continue;
		if ((entry & QCOW2_REFTABLE_RESERVED) || entry >> 56 ||
		    !is_aligned(entry, q->cluster_size))
			return error_set(err, EINVAL, "corrupt image: refcount "
					 "table entry %u is %#" PRIx64 ", no "
					 "cluster's offset", i, entry);
		ret = note(q, entry, q->cluster_size, QCOW2_META_REFBLOCK, err);
	}
	return ret;
}

/* Snapshots' L1 tables are read when an image is opened for writing: there is an
 * end to that, far beyond what is in use. */
#define MAX_INACTIVE_L1_BYTES GiB

static int judge_inactive(struct qcow2 *q, uint64_t l1_bytes,
			  struct error *err)
{
	q->inactive_l1_bytes += l1_bytes;
	if (q->inactive_l1_bytes > MAX_INACTIVE_L1_BYTES)
		return error_set(err, EFBIG, "the L1 tables of the snapshots "
				 "take up more than 1 GiB: read-only at most");
	return 0;
}

/* A snapshot's L2 tables: shared ones are known already. */
static int note_inactive_l2(struct qcow2 *q, const uint8_t *buf, uint64_t bytes)
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

static int note_snapshot(void *arg, const struct qcow2_snapshot *sn,
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
	ret = judge_inactive(q, bytes, err);
	if (!ret)
		ret = note(q, sn->l1_offset, bytes, QCOW2_META_INACTIVE_L1,
			   err);
	for (uint64_t o = 0; !ret && o < bytes; o += n) {
		uint64_t before = q->meta.nr;

		n = min(bytes - o, 64 * KiB);
		ret = image_pread(q->file, sn->l1_offset + o, n, buf);
		if (!ret)
			ret = note_inactive_l2(q, buf, n);
		if (!ret)
			ret = image_take(q->img, (q->meta.nr - before) *
						 QCOW2_META_BYTES, err);
	}
	return ret;
}

static int note_snapshots(struct qcow2 *q, struct error *err)
{
	uint64_t bytes;
	int ret;

	if (!q->h.nb_snapshots)
		return 0;
	ret = qcow2_for_each_snapshot(q->file, &q->h, note_snapshot, q, &bytes,
				      err);
	return ret ? ret : note(q, q->h.snapshots_offset, bytes,
				QCOW2_META_SNAPSHOTS, err);
}

/* Every table of the image; refuses those that overlap. */
static int note_metadata(struct qcow2 *q, struct error *err)
{
	int ret;

	ret = note(q, 0, q->cluster_size, QCOW2_META_HEADER, err);
	if (!ret)
		ret = note(q, q->h.l1_table_offset, (uint64_t)q->h.l1_size * 8,
			   QCOW2_META_L1, err);
	if (!ret)
		ret = note(q, q->h.refcount_table_offset,
			   (uint64_t)q->reftable_entries * 8,
			   QCOW2_META_REFTABLE, err);
	if (!ret)
		ret = note_refblocks(q, err);
	if (!ret && q->h.has_crypto)
		ret = note(q, q->h.crypto_offset, q->h.crypto_length,
			   QCOW2_META_CRYPTO, err);
	if (!ret && q->h.has_bitmaps &&
	    (q->h.autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		ret = note(q, q->h.bitmap_dir_offset, q->h.bitmap_dir_size,
			   QCOW2_META_BITMAPS, err);
	return ret;
}

static int load_metadata(struct qcow2 *q, struct error *err)
{
	bool rdwr = q->img->flags & IMAGE_RDWR;
	int ret, l2;

	q->reftable_entries = (uint32_t)(((uint64_t)q->h.refcount_table_clusters
					  << q->cluster_bits) / 8);
	ret = load_table(q, "L1 table", q->h.l1_table_offset, q->h.l1_size,
			 &q->l1, &q->l1_dirty, err);
	image_event(q->file, IMAGE_EVENT_REFTABLE_LOAD);
	if (!ret)
		ret = load_table(q, "refcount table",
				 q->h.refcount_table_offset,
				 q->reftable_entries, &q->reftable,
				 &q->reftable_dirty, err);
	if (!ret)
		ret = judge_l1_end(q, rdwr, err);
	if (!ret)
		ret = take_notes(q, err);
	if (ret)
		return ret;
	ret = note_metadata(q, rdwr ? err : NULL);
	if (ret && (rdwr || ret == -ENOMEM))
		return ret;
	l2 = note_l2_tables(q, rdwr ? err : NULL);
	if (l2 && (rdwr || l2 == -ENOMEM))
		return l2;
	ret = rdwr ? note_snapshots(q, err) : 0;
	return ret || !rdwr ? ret : qcow2_bitmaps_open(q, err);
}

/* ---- opening ---- */

static int judge_support(const struct qcow2 *q, struct error *err)
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

static int reload_header(struct qcow2 *q, struct error *err)
{
	qcow2_header_free(&q->h);
	return read_header(q->file, &q->h, err);
}

/* A dirty or corrupt image and somebody who wants to write to it. */
static int judge_state(struct qcow2 *q, struct error *err)
{
	int ret;

	if (!(q->img->flags & IMAGE_RDWR) || (q->img->flags & IMAGE_REPAIR))
		return 0;
	if (q->h.incompat & QCOW2_INCOMPAT_CORRUPT)
		return error_set(err, EACCES, "the image is marked corrupt and "
				 "cannot be opened for writing (xdisk check -r "
				 "all may mend it)");
	if (!(q->h.incompat & QCOW2_INCOMPAT_DIRTY))
		return 0;
	log_info("%s: was not closed cleanly: repairing its refcounts",
		 q->img->path);
	ret = qcow2_repair_dirty(q->img, &q->h, err);
	if (!ret)
		ret = reload_header(q, err);
	if (!ret)
		set_geometry(q);
	return ret;
}

static int name_backing(struct qcow2 *q)
{
	if (!q->h.backing_file || (q->img->flags & IMAGE_NO_BACKING))
		return 0;
	return image_name_backing(q->img, q->h.backing_file,
				  q->h.backing_format);
}

static int judge_entry_size(const struct qcow2 *q, uint64_t bytes,
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
	q->l2_cache.loads = IMAGE_EVENT_L2_LOAD;
	q->ref_cache.loads = IMAGE_EVENT_REFBLOCK_LOAD;
	return ret;
}

static void deinit(struct qcow2 *q)
{
	qcow2_bitmaps_free(q);
	qcow2_cache_deinit(&q->l2_cache);
	qcow2_cache_deinit(&q->ref_cache);
	qcow2_meta_deinit(&q->meta);
	qcow2_header_free(&q->h);
	free(q->l1);
	free(q->l1_dirty);
	free(q->reftable);
	free(q->reftable_dirty);
	free(q->free_runs);
	free(q->freed.v);
	free(q->inflated);
	crypto_free(q->crypto);
}

static int open_named(struct qcow2 *q, struct error *err)
{
	int ret = qcow2_open_data_file(q, err);

	return ret ? ret : name_backing(q);
}

static int open_tables(struct qcow2 *q, const struct image_options *opts,
		       struct error *err)
{
	int ret;

	ret = judge_state(q, err);
	/* Repair reads the tables for itself. */
	if (ret || (q->img->flags & IMAGE_REPAIR))
		return ret;
	ret = judge_support(q, err);
	if (!ret)
		ret = judge_entry_size(q, opts->l2_cache_entry_size, err);
	if (!ret)
		ret = qcow2_crypt_open(q, opts->node, err);
	if (!ret)
		ret = init_caches(q, opts);
	if (!ret)
		ret = load_metadata(q, err);
	return ret ? ret : open_named(q, err);
}

static int qcow2_open(struct image *img, const struct image_options *opts,
		      struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	int ret;

	q->img = img;
	q->file = q->data = img->file;
	list_init(&q->requests);
	list_init(&q->allocs);
	q->compression_level = opts->compression_level;
	co_mutex_init(&q->bytes_lock);
	co_mutex_init(&q->alloc_lock);
	co_mutex_init(&q->l2_lock);
	co_mutex_init(&q->commit_lock);
	co_mutex_init(&q->begin_lock);
	ret = read_header(q->file, &q->h, err);
	if (ret)
		return ret;
	set_geometry(q);
	if (opts->snapshot)
		ret = qcow2_show_snapshot(q, opts->snapshot, err);
	if (!ret && qcow2_external(&q->h))
		ret = image_judge_data_file(img, q->h.data_file, err);
	if (!ret && !(img->flags & IMAGE_NO_IO))
		ret = open_tables(q, opts, err);
	else if (!ret && (img->flags & IMAGE_ALL_FILES))
		ret = open_named(q, err);
	else if (!ret)
		ret = name_backing(q);
	if (ret)
		deinit(q);
	return ret;
}

/* ---- closing ---- */

static int mark_corrupt(struct qcow2 *q)
{
	if (q->h.version < 3 || (q->h.incompat & QCOW2_INCOMPAT_CORRUPT))
		return 0;
	q->h.incompat |= QCOW2_INCOMPAT_CORRUPT;
	return qcow2_write_header(q);
}

/* The file's length ahead of use goes back. */
static int trim_file(struct qcow2 *q)
{
	if (q->file_length <= q->data_end || !q->file->zero_beyond_end ||
	    q->begun == QCOW2_UNTOUCHED)
		return 0;
	q->file_length = q->data_end;
	return image_truncate(q->file, q->data_end, NULL);
}

static int qcow2_close(struct image *img, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	int ret = 0;

	if (q->l1 && (img->flags & IMAGE_RDWR)) {
		ret = q->state == QCOW2_CORRUPT ? mark_corrupt(q) : qcow2_commit_all(q);
		if (!ret && q->state != QCOW2_CORRUPT)
			ret = qcow2_bitmaps_store(q, err);
		if (!ret)
			ret = trim_file(q);
		if (ret)
			error_set_errno(err, -ret, "%s: closing", img->path);
	}
	deinit(q);
	return ret;
}

/* ---- info, check ---- */

static int add_snapshot(void *arg, const struct qcow2_snapshot *sn,
			struct error *err)
{
	struct image_info *info = arg;
	struct image_info_snapshot *s = info->snapshots;
	unsigned int n = info->nr_snapshots;

	if (!(n & (n - 1)))	/* room for 1, 2, 4... of them */
		s = reallocarray(s, n ? 2 * (size_t)n : 1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	info->snapshots = s;
	s += n;
	*s = sn->info;
	s->id = strdup(sn->info.id);
	s->name = strdup(sn->info.name);
	info->nr_snapshots++;
	return s->id && s->name ? 0 : -ENOMEM;
}

static char *copy_string(const char *s)
{
	return s ? strdup(s) : NULL;
}

static int qcow2_get_info(struct image *img, struct image_info *info,
			  struct error *err)
{
	const struct qcow2 *q = qcow2_of(img);
	const struct qcow2_header *h = &q->h;
	int ret;

	info->is_qcow2 = true;
	info->backing_file = copy_string(h->backing_file);
	info->backing_format = copy_string(h->backing_format);
	info->data_file = copy_string(h->data_file);
	info->cluster_size = (uint32_t)q->cluster_size;
	info->vmstate_offset = qcow2_vmstate_base(q);
	info->dirty = h->incompat & QCOW2_INCOMPAT_DIRTY;
	info->corrupt = h->incompat & QCOW2_INCOMPAT_CORRUPT;
	info->encrypted = h->crypt_method != QCOW2_CRYPT_NONE;
	info->version = h->version;
	info->lazy_refcounts = h->compat & QCOW2_COMPAT_LAZY_REFCOUNTS;
	info->extended_l2 = h->incompat & QCOW2_INCOMPAT_EXTENDED_L2;
	info->data_file_raw = h->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
	info->refcount_bits = 1u << h->refcount_order;
	info->compression_type =
		h->compression_type == QCOW2_COMPRESSION_ZSTD ? "zstd" : "zlib";
	if (info->encrypted) {
		ret = qcow2_crypt_info(q, &info->encrypt, err);
		if (ret)
			return ret;
	}
	ret = qcow2_for_each_snapshot(q->file, h, add_snapshot, info, NULL,
				      err);
	return ret ? ret : qcow2_bitmap_info(q->file, h, info, err);
}

static int qcow2_check_verb(struct image *img, enum image_repair repair,
			    struct image_check *result, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	int ret;

	if (q->l1 && (img->flags & IMAGE_RDWR)) {
		ret = qcow2_commit_all(q);
		if (ret)
			return error_set_errno(err, -ret, "%s", img->path);
		if (repair != IMAGE_REPAIR_NONE)
			return error_set(err, EINVAL, "%s: an image is repaired "
					 "before it is used, not meanwhile",
					 img->path);
	}
	return qcow2_check(img, &q->h, repair, result, err);
}

/* Version 1 is another format, that of the same magic. */
static bool qcow2_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= 8 && load_be32(head) == QCOW2_MAGIC &&
	       load_be32(head + 4) >= 2;
}

const struct image_driver image_qcow2_driver = {
	.name = "qcow2",
	.state_size = sizeof(struct qcow2),
	.has_snapshots = true,
	.probe = qcow2_probe,
	.open = qcow2_open,
	.close = qcow2_close,
	.preadv = qcow2_preadv,
	.pwritev = qcow2_pwritev,
	.pwritev_compressed = qcow2_pwritev_compressed,
	.pwrite_zeroes = qcow2_pwrite_zeroes,
	.pdiscard = qcow2_pdiscard,
	.flush = qcow2_flush,
	.vmstate_preadv = qcow2_vmstate_preadv,
	.vmstate_pwritev = qcow2_vmstate_pwritev,
	.truncate = qcow2_truncate,
	.preallocate = qcow2_preallocate,
	.snapshot_create = qcow2_snapshot_create,
	.snapshot_apply = qcow2_snapshot_apply,
	.snapshot_delete = qcow2_snapshot_delete,
	.compact = qcow2_compact,
	.block_status = qcow2_block_status,
	.get_info = qcow2_get_info,
	.change_backing = qcow2_change_backing,
	.make_empty = qcow2_make_empty,
	.check = qcow2_check_verb,
	.create = qcow2_create,
	.create_help = qcow2_create_help,
	.measure = qcow2_measure,
	.amend = qcow2_amend,
	.amend_help = qcow2_amend_help,
	.bitmap = qcow2_bitmap_op,
};
