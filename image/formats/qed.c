/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qed.c: QEMU's enhanced disk images, read.
 *
 *	header, little-endian, in the first cluster
 *	L1 table -> L2 tables -> clusters
 *
 * All tables have the same size, of 1 to 16 clusters. Offset 0 means "as the
 * backing image", 1 "zeroes". The format of a backing image is recorded only
 * where it is raw. (Source: QEMU's docs/interop/qed_spec.txt.)
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/formats/mapped.h"

#define HEADER_BYTES 64
#define QED_MAGIC 0x00444551u		/* "QED\0" */
#define MIN_CLUSTER 4096u
#define MAX_CLUSTER (64u << 20)
#define MAX_TABLE 16u			/* clusters */
#define MAX_BACKING_NAME 1023u
#define ZERO_CLUSTER 1u

#define F_BACKING 1u
#define F_NEED_CHECK 2u
#define F_BACKING_IS_RAW 4u
#define F_KNOWN 7u

enum {
	AT_CLUSTER = 4, AT_TABLE = 8, AT_HEADER = 12, AT_FEATURES = 16,
	AT_L1 = 40, AT_SIZE = 48, AT_NAME = 56, AT_NAME_LEN = 60,
};

struct qed {
	struct mapped m;
	uint64_t table_bytes, l1_offset, header_bytes, features;
	char *backing_file;
};

static bool qed_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= HEADER_BYTES && load_le32(head) == QED_MAGIC;
}

/* An offset that a table has: of a cluster, behind the header, in the file. */
static bool usable(const struct qed *q, uint64_t off, uint64_t len)
{
	return is_aligned(off, q->m.block_size) && off >= q->header_bytes &&
	       range_within(off, len, INT64_MAX);
}

static int l2_offset(struct qed *q, uint64_t index, uint64_t *off)
{
	uint8_t entry[8];
	int ret = pages_read(&q->m.pages, q->l1_offset + index * 8, 8, entry);

	if (ret)
		return ret;
	*off = load_le64(entry);
	if (*off && (!usable(q, *off, q->table_bytes) ||
		     !range_within(*off, q->table_bytes, q->m.file->size)))
		return -EIO;
	return 0;
}

static int qed_lookup(struct mapped *m, uint64_t block, struct mapped_block *b)
{
	struct qed *q = container_of(m, struct qed, m);
	uint64_t per_table = q->table_bytes / 8, off;
	uint8_t entry[8];
	int ret = l2_offset(q, block / per_table, &off);

	b->rest = per_table - block % per_table;
	if (ret == -EIO)
		b->lost_table = off;
	if (ret || !off)
		return ret;
	b->table = off;
	ret = pages_read(&m->pages, off + block % per_table * 8, 8, entry);
	off = load_le64(entry);
	if (ret || !off)
		return ret;
	b->flags = IMAGE_EXTENT_ALLOCATED;
	if (off == ZERO_CLUSTER) {
		b->flags |= IMAGE_EXTENT_ZERO;
		return 0;
	}
	if (!usable(q, off, m->block_size))
		return -EIO;
	b->flags |= IMAGE_EXTENT_DATA | IMAGE_EXTENT_OFFSET;
	b->host_offset = off;
	return 0;
}

static const struct mapped_ops qed_ops = {
	.lookup = qed_lookup,
};

/* ---- opening ---- */

static int validate_qed_header(const uint8_t *h, struct error *err)
{
	uint32_t cluster = load_le32(h + AT_CLUSTER);
	uint32_t table = load_le32(h + AT_TABLE);
	uint64_t features = load_le64(h + AT_FEATURES);

	if (load_le32(h) != QED_MAGIC)
		return error_set(err, EINVAL, "not a QED image: the magic is "
				 "missing");
	if (features & ~(uint64_t)F_KNOWN)
		return error_set(err, ENOTSUP, "unsupported QED features: %#"
				 PRIx64, features & ~(uint64_t)F_KNOWN);
	if (!is_pow2(cluster) || cluster < MIN_CLUSTER || cluster > MAX_CLUSTER)
		return error_set(err, EINVAL, "QED cluster size %u is not a "
				 "power of two between 4 KiB and 64 MiB",
				 cluster);
	if (!is_pow2(table) || table > MAX_TABLE)
		return error_set(err, EINVAL, "QED tables of %u clusters are "
				 "not possible, only 1, 2, 4, 8 or 16", table);
	if (!load_le32(h + AT_HEADER) ||
	    load_le32(h + AT_HEADER) > INT32_MAX / cluster)
		return error_set(err, EINVAL, "a QED header of %u clusters is "
				 "not possible", load_le32(h + AT_HEADER));
	return 0;
}

