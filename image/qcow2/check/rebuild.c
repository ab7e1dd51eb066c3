/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rebuild.c: a new refcount structure where the old one is of no use.
 *
 * Table and blocks go behind everything that is in use, all of them durable
 * before one write into the header switches to them.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/bits.h"
#include "common/cleanup.h"

/* ---- repair: a new refcount structure ---- */

/* Where it goes: the table, then the blocks, from cluster `base` on. */
struct rebuild {
	uint64_t base;
	uint64_t table_clusters;
	uint64_t *blocks; /* table indices that need one, sorted */
	uint64_t nr_blocks, max_blocks;
};

static int want_block(struct rebuild *r, uint64_t index)
{
	if (r->nr_blocks && r->blocks[r->nr_blocks - 1] >= index)
		return 0;
	if (array_reserve(r->blocks, r->nr_blocks, r->max_blocks))
		return -ENOMEM;
	r->blocks[r->nr_blocks++] = index;
	return 0;
}

/* The structure counts itself: lay it out until it covers what it takes. */
static int plan_rebuild(struct check *ck, struct rebuild *r)
{
	uint32_t bits = qcow2_refblock_bits(ck->h);
	uint64_t c = 0, end, last;
	int ret = 0;

	while (!ret && refmap_next(&ck->refs, c, &c, &ck->ret)) {
		ret = want_block(r, c >> bits);
		c = ((c >> bits) + 1) << bits;
	}
	ret = ret ? ret : ck->ret;
	r->base = max(ck->nr_clusters, ck->highest + 1);
	do {
		end = r->base + r->table_clusters + r->nr_blocks;
		last = end >> bits;
		for (uint64_t i = r->base >> bits; i <= last && !ret; i++)
			ret = want_block(r, i);
		r->table_clusters =
			div_round_up((last + 1) * 8, ck->cluster_size);
		if (r->table_clusters * ck->cluster_size >
			    QCOW2_MAX_REFTABLE_BYTES ||
		    end >= UINT64_C(1) << (56 - ck->h->cluster_bits))
			return -EFBIG;
	} while (!ret && r->base + r->table_clusters + r->nr_blocks > end);
	return ret;
}

static int write_blocks(struct check *ck, const struct rebuild *r,
			uint64_t *table)
{
	cleanup_free uint8_t *block = malloc(ck->cluster_size);
	uint32_t bits = qcow2_refblock_bits(ck->h);
	int ret = 0;

	if (!block)
		return -ENOMEM;
	for (uint64_t i = 0; i < r->nr_blocks && !ret; i++) {
		uint64_t at = (r->base + r->table_clusters + i)
			      << ck->h->cluster_bits;

		memset(block, 0, ck->cluster_size);
		ck_mend_refblock(ck, r->blocks[i] << bits, block, RAISE);
		ret = image_pwrite(ck->file, at, ck->cluster_size, block);
		store_be64(&table[r->blocks[i]], at);
	}
	return ret;
}

static int switch_reftable(struct check *ck, const struct rebuild *r)
{
	uint8_t fields[24];
	int ret;

	/* The snapshot table stands next to it: both change at once. */
	store_be64(fields, r->base << ck->h->cluster_bits);
	store_be32(fields + 8, (uint32_t)r->table_clusters);
	store_be32(fields + 12, ck->nb_snapshots);
	store_be64(fields + 16, ck->snapshots_offset);
	ret = image_pwrite(ck->file, QCOW2_OFF_REFTABLE, sizeof(fields),
			   fields);
	return ret ? ret : image_flush(ck->file);
}

static int write_rebuild(struct check *ck, const struct rebuild *r)
{
	uint64_t bytes = r->table_clusters << ck->h->cluster_bits;
	cleanup_free uint64_t *table = calloc(1, bytes);
	int ret = 0;

	if (!table)
		return -ENOMEM;
	refmap_free(&ck->own);
	for (uint64_t i = 0; i < r->table_clusters + r->nr_blocks; i++)
		if (refmap_add(&ck->own, r->base + i, 1, 0))
			return -ENOMEM;
	ret = write_blocks(ck, r, table);
	if (!ret)
		ret = image_pwrite(ck->file, r->base << ck->h->cluster_bits,
				   bytes, table);
	if (!ret)
		ret = image_flush(ck->file);
	return ret ? ret : switch_reftable(ck, r);
}

int ck_rebuild_refcounts(struct check *ck, struct error *err)
{
	struct rebuild r = {0};
	int ret = plan_rebuild(ck, &r);

	if (ret == -EFBIG)
		error_set(err, EFBIG,
			  "a refcount table for a file of %" PRIu64
			  " bytes would be larger than %u bytes",
			  ck->file_len, QCOW2_MAX_REFTABLE_BYTES);
	if (!ret) {
		ck_note(ck,
			"Writing a new refcount structure at offset %#" PRIx64,
			r.base << ck->h->cluster_bits);
		ret = write_rebuild(ck, &r);
	}
	free(r.blocks);
	return ret;
}
