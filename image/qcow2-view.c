/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-view.c: an internal snapshot in place of the disk, for reading.
 *
 * A snapshot is an L1 table and a size: with those instead of the active ones
 * every read does the right thing. The image is read-only and has no requests,
 * so that nothing else knows the active table.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "image/qcow2-io.h"
#include "image/qcow2.h"

struct wanted {
	const char *id, *name;		/* NULL: any */
	bool found;
	struct qcow2_snapshot sn;	/* without its strings */
};

static int match(void *arg, const struct qcow2_snapshot *sn, struct error *err)
{
	struct wanted *w = arg;

	if (w->found || (w->id && strcmp(w->id, sn->info.id)) ||
	    (w->name && strcmp(w->name, sn->info.name)))
		return 0;
	w->found = true;
	w->sn = *sn;
	return 0;
}

static int judge(const struct qcow2 *q, const struct qcow2_snapshot *sn,
		 struct error *err)
{
	uint64_t bytes = (uint64_t)sn->l1_size * 8;

	if (bytes > QCOW2_MAX_L1_BYTES ||
	    !is_aligned(sn->l1_offset, q->cluster_size) ||
	    !range_within(sn->l1_offset, bytes, q->data_end))
		return error_set(err, EINVAL, "corrupt image: the snapshot has "
				 "an L1 table of %" PRIu64 " bytes at %#" PRIx64,
				 bytes, sn->l1_offset);
	if (sn->info.disk_size > INT64_MAX ||
	    qcow2_l1_needed(&q->h, sn->info.disk_size) > sn->l1_size)
		return error_set(err, EINVAL, "corrupt image: the snapshot has "
				 "%" PRIu64 " bytes, too much for %u L1 "
				 "entries", sn->info.disk_size, sn->l1_size);
	return 0;
}

/* What is no table's offset is put out of use: reads there fail. */
static uint64_t judge_l1_entry(const struct qcow2 *q, uint64_t entry)
{
	uint64_t offset = entry & QCOW2_L1_OFFSET;

	if (!entry || (!(entry & QCOW2_L1_RESERVED) && offset &&
		       is_aligned(offset, q->cluster_size) &&
		       range_within(offset, q->cluster_size, q->data_end)))
		return entry;
	return QCOW2_L1_INVALID;
}

/* co */
static int load(struct qcow2 *q, const struct qcow2_snapshot *sn,
		struct error *err)
{
	uint64_t bytes = (uint64_t)sn->l1_size * 8;
	uint64_t *l1 = malloc(max(bytes, UINT64_C(8)));
	int ret = l1 ? 0 : -ENOMEM;

	if (!ret && bytes)
		ret = image_pread(q->file, sn->l1_offset, bytes, l1);
	if (ret) {
		free(l1);
		return error_set_errno(err, -ret, "reading the snapshot's L1 "
				       "table");
	}
	for (uint32_t i = 0; i < sn->l1_size; i++)
		l1[i] = judge_l1_entry(q, load_be64(&l1[i]));
	free(q->l1);
	q->l1 = l1;
	q->h.l1_size = sn->l1_size;
	q->h.l1_table_offset = sn->l1_offset;
	q->img->size = align_down(sn->info.disk_size, SECTOR_SIZE);
	return 0;
}

int qcow2_view_snapshot(struct image *img, const char *id, const char *name,
			struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	struct wanted w = { .id = id, .name = name };
	int ret;

	if ((img->flags & IMAGE_RDWR) || !q->l1)
		return error_set(err, EINVAL, "snapshots are read from images "
				 "that are opened for reading");
	ret = qcow2_for_each_snapshot(q->file, &q->h, match, &w, NULL, err);
	if (ret)
		return ret;
	if (!w.found)
		return error_set(err, ENOENT, "Can't find snapshot");
	ret = judge(q, &w.sn, err);
	return ret ? ret : load(q, &w.sn, err);
}
