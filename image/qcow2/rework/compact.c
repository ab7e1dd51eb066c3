/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compact.c: gives back the space that an image does not need.
 *
 * With U clusters in use the file could end after U clusters. What lies behind
 * that is moved into free clusters before it, as far as it can be:
 *
 *	L1 tables, L2 tables and the snapshot table: copied, with new L1 tables
 *	and a new snapshot table that lead to the copies; one write to the header
 *	switches to all of them
 *	data: copied, then each L2 entry that leads to it is changed, in the
 *	tables of snapshots, too, where they are
 *	compressed clusters: packed anew (repack.c), which may need more
 *	clusters than before; what does not fit is tried again afterwards
 *
 * A copy gets as many references as the original has before anything leads to
 * it, and the original keeps its own until a commit has replaced all entries that
 * lead there; so a crash leaves lost clusters at worst. Both hold the same bytes,
 * so that it does not matter which of them a snapshot or the disk reads.
 *
 * The refcount table goes first, in the same way as it grows. Bitmaps and lost
 * clusters stay where they are; nothing is moved that lies before the last of
 * them. A refcount block stays as long as it counts something.
 */
#include "image/qcow2/rework/rework.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/contiguous.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/core/rewrite.h"
#include "image/qcow2/map.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/rework/compact-plan.h"

/* Packing compressed clusters anew leaves gaps; more and more of them fit. */
#define ROUNDS_MAX 4

int compact_error(struct compact *c, int ret, const char *doing)
{
	return ret ? error_set_errno(c->err, -ret, "%s", doing) : 0;
}

int compact_commit(struct compact *c)
{
	return compact_error(c, qcow2_commit_all(c->q), "writing metadata");
}

void compact_progress(struct compact *c, uint64_t n)
{
	const struct image_progress *p = c->result->progress;

	c->done += n;
	if (p && p->set)
		p->set(p->arg, min(c->done, c->total), c->total);
}

int compact_copy_clusters(struct compact *c, uint64_t from, uint64_t to,
			  uint64_t count)
{
	uint64_t len = count << c->q->cluster_bits;
	cleanup_free void *buf = NULL;
	int ret;

	if (posix_memalign(&buf, 4096, len))
		return -ENOMEM;
	ret = image_pread(c->q->file, from, len, buf);
	return ret ? ret : image_pwrite(c->q->file, to, len, buf);
}

static int validate_compactable(const struct qcow2 *q, struct error *err)
{
	if (q->h.incompat & QCOW2_INCOMPAT_DATA_FILE)
		return error_set(err, ENOTSUP, "an image with an external data "
				 "file has nothing to compact");
	if (q->h.crypt_method == QCOW2_CRYPT_LUKS)
		return error_set(err, ENOTSUP, "what is encrypted with LUKS "
				 "cannot be moved");
	return q->write_error ? error_set_errno(err, -q->write_error, "%s",
					    q->img->path) : 0;
}

/* co. Free clusters before the end take no space on the host, either. */
static int punch_free_clusters(struct compact *c)
{
	struct qcow2 *q = c->q;
	uint64_t end = q->data_end >> q->cluster_bits, run = 0, count;
	int ret = 0;

	for (uint64_t k = 0; !ret && k <= end; k++) {
		count = 1;
		if (k < end)
			ret = qcow2_get_refcount(q, k, &count);
		if (!count)
			continue;
		if (run < k && !ret)
			image_pdiscard(q->file, run << q->cluster_bits,
				       (k - run) << q->cluster_bits);
		run = k + 1;
	}
	return compact_error(c, ret, "reading refcounts");
}

/* co */
static int carry_out_plan(struct compact *c)
{
	int ret;

	qcow2_restart_search(c->q);
	ret = compact_move_reftable(c);
	if (!ret)
		ret = compact_move_tables(c);
	if (!ret)
		ret = compact_move_data(c);
	if (!ret)
		ret = compact_error(c, qcow2_trim(c->q), "shortening the file");
	return ret ? ret : punch_free_clusters(c);
}

/* co. *again: compressed clusters are left, for which there may be room now. */
static int compact_once(struct qcow2 *q, struct image_compact *result,
			bool *again, struct error *err)
{
	struct compact c = { .q = q, .result = result, .err = err };
	int ret = 0;

	result->staying = 0;
	if (!result->dry_run)
		ret = compact_commit(&c);
	if (!ret)
		ret = compact_plan(&c);
	if (!ret && !result->dry_run)
		ret = carry_out_plan(&c);
	result->after = result->dry_run ? c.target << q->cluster_bits :
					  q->data_end;
	if (result->dry_run)
		result->moved = c.total << q->cluster_bits;
	*again = c.full;
	compact_free_tables(&c);
	return ret;
}

int qcow2_compact(struct image *img, struct image_compact *result,
		  struct error *err)
{
	struct qcow2 *q = qcow2_of(img);
	bool again = true;
	int ret = validate_compactable(q, err);

	if (ret)
		return ret;
	result->before = q->file->size;
	if (!result->dry_run)
		ret = qcow2_begin_write(q);
	if (ret)
		return error_set_errno(err, -ret, "writing");
	for (int round = 0; !ret && again && round < ROUNDS_MAX; round++)
		ret = compact_once(q, result, &again, err);
	return ret;
}
