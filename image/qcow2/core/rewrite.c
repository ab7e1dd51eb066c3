/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rewrite.c: a changed header to the file, so that a power cut leaves the
 * old one or the new one.
 *
 * The fixed fields alone are written in place.
 *
 * One sector reaches the disk whole or not at all, several may not. Fixed fields
 * are in the first sector; the extensions and the backing file name may not be:
 *
 *	before	| fields, extensions ... | ... more, name |          |
 *	then	| fields, extensions ... | ... more, name | new tail |
 *	after	| fields, table with a gap ...............| new tail |
 *
 * The new tail goes to where the old header has nothing, and the first sector
 * switches to it; the next time it is the front that is free. The gap is empty
 * rows of the feature name table, which any reader skips.
 */
#include "image/qcow2/core/rewrite.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"

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

/* ---- with extensions and names ---- */

/* Where a tail of `len` bytes does not touch what `old` holds; 0: nowhere. */
static uint32_t place_tail(const struct qcow2_header *old, uint32_t len)
{
	uint32_t behind = (uint32_t)align_up(max(old->used_end, SECTOR_SIZE), 8);

	if (old->tail_start >= SECTOR_SIZE + len)
		return SECTOR_SIZE;
	return range_within(behind, len, qcow2_cluster_size(old)) ? behind : 0;
}

static int write_range(struct qcow2 *q, const uint8_t *cluster, uint64_t off,
		       uint64_t end)
{
	int ret = image_pwrite(q->file, off, end - off, cluster + off);

	return ret ? ret : qcow2_barrier(q);
}

/* co. -ENOSPC, nothing written: no room beside the old one. */
static int write_tail_first(struct qcow2 *q, const struct qcow2_header *old,
			    uint8_t *cluster)
{
	uint32_t tail, end;
	int ret;

	ret = qcow2_header_encode_tail(&q->h, SECTOR_SIZE, cluster, &end);
	if (ret)
		return ret;
	tail = place_tail(old, end - SECTOR_SIZE);
	if (!tail)
		return -ENOSPC;
	ret = qcow2_header_encode_tail(&q->h, tail, cluster, &end);
	if (!ret)
		ret = write_range(q, cluster, tail, end);
	return ret ? ret : write_range(q, cluster, 0, SECTOR_SIZE);
}

int qcow2_rewrite_header(struct qcow2 *q, struct error *err)
{
	uint64_t size = q->cluster_size;
	cleanup_free uint8_t *now = calloc(1, size), *new = malloc(size);
	struct qcow2_header old;
	int ret;

	if (!now || !new)
		return -ENOMEM;
	ret = image_pread(q->file, 0, size, now);
	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	ret = qcow2_header_parse(now, size, &old, err);
	if (!ret)
		ret = qcow2_header_encode(&q->h, new, err);
	if (ret)
		goto out;
	if (!memcmp(now + SECTOR_SIZE, new + SECTOR_SIZE, size - SECTOR_SIZE))
		ret = write_range(q, new, 0, SECTOR_SIZE);
	else
		ret = write_tail_first(q, &old, new);
	/* Small clusters and long names: as whole as the disk lets it be. */
	if (ret == -ENOSPC)
		ret = qcow2_header_encode(&q->h, new, err) ?:
		      write_range(q, new, 0, size);
	if (ret)
		error_set_errno(err, -qcow2_stop(q, ret, "writing the header"),
				"writing the header");
out:
	qcow2_header_free(&old);
	return ret;
}
