/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.c: how large a new qcow2 image would be.
 *
 *	header | L1 | L2 for the whole disk | refcounts of all | data
 *
 * L2 tables and refcounts are counted for a disk that is full, also where the
 * data is not there: the file will not need more than that.
 */
#include <errno.h>
#include <inttypes.h>

#include "common/bits.h"
#include "image/graph/make.h"
#include "image/qcow2/make/create.h"

/* Refcount table and blocks for that many clusters and themselves; clusters. */
static uint64_t refcount_clusters(const struct qcow2_create_facts *f,
				  uint64_t clusters)
{
	uint64_t per_block = f->cluster_size * 8 >> f->refcount_order;
	uint64_t blocks = 0, table = 0, before;

	do {
		before = blocks + table;
		blocks = div_round_up(clusters + before, per_block);
		table = div_round_up(blocks * 8, f->cluster_size);
	} while (blocks + table != before);
	return blocks + table;
}

/* Bytes of everything but the data of a disk of that size. */
static uint64_t metadata_size(const struct qcow2_create_facts *f,
			      uint64_t disk)
{
	uint64_t entry = f->extended_l2 ? 16 : 8, meta;
	uint64_t l2 = div_round_up(disk / f->cluster_size * entry,
				   f->cluster_size);

	meta = 1 + l2 + div_round_up(l2 * 8, f->cluster_size);
	meta += refcount_clusters(f, meta + disk / f->cluster_size);
	return meta * f->cluster_size +
	       align_up(f->encrypt_len, f->cluster_size);
}

/* co. Bytes of the clusters that have something in them. */
static int data_size(struct image *from, uint64_t cluster_size, uint64_t *data)
{
	uint64_t off = 0, end, counted = 0;
	struct image_extent e;
	int ret;

	for (*data = 0; off < from->size; off += e.length) {
		ret = image_block_status_chain(from, off, from->size - off, &e);
		if (ret)
			return ret;
		if (e.flags & IMAGE_EXTENT_ZERO)
			continue;
		end = align_up(off + e.length, cluster_size);
		counted = max(counted, align_down(off, cluster_size));
		*data += end - counted;
		counted = end;
	}
	return 0;
}

static int measure_bitmaps(struct image *from, uint64_t cluster_size,
			   struct image_measure *out, struct error *err)
{
	struct image_info info;
	int ret = image_get_info(from, &info, err);

	if (ret)
		return ret;
	out->has_bitmaps = info.kind == IMAGE_INFO_QCOW2 &&
			   info.qcow2.version >= 3;
	out->bitmaps = image_bitmaps_space(&info, from->size,
					   (uint32_t)cluster_size);
	image_info_free(&info);
	return 0;
}

int qcow2_measure(uint64_t size, const struct image_create_option *options,
		  unsigned int nr, struct image *from,
		  struct image_measure *out, struct error *err)
{
	struct qcow2_create_facts f;
	uint64_t disk, meta, data = 0;
	int ret = qcow2_create_facts(size, options, nr, &f, err);

	if (ret)
		return ret;
	disk = align_up(size, f.cluster_size);
	meta = metadata_size(&f, disk);
	if (add_overflow(meta, disk, &out->fully_allocated) ||
	    out->fully_allocated > INT64_MAX)
		return error_set(err, EFBIG, "the image would be too large for "
				 "a file: a disk of %" PRIu64 " bytes", size);
	if (f.filled || (from && f.has_backing))
		data = disk;	/* nobody knows what the two have in common */
	else if (from)
		ret = data_size(from, f.cluster_size, &data);
	if (ret)
		return error_set_errno(err, -ret, "Unable to get block status");
	out->required = meta + data;
	/* An image of version 2 has no bitmaps. */
	return from && f.version >= 3 ?
		measure_bitmaps(from, f.cluster_size, out, err) : 0;
}
