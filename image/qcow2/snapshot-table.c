/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot-table.c: the snapshot table in memory, and a new one in the
 * file.
 *
 * The table is never changed in place. Each record is written with the extra
 * data that version 3 wants, and what it had beyond that stays.
 */
#include "image/qcow2/snapshot-table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/array.h"
#include "common/cleanup.h"
#include "image/qcow2/core/contiguous.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/snapshot.h"

/* ---- in memory ---- */

void qcow2_snapshot_table_free(struct qcow2_snapshot_table *t)
{
	for (unsigned int i = 0; i < t->nr; i++) {
		qcow2_snapshot_deinit(&t->v[i].sn);
		free(t->v[i].unknown);
	}
	free(t->v);
	*t = (struct qcow2_snapshot_table){ 0 };
}

struct qcow2_snapshot_record *
qcow2_snapshot_table_add(struct qcow2_snapshot_table *t)
{
	if (array_reserve(t->v, t->nr, t->max))
		return NULL;
	t->v[t->nr] = (struct qcow2_snapshot_record){ 0 };
	return &t->v[t->nr++];
}

void qcow2_snapshot_table_remove(struct qcow2_snapshot_table *t,
				 unsigned int i)
{
	qcow2_snapshot_deinit(&t->v[i].sn);
	free(t->v[i].unknown);
	t->nr--;
	memmove(&t->v[i], &t->v[i + 1], (t->nr - i) * sizeof(*t->v));
}

static int add_record(void *arg, const struct qcow2_snapshot *sn,
		      struct error *err)
{
	struct qcow2_snapshot_record *r = qcow2_snapshot_table_add(arg);

	if (!r)
		return -ENOMEM;
	r->sn = *sn;
	r->sn.extra = NULL;
	r->sn.info.id = strdup(sn->info.id);
	r->sn.info.name = strdup(sn->info.name);
	if (!r->sn.info.id || !r->sn.info.name)
		return -ENOMEM;
	if (sn->extra_size <= QCOW2_SNAPSHOT_EXTRA)
		return 0;
	r->unknown_size = sn->extra_size - QCOW2_SNAPSHOT_EXTRA;
	r->unknown = malloc(r->unknown_size);
	if (!r->unknown)
		return -ENOMEM;
	memcpy(r->unknown, sn->extra + QCOW2_SNAPSHOT_EXTRA, r->unknown_size);
	return 0;
}

int qcow2_snapshot_table_load(struct qcow2 *q, struct qcow2_snapshot_table *t,
			      struct error *err)
{
	int ret;

	*t = (struct qcow2_snapshot_table){ 0 };
	ret = qcow2_for_each_snapshot(q->file, &q->h, add_record, t, &t->bytes,
				      err);
	return ret == -ENOMEM ? error_set_errno(err, ENOMEM, "the snapshot "
						"table") : ret;
}

/* ---- in the file ---- */

static uint64_t record_size(const struct qcow2_snapshot_record *r)
{
	return align_up(QCOW2_SNAPSHOT_FIXED + QCOW2_SNAPSHOT_EXTRA +
			r->unknown_size + strlen(r->sn.info.id) +
			strlen(r->sn.info.name), 8);
}

/* Into zeroed memory of record_size(). A VM state that the old field cannot
 * tell of is in the extra data alone. */
static void encode_record(const struct qcow2_snapshot_record *r, uint8_t *p)
{
	const struct image_info_snapshot *i = &r->sn.info;
	size_t id_len = strlen(i->id), name_len = strlen(i->name);
	bool small = i->vm_state_size <= UINT32_MAX;
	uint8_t *extra = p + QCOW2_SNAPSHOT_FIXED;

	store_be64(p, r->sn.l1_offset);
	store_be32(p + 8, r->sn.l1_size);
	store_be16(p + 12, (uint16_t)id_len);
	store_be16(p + 14, (uint16_t)name_len);
	store_be32(p + 16, i->date_sec);
	store_be32(p + 20, i->date_nsec);
	store_be64(p + 24, i->vm_clock_nsec);
	store_be32(p + 32, small ? (uint32_t)i->vm_state_size : 0);
	store_be32(p + 36, QCOW2_SNAPSHOT_EXTRA + r->unknown_size);
	store_be64(extra, i->vm_state_size);
	store_be64(extra + 8, i->disk_size);
	store_be64(extra + 16, (uint64_t)i->icount);
	extra += QCOW2_SNAPSHOT_EXTRA;
	if (r->unknown_size)
		memcpy(extra, r->unknown, r->unknown_size);
	memcpy(extra + r->unknown_size, i->id, id_len);
	memcpy(extra + r->unknown_size + id_len, i->name, name_len);
}

void qcow2_forget_clusters(struct qcow2 *q, uint64_t offset, uint64_t bytes)
{
	qcow2_free_meta(q, offset, div_round_up(bytes, q->cluster_size), true);
}

/* co */
static int lay_down(struct qcow2 *q, const uint8_t *buf, uint64_t bytes,
		    uint64_t *offset)
{
	uint64_t n = bytes >> q->cluster_bits;
	int ret;

	ret = qcow2_alloc_contiguous(q, n, offset);
	if (ret)
		return ret;
	ret = qcow2_meta_add_range(&q->meta, *offset >> q->cluster_bits, n,
				   QCOW2_META_SNAPSHOTS);
	if (!ret)
		ret = image_pwrite(q->file, *offset, bytes, buf);
	if (ret)
		qcow2_forget_clusters(q, *offset, bytes);
	return ret;
}

int qcow2_snapshot_table_write(struct qcow2 *q,
			       const struct qcow2_snapshot_table *t,
			       uint64_t *offset, uint64_t *bytes,
			       struct error *err)
{
	cleanup_free uint8_t *buf = NULL;
	uint64_t pos = 0;
	int ret;

	*offset = *bytes = 0;
	for (unsigned int i = 0; i < t->nr; i++)
		*bytes += record_size(&t->v[i]);
	if (*bytes > QCOW2_MAX_SNAPSHOT_TABLE)
		return error_set(err, EFBIG, "the snapshot table would take %"
				 PRIu64 " bytes, more than 64 MiB", *bytes);
	if (!*bytes)
		return 0;
	buf = calloc(1, align_up(*bytes, q->cluster_size));
	if (!buf)
		return error_set_errno(err, ENOMEM, "the snapshot table");
	for (unsigned int i = 0; i < t->nr; i++) {
		encode_record(&t->v[i], buf + pos);
		pos += record_size(&t->v[i]);
	}
	ret = lay_down(q, buf, align_up(*bytes, q->cluster_size), offset);
	return ret ? error_set_errno(err, -ret, "writing the snapshot table") : 0;
}
