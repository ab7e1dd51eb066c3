/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot-ops.c: makes, goes back to and gives up internal snapshots.
 *
 * A snapshot is a copy of the L1 table; what it leads to is shared by means of
 * refcounts. Each change gets everything ready beside what is in use, commits
 * that, and switches by one write to the first sector of the header:
 *
 *	create	refcounts of the disk's tree up, COPIED flags off | copy of the L1
 *		table, new snapshot table | switch | old snapshot table freed
 *	apply	refcounts of the snapshot's tree up | copy of its L1 table |
 *		switch to it and to its size | refcounts of the old tree down
 *	delete	new snapshot table | switch | refcounts of the snapshot's tree
 *		down | COPIED flags on where nothing is shared any more
 *
 * So a crash leaves the old state or the new one, and refcounts that are too
 * high. COPIED flags are written after refcounts: a crash between the two leaves
 * a flag where the refcount says 2 already, of a cluster that nobody shares yet
 * (create), or no flag where it says 1 (delete): that costs a copy of data at the
 * next write, and of a table the refcount is asked. Neither harms, though a check
 * wants the flags to agree, which -r leaks and the next of these operations see
 * to; ARCHITECTURE.md says why there is no better order. Apply leaves none: a
 * table that only a snapshot has may have any flags, and loses them before the
 * header leads to it.
 *
 * A VM state lies in the snapshot's L1 table behind the entries of the disk, and
 * counts as the rest does; it is not brought back with the disk.
 */
#include <errno.h>
#include <limits.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/contiguous.h"
#include "image/qcow2/core/rewrite.h"
#include "image/qcow2/rework/references.h"
#include "image/qcow2/rework/rework.h"
#include "image/qcow2/snapshot-table.h"
#include "image/qcow2/snapshot.h"

/* QEMU keeps names in 256 bytes. */
#define NAME_MAX_BYTES 255u

static int begin_snapshot_op(struct qcow2 *q, struct error *err)
{
	int ret = q->write_error;

	if (q->h.incompat & QCOW2_INCOMPAT_DATA_FILE)
		return error_set(err, ENOTSUP, "images with an external data "
				 "file have no snapshots");
	if (!ret)
		ret = qcow2_begin_write(q);
	if (!ret)
		ret = qcow2_commit_all(q);
	return ret ? error_set_errno(err, -ret, "%s", q->img->path) : 0;
}

static int commit_or_say(struct qcow2 *q, struct error *err)
{
	int ret = qcow2_commit_all(q);

	return ret ? error_set_errno(err, -ret, "writing") : 0;
}

static struct qcow2_tree tree_of(const struct qcow2_table *l1)
{
	return (struct qcow2_tree){ l1->v, l1->nr };
}

/* co. From now on the header leads to the table of `nr` at `offset`. */
static int switch_table(struct qcow2 *q, unsigned int nr, uint64_t offset,
			struct error *err)
{
	int ret;

	q->h.nb_snapshots = nr;
	q->h.snapshots_offset = offset;
	ret = qcow2_write_header(q);
	return ret ? error_set_errno(err, -qcow2_lose(q, ret,
				"switching to another snapshot table"),
				     "updating the header") : 0;
}

static void clear_copied_flags(struct qcow2_table *t)
{
	for (uint32_t i = 0; i < t->nr; i++)
		t->v[i] &= QCOW2_L1_OFFSET;
}

/* co. A table without flags, in new clusters; 0 where it is empty. */
static int write_l1_copy(struct qcow2 *q, const struct qcow2_table *l1,
			 enum qcow2_meta type, uint64_t *offset,
			 struct error *err)
{
	uint64_t bytes = align_up(l1->nr * UINT64_C(8), q->cluster_size);
	int ret;

