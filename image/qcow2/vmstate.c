/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmstate.c: the state of a virtual machine, kept with a snapshot.
 *
 * Specification, "VM state": it lies behind the disk in the same mapping, from
 * the first L1 entry on that has nothing of the disk. Snapshots take it along,
 * since they copy the L1 table; the guest never sees it, and it has no backing
 * image. An external data file has no room for it.
 */
#include "image/qcow2/vmstate.h"

#include <errno.h>

#include "image/qcow2/begin.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/core/l1.h"
#include "image/qcow2/io.h"
#include "image/qcow2/map.h"
#include "image/qcow2/request.h"

static uint32_t l1_shift(const struct qcow2 *q)
{
	return q->cluster_bits + q->l2_bits;
}

/* L1 entries for [.., end) of the state; 0: more than there can be. */
static uint64_t entries_for(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	uint64_t most = (uint64_t)(QCOW2_MAX_L1_BYTES / 8) << l1_shift(q);
	uint64_t base = qcow2_vmstate_base(q);

	if (base > most || !range_within(off, len, most - base))
		return 0;
	return div_round_up(base + off + len, UINT64_C(1) << l1_shift(q));
}

/* co. Beyond the L1 table there are zeroes. */
int qcow2_vmstate_preadv(struct image *img, uint64_t off, uint64_t len,
			 struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t base = qcow2_vmstate_base(q), there;
	uint64_t end = (uint64_t)q->h.l1_size << l1_shift(q);

	if (qcow2_external(&q->h))
		return -ENOTSUP;
	there = end > base && off < end - base ? min(len, end - base - off) : 0;
	iow_zero(iow_advance(w, there), len - there);
	return there ? qcow2_preadv(img, base + off, there, w) : 0;
}

/* co. Nothing else may be in flight: the L1 table may have to become longer. */
int qcow2_vmstate_pwritev(struct image *img, uint64_t off, uint64_t len,
			  struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t entries = entries_for(q, off, len);
	struct qcow2_request r;
	int ret;

	if (qcow2_external(&q->h))
		return -ENOTSUP;
	if (!entries)
		return -EFBIG;
	ret = qcow2_writable(q, 0, 0);
	if (!ret && entries > q->h.l1_size) {
		ret = qcow2_commit_all(q);
		if (!ret)
			ret = qcow2_grow_l1(q, entries);
	}
	if (ret)
		return ret;
	qcow2_request_begin(q, &r);
	ret = qcow2_write_range(q, qcow2_vmstate_base(q) + off, len, w);
	qcow2_request_end(&r);
	q->modified++;
	return ret;
}