static int validate_qed_size(struct qed *q, const uint8_t *h, struct error *err)
{
	uint64_t per_table = q->table_bytes / 8, most;

	if (mul_overflow(per_table * per_table, q->m.block_size, &most) ||
	    most > INT64_MAX)
		most = INT64_MAX;
	q->m.size = load_le64(h + AT_SIZE);
	if (q->m.size > most || q->m.size % SECTOR_SIZE)
		return error_set(err, EINVAL, "QED disk size %" PRIu64 " is not "
				 "a multiple of 512 up to %" PRIu64, q->m.size,
				 most);
	q->l1_offset = load_le64(h + AT_L1);
	if (!usable(q, q->l1_offset, q->table_bytes))
		return error_set(err, EINVAL, "the QED L1 table at %#" PRIx64
				 " is not at a cluster behind the header",
				 q->l1_offset);
	return mapped_judge_table(q->m.file, "QED L1 table", q->l1_offset,
				  per_table, 8, err);
}

static int read_backing_name(struct qed *q, const uint8_t *h,
			     struct error *err)
{
	uint32_t off = load_le32(h + AT_NAME), len = load_le32(h + AT_NAME_LEN);
	int ret;

	if (!(q->features & F_BACKING))
		return 0;
	if (!len || len > MAX_BACKING_NAME ||
	    !range_within(off, len, q->header_bytes))
		return error_set(err, EINVAL, "the QED backing file name of %u "
				 "bytes (at most %u) at %#x is not within the "
				 "header", len, MAX_BACKING_NAME, off);
	q->backing_file = calloc(1, len + 1);
	if (!q->backing_file)
		return -ENOMEM;
	ret = image_pread(q->m.file, off, len, q->backing_file);
	return ret ? ret : mapped_name_backing(q->m.img, q->backing_file,
					       q->features & F_BACKING_IS_RAW ?
					       "raw" : NULL, err);
}

static int qed_close(struct image *img, struct error *err)
{
	struct qed *q = img->state;

	free(q->backing_file);
	q->backing_file = NULL;
	return mapped_close(img, err);
}

static int qed_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	struct qed *q = img->state;
	uint8_t h[HEADER_BYTES];
	int ret = mapped_read_header(img, h, sizeof(h), validate_qed_header,
				     &qed_ops, err);

	if (ret)
		return ret;
	q->m.block_size = load_le32(h + AT_CLUSTER);
	q->table_bytes = load_le32(h + AT_TABLE) * q->m.block_size;
	q->header_bytes = load_le32(h + AT_HEADER) * q->m.block_size;
	q->features = load_le64(h + AT_FEATURES);
	q->m.data_start = q->header_bytes;
	ret = validate_qed_size(q, h, err);
	if (!ret)
		ret = read_backing_name(q, h, err);
	if (ret)
		qed_close(img, NULL);
	img->size = q->m.size;
	mapped_limits(img);
	return ret;
}

/* ---- info and check ---- */

static int qed_get_info(struct image *img, struct image_info *info,
			struct error *err)
{
	const struct qed *q = img->state;

	info->cluster_size = (uint32_t)q->m.block_size;
	info->dirty = q->features & F_NEED_CHECK;
	if (!q->backing_file)
		return 0;
	info->backing_file = strdup(q->backing_file);
	if (q->features & F_BACKING_IS_RAW)
		info->backing_format = strdup("raw");
	return info->backing_file ? 0 : -ENOMEM;
}

/* Whatever of the file nothing leads to is leaked. */
static int qed_check(struct image *img, enum image_repair repair,
		     struct image_check *result, struct error *err)
{
	struct qed *q = img->state;
	uint64_t cs = q->m.block_size, per_table = q->table_bytes / 8;
	uint64_t tables = div_round_up(q->m.size, per_table * cs);
	uint64_t used = q->header_bytes + q->table_bytes, off, file;
	int ret = mapped_judge_repair(img, repair, err);

	for (uint64_t i = 0; i < tables && !ret; i++) {
		ret = l2_offset(q, i, &off);
		if (!ret && off)
			used += q->table_bytes;
		else if (ret == -EIO)
			ret = 0;	/* each of its blocks will say so */
	}
	if (!ret)
		ret = mapped_check(&q->m, result);
	result->image_end_offset = 0;	/* qemu-img tells none */
	used += result->placed_clusters * cs;
	file = align_up(img->file->size, cs);
	if (!ret && !result->corruptions && file > used)
		result->leaks = (file - used) / cs;
	return ret;
}

const struct image_driver image_qed_driver = {
	.name = "qed",
	.state_size = sizeof(struct qed),
	.probe = qed_probe,
	.open = qed_open,
	.close = qed_close,
	.preadv = mapped_preadv,
	.block_status = mapped_block_status,
	.get_info = qed_get_info,
	.check = qed_check,
};