	*offset = 0;
	if (!l1->nr)
		return 0;
	ret = qcow2_alloc_contiguous(q, bytes >> q->cluster_bits, offset);
	if (ret)
		return error_set_errno(err, -ret, "allocating an L1 table");
	ret = qcow2_meta_add_range(&q->meta, *offset >> q->cluster_bits,
				   bytes >> q->cluster_bits, type);
	if (!ret)
		ret = qcow2_table_write(l1, q->file, *offset, bytes);
	if (ret)
		qcow2_forget_clusters(q, *offset, bytes);
	return ret ? error_set_errno(err, -ret, "writing an L1 table") : 0;
}

/* co. What was done in vain: all references that a tree has got. The reason is
 * known; trouble on the way is logged. */
static void take_back(struct qcow2 *q, struct qcow2_tree t, uint64_t done)
{
	struct error err = ERROR_INIT;
	int ret;

	ret = qcow2_lower_tree(q, t, done, &err);
	if (!ret)
		ret = commit_or_say(q, &err);
	if (!ret)
		ret = qcow2_mark_copied(q, &err);
	if (!ret)
		ret = commit_or_say(q, &err);
	if (ret)
		log_warn("%s: clusters have leaked: %s", q->img->path,
			 error_text(&err, ret));
}

/* ---- create ---- */

/* A number that no snapshot has. */
static int new_id(const struct qcow2_snapshot_table *t, char **id)
{
	unsigned long highest = 0;

	for (unsigned int i = 0; i < t->nr; i++)
		highest = max(highest, strtoul(t->v[i].sn.info.id, NULL, 10));
	if (highest == ULONG_MAX)
		return -EFBIG;
	return asprintf(id, "%lu", highest + 1) < 0 ? -ENOMEM : 0;
}

static int describe_new_snapshot(struct qcow2 *q,
				 struct qcow2_snapshot_table *t,
				 const char *name, struct error *err)
{
	struct qcow2_snapshot_record *r;
	struct timespec now;
	char *id;
	int ret;

	if (t->nr >= QCOW2_MAX_SNAPSHOTS)
		return error_set(err, EFBIG, "there are %u snapshots, and no "
				 "more can be", t->nr);
	ret = new_id(t, &id);
	if (ret)
		return error_set_errno(err, -ret, "an id for the snapshot");
	r = qcow2_snapshot_table_add(t);
	if (!r) {
		free(id);
		return error_set_errno(err, ENOMEM, "the snapshot table");
	}
	clock_gettime(CLOCK_REALTIME, &now);
	r->sn.l1_size = q->h.l1_size;
	r->sn.info = (struct image_info_snapshot){
		.id = id,
		.name = strdup(name),
		.date_sec = (uint32_t)now.tv_sec,
		.date_nsec = (uint32_t)now.tv_nsec,
		.disk_size = q->img->size,
		.icount = -1,
	};
	return r->sn.info.name ? 0 : error_set_errno(err, ENOMEM, "the name");
}

/* co. The tables of the last record, written and committed. */
static int prepare_tables(struct qcow2 *q, struct qcow2_snapshot_table *t,
			  uint64_t *offset, uint64_t *bytes, struct error *err)
{
	struct qcow2_snapshot *sn = &t->v[t->nr - 1].sn;
	int ret;

	ret = write_l1_copy(q, &q->l1, QCOW2_META_INACTIVE_L1, &sn->l1_offset,
			    err);
	if (ret)
		return ret;
	ret = qcow2_snapshot_table_write(q, t, offset, bytes, err);
	if (!ret)
		ret = commit_or_say(q, err);
	if (!ret)
		return 0;
	qcow2_forget_clusters(q, *offset, *bytes);
	qcow2_forget_clusters(q, sn->l1_offset, sn->l1_size * 8ull);
	return ret;
}

static int create_snapshot(struct qcow2 *q, struct qcow2_snapshot_table *t,
			   struct error *err)
{
	uint64_t old = q->h.snapshots_offset, done, offset, bytes;
	int ret;

