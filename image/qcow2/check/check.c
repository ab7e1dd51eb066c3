/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c: is a qcow2 image consistent, and how to make it so.
 *
 * 1. Every table that is not a refcount is found from the header and claims
 *    its clusters: header, L1 tables, snapshot table, encryption header,
 *    bitmaps. No two may overlap.
 * 2. The L2 tables of all L1 tables are listed, sorted by place, each with the
 *    number of L1 entries that lead to it; so each is read once, in the order
 *    of the file, however many snapshots share it. Their entries are judged
 *    and the clusters they point to counted.
 * 3. The refcount table and blocks are compared with these counts. Whatever
 *    they share with other clusters counts against them: refcounts can be
 *    computed anew, nothing else can.
 * 4. Repair, in an order that is safe against a crash: refcounts up (or all of
 *    them anew, at the end of the file, switched to by one write into the
 *    header), then entries, then refcounts down.
 *
 * A table that holds more nonsense than sense was never such a table: that is
 * one finding, about the entry that led there, and it is not followed.
 *
 * What is in clusters is not looked at, unless the caller wants the compressed
 * ones unpacked, nor is the backing chain.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "io/loop.h"
#include "io/memory.h"
#include "common/bits.h"
#include "common/cleanup.h"
#include "common/file-id.h"
#include "image/graph/path.h"
#include "image/qcow2/check/check.h"

/* What contradicts itself within the header. */
static void validate_feature_bits(struct check *ck)
{
	const struct qcow2_header *h = ck->h;

	if (h->crypt_method == QCOW2_CRYPT_LUKS && !h->has_crypto)
		ck_corrupt_for_good(ck,
				    "ERROR the image is encrypted with LUKS, "
				    "but has no encryption header");
	if ((h->incompat & QCOW2_INCOMPAT_DATA_FILE) && !h->data_file)
		ck_corrupt_for_good(ck,
				    "ERROR the data is said to be in another "
				    "file, but no name of one is recorded");
	if (qcow2_external(h) && h->nb_snapshots)
		ck_corrupt_for_good(ck, "ERROR the image has snapshots and an "
				    "external data file, which cannot be");
	if (qcow2_raw_data(h) && h->backing_file)
		ck_corrupt_for_good(ck, "ERROR the image has a backing file and "
				    "a raw external data file, which cannot be");
	if ((h->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW) &&
	    !(h->incompat & QCOW2_INCOMPAT_DATA_FILE))
		ck_corrupt(ck,
			   "ERROR the raw external data bit is set without an "
			   "external data file");
	if ((h->autoclear & QCOW2_AUTOCLEAR_BITMAPS) && !h->has_bitmaps)
		ck_corrupt(ck, "ERROR the bitmaps feature bit is set without a "
			       "bitmaps extension");
}

/* An image that stands on itself. No repair knows what it should stand on. */
static void reject_self_reference(struct check *ck, const char *path,
				  const char *what, const char *named)
{
	cleanup_free char *name = NULL;

	if (!named || image_backing_path(path, named, &name, NULL) ||
	    !same_file_named(path, name))
		return;
	ck->unfixable++;
	ck_corrupt(ck, "ERROR the %s file '%s' is the image itself", what,
		   named);
}

static void check_init(struct check *ck, struct image *img,
		       const struct qcow2_header *h, enum image_repair repair,
		       struct image_check *res)
{
	bool extended = h->incompat & QCOW2_INCOMPAT_EXTENDED_L2;

	*res = (struct image_check){
		.report = res->report,
		.report_arg = res->report_arg,
		.progress = res->progress,
		.dry_run = res->dry_run,
		.data = res->data,
	};
	*ck = (struct check){
		.file = img->file,
		.h = h,
		.repair = repair,
		.res = res,
		.cluster_size = qcow2_cluster_size(h),
		.file_len = image_size(img->file),
		.l2_reserved = QCOW2_L2_RESERVED,
		.nb_snapshots = h->nb_snapshots,
		.snapshots_offset = h->snapshots_offset,
	};
	ck->nr_clusters = div_round_up(ck->file_len, ck->cluster_size);
	if (h->version < 3 || extended)
		ck->l2_reserved |= QCOW2_ZERO;
	if (extended)
		ck->blank.bitmap = UINT64_C(0xffffffff) << 32;
	else if (h->version >= 3)
		ck->blank.word = QCOW2_ZERO;
	res->total_clusters = div_round_up(h->size, ck->cluster_size);
}

