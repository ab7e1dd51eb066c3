/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * repack.c: see repack.h.
 *
 * An L2 entry tells the sectors that a stream lies in, not where it ends: it is
 * unpacked to find that out, so that it does not take the rest of its last sector
 * along each time it is moved. One that cannot be unpacked is moved as it is.
 */
#include "image/qcow2/rework/repack.h"

#include <errno.h>
#include <stdlib.h>

#include "image/codec/codec.h"
#include "image/qcow2/compress.h"
#include "image/qcow2/core/bytes.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/map.h"
#include "io/loop.h"

#define FIRST_BITS 10u

int qcow2_repack_init(struct qcow2_repack *r, struct qcow2 *q, uint64_t limit)
{
	/* As many sectors as an entry can tell, two clusters at most. */
	uint64_t most = 2 * q->cluster_size + SECTOR_SIZE;

	*r = (struct qcow2_repack){ .q = q, .limit = limit };
	r->bits = FIRST_BITS;
	r->in = malloc(most);
	r->out = malloc(q->cluster_size);
	r->moves = calloc(UINT64_C(1) << r->bits, sizeof(*r->moves));
	if (!r->in || !r->out || !r->moves) {
		qcow2_repack_deinit(r);
		return -ENOMEM;
	}
	q->nr_tails = 0;
	q->inflated_entry = 0;
	return 0;
}

void qcow2_repack_deinit(struct qcow2_repack *r)
{
	free(r->in);
	free(r->out);
	free(r->moves);
	r->in = r->out = NULL;
	r->moves = NULL;
}

/* ---- where each one went ---- */

static struct qcow2_repack_move *repack_slot(const struct qcow2_repack *r,
					     uint64_t from)
{
	uint64_t mask = (UINT64_C(1) << r->bits) - 1;
	uint64_t i = from * UINT64_C(0x9e3779b97f4a7c15) >> (64 - r->bits);

	while (r->moves[i].from && r->moves[i].from != from)
		i = (i + 1) & mask;
	return &r->moves[i];
}

static int grow_moves(struct qcow2_repack *r)
{
	struct qcow2_repack_move *old = r->moves;
	uint64_t nr = UINT64_C(1) << r->bits;
	struct qcow2_repack_move *moves = calloc(2 * nr, sizeof(*moves));

	if (!moves)
		return -ENOMEM;
	r->moves = moves;
	r->bits++;
	for (uint64_t i = 0; i < nr; i++)
		if (old[i].from)
			*repack_slot(r, old[i].from) = old[i];
	free(old);
	return 0;
}

static int remember_move(struct qcow2_repack *r, uint64_t from, uint64_t to)
{
	if (2 * ++r->nr > UINT64_C(1) << r->bits && grow_moves(r))
		return -ENOMEM;
	*repack_slot(r, from) = (struct qcow2_repack_move){from, to};
	return 0;
}

/* ---- moving ---- */

/* co. How many of the bytes in r->in are the stream's. */
static uint64_t stream_length(struct qcow2_repack *r, uint64_t len)
{
	struct codec_job job = {
		.type = qcow2_codec_of(&r->q->h),
		.in = r->in,
		.in_len = len,
		.out = r->out,
		.out_len = r->q->cluster_size,
	};

	return loop_compute(r->q->file->loop, codec_unpack, &job) ?
		       len : job.in_used;
}

static struct qcow2_entry entry_of(uint64_t word)
{
	return (struct qcow2_entry){ .word = word };
}

/* co. One more reference for each host cluster of a copy that is there. */
static int share_packed_once(struct qcow2 *q, uint64_t word)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(q->cluster_bits, word);
	uint64_t first = c.offset >> q->cluster_bits, k;
	uint64_t last = (c.offset + c.len - 1) >> q->cluster_bits;
	int ret = 0;

	co_mutex_lock(&q->alloc_lock);
	for (k = first; !ret && k <= last; k++)
		ret = qcow2_share_cluster(q, k);
	co_mutex_unlock(&q->alloc_lock);
	if (ret && --k > first)
		qcow2_free_clusters(q, first << q->cluster_bits, k - first,
				    false);
	return ret;
}

/* co. All or none. -ERANGE: more than can be counted. */
static int share_packed(struct qcow2 *q, uint64_t word, uint64_t refs)
{
	uint64_t n;
	int ret = 0;

	for (n = 0; !ret && n < refs; n++)
		ret = share_packed_once(q, word);
	if (ret)
		while (--n)
			qcow2_free_entry(q, entry_of(word), false);
	return ret;
}

/* co. *new 0: there is no room. */
static int copy_packed(struct qcow2_repack *r, uint64_t word, uint64_t refs,
		       uint64_t *new)
{
	struct qcow2 *q = r->q;
	struct qcow2_compressed c =
		qcow2_compressed_decode(q->cluster_bits, word);
	struct qcow2_entry entry;
	uint64_t len, host;
	int ret = image_pread(q->file, c.offset, c.len, r->in);

	if (ret)
		return ret;
	len = stream_length(r, c.len);
	ret = qcow2_alloc_bytes(q, len, &host);
	if (ret)
		return ret == -ENOSPC ? 0 : ret;
	entry = entry_of(qcow2_compressed_encode(q->cluster_bits, host, len));
	if (host + len > r->limit || !entry.word) {
		qcow2_free_clusters(q, align_down(host, q->cluster_size),
				    ((host + len - 1) >> q->cluster_bits) -
					    (host >> q->cluster_bits) + 1,
				    false);
		r->full = true;
		q->nr_tails = 0;
		return 0;
	}
	ret = share_packed(q, entry.word, refs - 1);
	if (!ret)
		ret = image_pwrite(q->file, host, len, r->in);
	if (ret) {
		qcow2_free_entry(q, entry, false);
		return ret == -ERANGE ? 0 : ret;
	}
	r->moved += len;
	*new = entry.word;
	return remember_move(r, word, entry.word);
}

int qcow2_repack(struct qcow2_repack *r, uint64_t word, uint64_t refs,
		 uint64_t *new)
{
	const struct qcow2_repack_move *before = repack_slot(r, word);
	int ret = -ERANGE;

	*new = 0;
	if (before->from)
		ret = share_packed(r->q, before->to, refs);
	if (!ret)
		*new = before->to;
	/* More references than can be counted: another copy. */
	if (ret == -ERANGE)
		ret = r->full ? 0 : copy_packed(r, word, refs, new);
	return ret;
}