	ret = qcow2_raise_tree(q, tree_of(&q->l1), &done, err);
	if (!ret) {
		clear_copied_flags(&q->l1);
		qcow2_table_set_dirty(&q->l1);
		ret = prepare_tables(q, t, &offset, &bytes, err);
	}
	if (ret) {
		take_back(q, tree_of(&q->l1), done);
		return ret;
	}
	ret = switch_table(q, t->nr, offset, err);
	if (ret)
		return ret;
	qcow2_forget_clusters(q, old, t->bytes);
	return commit_or_say(q, err);
}

int qcow2_snapshot_create(struct image *img, const char *name,
			  struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_snapshot_table t = { 0 };
	int ret;

	if (strlen(name) > NAME_MAX_BYTES)
		return error_set(err, EINVAL, "a name of %zu bytes is too long, "
				 "at most %u", strlen(name), NAME_MAX_BYTES);
	ret = begin_snapshot_op(q, err);
	if (!ret)
		ret = qcow2_snapshot_table_load(q, &t, err);
	if (!ret)
		ret = describe_new_snapshot(q, &t, name, err);
	if (!ret)
		ret = create_snapshot(q, &t, err);
	qcow2_snapshot_table_free(&t);
	return ret;
}

/* ---- finding one ---- */

static int find_by(const struct qcow2_snapshot_table *t, const char *text,
		   bool id)
{
	for (unsigned int i = 0; i < t->nr; i++) {
		const struct image_info_snapshot *s = &t->v[i].sn.info;

		if (!strcmp(id ? s->id : s->name, text))
			return (int)i;
	}
	return -ENOENT;
}

/* The one whose id it is, else the one of that name, or the other way round. */
static int find_snapshot(const struct qcow2_snapshot_table *t, const char *text,
			 bool id_first)
{
	int i = find_by(t, text, id_first);

	return i < 0 ? find_by(t, text, !id_first) : i;
}

/* co. Its L1 table, to be freed. */
static int load_snapshot_l1(struct qcow2 *q, const struct qcow2_snapshot *sn,
			    struct qcow2_table *l1, struct error *err)
{
	int ret = qcow2_judge_snapshot(q, sn, err);

	if (ret)
		return ret;
	ret = qcow2_table_init(l1, sn->l1_size);
	if (!ret)
		ret = qcow2_table_read(l1, q->file, sn->l1_offset);
	return ret ? error_set_errno(err, -ret, "reading the snapshot's L1 "
				     "table") : 0;
}

/* ---- delete ---- */

/* co. Record i is out of the table; then nothing leads to its clusters, which
 * are those of `tree` and that L1 table itself. */
static int delete_record(struct qcow2 *q, struct qcow2_snapshot_table *t,
			 unsigned int i, struct qcow2_tree tree,
			 struct error *err)
{
	uint64_t old = q->h.snapshots_offset, offset, bytes;
	uint64_t l1_offset = t->v[i].sn.l1_offset;
	int ret;

	qcow2_snapshot_table_remove(t, i);
	ret = qcow2_snapshot_table_write(q, t, &offset, &bytes, err);
	if (ret)
		return ret;
	ret = commit_or_say(q, err);
	if (ret) {
		qcow2_forget_clusters(q, offset, bytes);
		return ret;
	}
	ret = switch_table(q, t->nr, offset, err);
	if (ret)
		return ret;
	qcow2_forget_clusters(q, old, t->bytes);
	qcow2_forget_clusters(q, l1_offset, tree.nr * 8);
	ret = qcow2_lower_tree(q, tree, UINT64_MAX, err);
	if (!ret)
		ret = commit_or_say(q, err);
	if (!ret)
		ret = qcow2_mark_copied(q, err);
	return ret ? ret : commit_or_say(q, err);
}