/* Step 1: everything but L2 tables and refcounts. */
static int claim_tables(struct check *ck)
{
	const struct qcow2_header *h = ck->h;
	int ret = 0;

	validate_feature_bits(ck);
	ck_claim(ck, 0, min(ck->cluster_size, ck->file_len), "the header");
	if (h->has_crypto && h->crypto_length)
		ck_claim(ck, h->crypto_offset, h->crypto_length,
			 "the encryption header");
	if (h->l1_size && ck_claim(ck, h->l1_table_offset,
				   (uint64_t)h->l1_size * 8,
				   "the active L1 table"))
		ret = ck_add_l1(ck, h->l1_table_offset, h->l1_size, 0);
	if (!ret && h->nb_snapshots)
		ret = ck_load_snapshots(ck);
	if (!ret)
		ret = ck_load_bitmaps(ck);
	return ret ? ret : ck->ret;
}

static int count_references(struct check *ck)
{
	int ret = claim_tables(ck);

	for (size_t i = 0; i < ck->nr_l1 && !ret; i++)
		ret = ck_walk_l1(ck, &ck->l1[i], ck_collect_l1, false);
	if (ret)
		return ret;
	ck_unify_l2(ck);
	ret = ck->ret;
	if (!ret)
		ret = ck_load_reftable(ck);
	ck->total = ck->nr_l2 * ck->cluster_size + ck_refblock_bytes(ck);
	if (!ret)
		ret = ck_walk_l2(ck, ck_count_table, false);
	if (!ret)
		ck_resolve_suspects(ck);
	ck_data_finish(ck);
	if (ret)
		return ret;
	ck_find_shared_refblocks(ck);
	ck_judge_doubtful(ck);
	return ck->ret;
}

static void check_free(struct check *ck)
{
	refmap_free(&ck->refs);
	refmap_free(&ck->own);
	refmap_free(&ck->bitmaps);
	refmap_free(&ck->aliases);
	refmap_free(&ck->apart);
	free(ck->copied);
	free(ck->snapshot_kept);
	free(ck->l1);
	free(ck->l2);
	free(ck->suspects);
	free(ck->reftable);
}

/* A repair that nobody has asked for may take so much memory: enough for the
 * clusters that there is space for on the host, and for a good many that there is
 * none for; but not more than the account of memory has room for. */
#define ROOM_AT_OPENING (256 * MiB)
#define ROOM_FOR_CLUSTER 4

static uint64_t room_at_opening(const struct check *ck)
{
	uint64_t bytes = 0, room;

	if (image_allocated_size(ck->file, &bytes))
		bytes = 0;
	bytes = ROOM_AT_OPENING +
		(bytes >> ck->h->cluster_bits) * ROOM_FOR_CLUSTER;
	room = memory_room(loop_memory(ck->file->loop), MEMORY_TABLES);
	return max(min(bytes, room), UINT64_C(1));
}

static int check_and_repair(struct image *img, const struct qcow2_header *h,
			    enum image_repair repair, bool careful,
			    struct image_check *result, struct error *err)
{
	struct check ck;
	int ret;

	check_init(&ck, img, h, repair, result);
	ck.careful = careful;
	ck_data_init(&ck);
	reject_self_reference(&ck, img->path, "backing", h->backing_file);
	if (qcow2_external(h))
		reject_self_reference(&ck, img->path, "data", h->data_file);
	if (careful)
		ck.room = room_at_opening(&ck);
	ret = count_references(&ck);
	if (!ret)
		ret = ck_compare_refcounts(&ck);
	if (ret == -EFBIG && ck.room) {
		error_set(err, EFBIG, "the image was not closed cleanly, and to "
			  "repair it takes more than %" PRIu64 " bytes of "
			  "memory: 'xdisk check -r all' has no such limit",
			  ck.room);
	} else if (ret) {
		error_set_errno(err, -ret, "check");
	} else {
		result->image_end_offset =
			ck.any_in_use ? (ck.highest + 1) << h->cluster_bits : 0;
		if (repair != IMAGE_REPAIR_NONE)
			ret = ck_repair(&ck, err);
	}
	check_free(&ck);
	return ret;
}

int qcow2_check(struct image *img, const struct qcow2_header *h,
		enum image_repair repair, struct image_check *result,
		struct error *err)
{
	return check_and_repair(img, h, repair, false, result, err);
}

int qcow2_repair_dirty(struct image *img, const struct qcow2_header *h,
		       struct error *err)
{
	struct image_check res = {0};
	int ret = check_and_repair(img, h, IMAGE_REPAIR_ALL, true, &res, err);

	if (ret)
		return ret;
	if (res.check_errors || res.corruptions > res.corruptions_fixed)
		return error_set(err, EIO,
				 "the image was not closed cleanly "
				 "and has %" PRIu64 " errors that cannot be "
				 "repaired: look at it with 'xdisk check'",
				 res.check_errors + res.corruptions -
					 res.corruptions_fixed);
	return 0;
}
