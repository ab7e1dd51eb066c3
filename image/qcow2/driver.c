/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * driver.c: the verbs of the qcow2 driver.
 *
 * The one file that knows all rooms of the format: the order in which an image
 * is opened and closed, what is told of it, and the table.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/bits.h"
#include "image/graph/parts.h"
#include "image/qcow2/bitmap/ops.h"
#include "image/qcow2/bitmap/store.h"
#include "image/qcow2/check/check.h"
#include "image/qcow2/compress.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/rewrite.h"
#include "image/qcow2/crypt.h"
#include "image/qcow2/data.h"
#include "image/qcow2/io.h"
#include "image/qcow2/make/create.h"
#include "image/qcow2/map.h"
#include "image/qcow2/open.h"
#include "image/qcow2/rework/rework.h"
#include "image/qcow2/snapshot.h"
#include "image/qcow2/status.h"
#include "image/qcow2/vmstate.h"
#include "image/qcow2/zero.h"

/* Version 1 is another format, that of the same magic. */
static bool qcow2_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= 8 && load_be32(head) == QCOW2_MAGIC &&
	       load_be32(head + 4) >= 2;
}

/* ---- opening ---- */

/* A dirty or corrupt image and somebody who wants to write to it. */
static int mend_state(struct qcow2 *q, struct error *err)
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
		ret = qcow2_open_header(q, err);
	return ret;
}

static int open_named_files(struct qcow2 *q, struct error *err)
{
	int ret = qcow2_open_data_file(q, err);

	return ret ? ret : qcow2_name_backing(q);
}

/* Repair reads the tables for itself. */
static int open_for_requests(struct qcow2 *q, const struct image_options *opts,
			     struct error *err)
{
	int ret = mend_state(q, err);

	if (ret || (q->img->flags & IMAGE_REPAIR))
		return ret;
	ret = qcow2_open_tables(q, opts, err);
	return ret ? ret : open_named_files(q, err);
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
	ret = qcow2_open_header(q, err);
	if (!ret && opts->snapshot)
		ret = qcow2_show_snapshot(q, opts->snapshot, err);
	if (!ret && qcow2_external(&q->h))
		ret = image_judge_data_file(img, q->h.data_file, err);
	if (!ret && !(img->flags & IMAGE_NO_IO))
		ret = open_for_requests(q, opts, err);
	else if (!ret && (img->flags & IMAGE_ALL_FILES))
		ret = open_named_files(q, err);
	else if (!ret)
		ret = qcow2_name_backing(q);
	if (ret)
		qcow2_deinit(q);
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

	if (q->l1.v && (img->flags & IMAGE_RDWR)) {
		ret = q->state == QCOW2_CORRUPT ? mark_corrupt(q) :
						  qcow2_commit_all(q);
		if (!ret && q->state != QCOW2_CORRUPT)
			ret = qcow2_bitmaps_store(q, err);
		if (!ret)
			ret = trim_file(q);
		if (ret)
			error_set_errno(err, -ret, "%s: closing", img->path);
	}
	qcow2_deinit(q);
	return ret;
}

/* ---- info, check ---- */

static int add_snapshot_info(void *arg, const struct qcow2_snapshot *sn,
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

	info->kind = IMAGE_INFO_QCOW2;
	info->backing_file = copy_string(h->backing_file);
	info->backing_format = copy_string(h->backing_format);
	info->qcow2.data_file = copy_string(h->data_file);
	info->cluster_size = (uint32_t)q->cluster_size;
	info->qcow2.vmstate_offset = qcow2_vmstate_base(q);
	info->dirty = h->incompat & QCOW2_INCOMPAT_DIRTY;
	info->corrupt = h->incompat & QCOW2_INCOMPAT_CORRUPT;
	info->encrypted = h->crypt_method != QCOW2_CRYPT_NONE;
	info->qcow2.version = h->version;
	info->qcow2.lazy_refcounts = h->compat & QCOW2_COMPAT_LAZY_REFCOUNTS;
	info->qcow2.extended_l2 = h->incompat & QCOW2_INCOMPAT_EXTENDED_L2;
	info->qcow2.data_file_raw = h->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
	info->qcow2.refcount_bits = 1u << h->refcount_order;
	info->qcow2.compression_type =
		h->compression_type == QCOW2_COMPRESSION_ZSTD ? "zstd" : "zlib";
	if (info->encrypted) {
		ret = qcow2_crypt_info(q, &info->encrypt, err);
		if (ret)
			return ret;
	}
	ret = qcow2_for_each_snapshot(q->file, h, add_snapshot_info, info, NULL,
				      err);
	return ret ? ret : qcow2_bitmap_info(q->file, h, info, err);
}

static int qcow2_check_verb(struct image *img, enum image_repair repair,
			    struct image_check *result, struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	int ret;

	if (q->l1.v && (img->flags & IMAGE_RDWR)) {
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