int qcow2_snapshot_delete(struct image *img, const char *name_or_id,
			  struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_snapshot_table t = { 0 };
	struct qcow2_table l1 = { 0 };
	int ret, i = -1;

	ret = begin_snapshot_op(q, err);
	if (!ret)
		ret = qcow2_snapshot_table_load(q, &t, err);
	if (!ret) {
		i = find_snapshot(&t, name_or_id, false);
		ret = i < 0 ? error_set(err, ENOENT, "snapshot not found")
			    : load_snapshot_l1(q, &t.v[i].sn, &l1, err);
	}
	if (!ret)
		ret = delete_record(q, &t, (unsigned int)i, tree_of(&l1), err);
	q->inflated_entry = 0;		/* its cluster may be gone */
	qcow2_table_free(&l1);
	qcow2_snapshot_table_free(&t);
	return ret;
}

/* ---- apply ---- */

/* co. All that was active is no more. */
static int drop_active(struct qcow2 *q, const struct qcow2_table *l1,
		       uint64_t offset, struct error *err)
{
	int ret;

	qcow2_forget_clusters(q, offset, l1->nr * UINT64_C(8));
	ret = qcow2_lower_tree(q, tree_of(l1), UINT64_MAX, err);
	return ret ? ret : commit_or_say(q, err);
}

/* co. To the table at `offset`, which is *l1, and to that size. The old one is in
 * *l1 afterwards. */
static int switch_active(struct qcow2 *q, struct qcow2_table *l1,
			 uint64_t offset, uint64_t size, struct error *err)
{
	uint64_t old_offset = q->h.l1_table_offset;
	struct qcow2_table old = q->l1;
	int ret;

	q->l1 = *l1;
	*l1 = old;
	q->h.l1_size = q->l1.nr;
	q->h.l1_table_offset = offset;
	q->h.size = size;
	q->img->size = align_down(size, SECTOR_SIZE);
	ret = qcow2_write_header(q);
	if (ret)
		return error_set_errno(err, -qcow2_lose(q, ret,
					"going back to a snapshot"),
				       "updating the header");
	return drop_active(q, l1, old_offset, err);
}

/* co. *l1: as load_snapshot_l1() read it, of the VM state, too. */
static int apply_snapshot(struct qcow2 *q, const struct qcow2_snapshot *sn,
			  struct qcow2_table *l1, struct error *err)
{
	uint64_t done = 0, offset = 0;
	int ret;

	clear_copied_flags(l1);
	ret = qcow2_raise_tree(q, tree_of(l1), &done, err);
	if (!ret)
		ret = write_l1_copy(q, l1, QCOW2_META_L1, &offset, err);
	if (!ret) {
		ret = commit_or_say(q, err);
		if (ret)
			qcow2_forget_clusters(q, offset, l1->nr * UINT64_C(8));
	}
	if (!ret)
		return switch_active(q, l1, offset, sn->info.disk_size, err);
	take_back(q, tree_of(l1), done);
	return ret;
}

int qcow2_snapshot_apply(struct image *img, const char *id_or_name,
			 struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_snapshot_table t = { 0 };
	struct qcow2_table l1 = { 0 };
	int ret, i = -1;

	ret = begin_snapshot_op(q, err);
	if (!ret)
		ret = qcow2_snapshot_table_load(q, &t, err);
	if (!ret) {
		i = find_snapshot(&t, id_or_name, true);
		if (i < 0)
			ret = error_set(err, ENOENT, "Failed to load snapshot: "
					"No such file or directory");
		else if (q->bitmaps)
			ret = error_set(err, EBUSY, "Device has active dirty "
					"bitmaps, which cannot tell what would "
					"change");
	}
	if (!ret)
		ret = load_snapshot_l1(q, &t.v[i].sn, &l1, err);
	if (!ret)
		ret = apply_snapshot(q, &t.v[i].sn, &l1, err);
	q->inflated_entry = 0;
	qcow2_table_free(&l1);
	qcow2_snapshot_table_free(&t);
	return ret;
}
