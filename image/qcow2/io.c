/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io.c: reads and writes.
 *
 * A request is taken apart into runs that one lookup answers. A run that is
 * mapped goes straight to the file; the parts of a request that lie in several
 * mapped runs go side by side. A write into a cluster that cannot be written in
 * place (not allocated, shared, compressed, zero) takes a new one:
 *
 *	register the guest clusters in q->allocs (others wait)
 *	take host clusters
 *	write the data, with what the rest of the first and last cluster
 *	must hold around it, in one write
 *	point the L2 entries at the new clusters, in memory
 *
 * Where a new cluster reads as zeroes already (fresh space of a sparse file)
 * and so did the old one, only the guest's own bytes are written.
 *
 * All of it goes by subclusters, of which a cluster is one if the image has none:
 * only those that are touched get their data around the guest's bytes, and a
 * cluster that has a place already takes more of them there.
 */
#include "image/qcow2/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/graph/chain.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/compress.h"
#include "image/qcow2/core/commit.h"
#include "image/qcow2/crypt.h"
#include "image/qcow2/data.h"
#include "image/qcow2/map.h"
#include "image/qcow2/request.h"
#include "io/co-group.h"
#include "io/loop.h"
#include "io/memory.h"

#define PARTS_AT_ONCE 8

/* Zeroing more than this goes through the file's own way of doing so. */
#define PAD_MAX (64 * KiB)

/* ---- reads ---- */

static int inflate_some(struct qcow2 *q, uint64_t entry, uint64_t in,
			uint64_t len, struct iow w)
{
	uint8_t *whole = len == q->cluster_size ? iow_linear(w, len) : NULL;

	return whole ? qcow2_inflate_once(q, entry, whole) :
		       qcow2_inflate_part(q, entry, in, len, w);
}

static int read_compressed(struct qcow2 *q, uint64_t entry, uint64_t off,
			   uint64_t len, struct iow w)
{
	int ret = inflate_some(q, entry, off & (q->cluster_size - 1), len, w);
	struct qcow2_compressed c;

	if (likely(ret != -EIO))
		return ret;
	c = qcow2_compressed_decode(q->cluster_bits, entry);
	if (!range_within(c.offset, c.len, q->file->size))
		qcow2_tell(q, LOG_LEVEL_ERROR, "the compressed cluster of guest "
			   "offset %#" PRIx64 " at %#" PRIx64 " is cut off by "
			   "the end of the file of %" PRIu64 " bytes",
			   align_down(off, q->cluster_size), c.offset,
			   q->file->size);
	return ret;
}

/* co. `len` bytes of what was looked up for `off`. */
static int read_mapping(struct qcow2 *q, const struct qcow2_mapping *m,
			uint64_t off, uint64_t len, struct iow w)
{
	switch (m->kind) {
	case QCOW2_NORMAL:
		return qcow2_read_data(q, off, m->host, len, w);
	case QCOW2_UNALLOCATED:
	case QCOW2_UNALLOCATED_ALLOC:
		if (unlikely(off >= q->img->size)) {
			iow_zero(w, len);	/* a VM state has no backing image */
			return 0;
		}
		image_event(q->file, IMAGE_EVENT_READ_BACKING_AIO);
		return chain_preadv(q->img, off, len, w);
	case QCOW2_COMPRESSED_CLUSTER:
		return read_compressed(q, m->entry.word, off, len, w);
	case QCOW2_ZERO_PLAIN:
	case QCOW2_ZERO_ALLOC:
		iow_zero(w, len);
		return 0;
	}
	return -EIO;
}

/* A run of a request that goes its own way. */
struct part {
	struct qcow2 *q;
	struct qcow2_mapping m;		/* of exactly its bytes */
	uint64_t off;
	struct iow w;
};

static int run_read(void *arg)
{
	struct part p = *(struct part *)arg;

	return read_mapping(p.q, &p.m, p.off, p.m.len, p.w);
}

static int run_data_write(void *arg)
{
	struct part p = *(struct part *)arg;

	return qcow2_write_data(p.q, p.off, p.m.host, p.m.len, p.w);
}

static int look_up_part(struct qcow2 *q, uint64_t off, uint64_t len,
			struct iow w, struct part *p)
{
	p->q = q;
	p->off = off;
	p->w = w;
	return qcow2_lookup(q, off, len, &p->m);
}

/* co. The rest of a request whose first run is `p`. */
static int read_parts(struct qcow2 *q, struct part *p, uint64_t off,
		      uint64_t len, struct iow w)
{
	struct co_group g;
	int ret = 0;

	co_group_init(&g, PARTS_AT_ONCE);
	for (;;) {
		if (!co_group_start(&g, run_read, p))
			break;
		off += p->m.len;
		len -= p->m.len;
		w = iow_advance(w, p->m.len);
		if (!len)
			break;
		ret = look_up_part(q, off, len, w, p);
		if (ret)
			break;
	}
	return co_group_wait(&g) ?: ret;
}

static int read_disk_range(struct qcow2 *q, uint64_t off, uint64_t len,
			   struct iow w)
{
	struct part p;
	int ret = look_up_part(q, off, len, w, &p);

	if (unlikely(ret))
		return ret;
	if (likely(p.m.len == len))
		return read_mapping(q, &p.m, off, len, w);
	return read_parts(q, &p, off, len, w);
}

int qcow2_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_request r;
	int ret;

	qcow2_request_begin(q, &r);
	ret = read_disk_range(q, off, len, w);
	qcow2_request_end(&r);
	return ret;
}

/* ---- writes into new clusters ---- */

/* co. What the guest sees at `off`, zeroes beyond the end of the disk; or the VM
 * state. */
static int read_old(struct qcow2 *q, uint64_t off, uint64_t len, uint8_t *buf)
{
	uint64_t there = off < q->img->size ?
				 min(len, q->img->size - off) : 0;
	struct iovec iov;
	int ret = 0;

	if (unlikely(!there && off >= qcow2_vmstate_base(q)))
		there = len;
	iov = (struct iovec){ buf, there };
	if (there)
		ret = read_disk_range(q, off, there, iow_of(&iov, 1));
	memset(buf + there, 0, len - there);
	return ret;
}

/* co. One write: head, the guest's bytes from `off` on, tail. */
static int write_padded(struct qcow2 *q, uint64_t off, uint64_t host,
			uint8_t *head,
			uint64_t head_len, struct iow w, uint64_t len,
			uint8_t *tail, uint64_t tail_len)
{
	int n = iow_count(w, len);
	cleanup_free struct iovec *iov = malloc(((size_t)n + 2) * sizeof(*iov));

	if (!iov)
		return -ENOMEM;
	iov[0] = (struct iovec){ head, head_len };
	iow_fill(w, len, iov + 1);
	iov[n + 1] = (struct iovec){ tail, tail_len };
	return qcow2_write_data(q, off - head_len, host,
				head_len + len + tail_len, iow_of(iov, n + 2));
}

/* What a write into a run has to write, for whole subclusters to be there. */
struct cow {
	uint64_t start, end;		/* guest bytes */
	bool zero;			/* around the guest's: zeroes */
};

/* A cluster that is left behind takes all along that it holds. */
static void widen_cow(const struct qcow2 *q, const struct part *p,
		      struct cow *c)
{
	uint64_t base = align_down(p->off, q->cluster_size);
	uint32_t alloc = (uint32_t)p->m.entry.bitmap;
	uint64_t first, end;

	if (p->m.kind == QCOW2_COMPRESSED_CLUSTER)
		alloc = UINT32_MAX;
	if (!alloc || !qcow2_extended(&q->h))
		return;
	first = base + ((uint64_t)__builtin_ctz(alloc) << q->sub_bits);
	end = base + ((uint64_t)(32 - __builtin_clz(alloc)) << q->sub_bits);
	c->zero &= first >= c->start && end <= c->end;
	c->start = min(c->start, first);
	c->end = max(c->end, end);
}

static struct cow plan_cow(const struct qcow2 *q, const struct part *p,
			   bool in_place)
{
	struct cow c = {
		.start = align_down(p->off, q->sub_size),
		.end = align_up(p->off + p->m.len, q->sub_size),
		.zero = qcow2_reads_zero(q, &p->m, p->off),
	};

	if (!in_place)
		widen_cow(q, p, &c);
	/* A data file need not reach further than the disk. */
	if (qcow2_external(&q->h))
		c.end = max(min(c.end, q->img->size), p->off + p->m.len);
	return c;
}

/* co. The part with what is around it to `host`, which is where c->start goes.
 * fresh: the file reads as zeroes there. */
static int write_new_clusters(struct qcow2 *q, const struct part *p,
			      const struct cow *c, uint64_t host, bool fresh)
{
	uint64_t head = p->off - c->start, len = p->m.len;
	uint64_t tail = c->end - p->off - len;
	cleanup_buffer struct memory_buffer b = { 0 };
	uint8_t *pad;
	int ret;

	if (!head && !tail)
		return qcow2_write_data(q, p->off, host, len, p->w);
	/* What was never encrypted does not read as zeroes. */
	fresh &= !q->crypto;
	if (c->zero && !fresh && !q->crypto && head + tail > PAD_MAX) {
		ret = image_pwrite_zeroes(q->data, host, head + len + tail, 0);
		if (ret)
			return ret;
		fresh = true;
	}
	if (c->zero && fresh)
		return qcow2_write_data(q, p->off, host + head, len, p->w);
	ret = memory_buffer_get(&b, loop_memory(q->img->loop), MEMORY_COW,
				head + tail, 4096);
	if (ret)
		return ret;
	pad = b.data;
	if (c->zero) {
		memset(pad, 0, head + tail);
	} else {
		image_event(q->file, IMAGE_EVENT_COW_READ);
		ret = read_old(q, c->start, head, pad);
		if (!ret)
			ret = read_old(q, p->off + len, tail, pad + head);
		if (ret)
			return ret;
	}
	image_event(q->file, IMAGE_EVENT_COW_WRITE);
	return write_padded(q, p->off, host, pad, head, p->w, len, pad + head,
			    tail);
}

/* `old` after the guest's [start, end) was written to the cluster at `host`. */
static struct qcow2_entry linked_entry(const struct qcow2 *q, uint64_t index,
				       struct qcow2_entry old,
				       const struct cow *c, uint64_t host)
{
	uint64_t base = index << q->cluster_bits, subs;
	uint64_t first = max(c->start, base) - base;
	uint64_t end = min(c->end, base + q->cluster_size) - base;
	struct qcow2_entry new = { .word = host | QCOW2_COPIED };

	if (!qcow2_extended(&q->h))
		return new;
	subs = qcow2_subs((unsigned int)(first >> q->sub_bits),
			  (unsigned int)(align_up(end, q->sub_size) >>
					 q->sub_bits));
	new.bitmap = (old.bitmap | subs) & ~(subs << 32);
	return new;
}

/* co. Points the guest clusters of `c` at the host clusters from `host` on;
 * *linked: how many it did before it failed. */
static int link_written(struct qcow2 *q, const struct cow *c, uint64_t host,
			uint64_t *linked)
{
	uint64_t index = c->start >> q->cluster_bits, n;
	uint64_t count = ((c->end - 1) >> q->cluster_bits) - index + 1;
	struct qcow2_slice *slice;
	void *table;
	int ret;

	for (*linked = 0; *linked < count; *linked += n, index += n) {
		ret = qcow2_l2_for_write(q, index, &slice, &table, &n);
		if (ret)
			return ret;
		n = min(n, count - *linked);
		for (uint64_t i = 0; i < n; i++, host += q->cluster_size) {
			struct qcow2_entry old =
				qcow2_entry_load(&q->h, table, i);

			qcow2_entry_store(&q->h, table, i,
					  linked_entry(q, index + i, old, c,
						       host));
			if ((old.word & QCOW2_COMPRESSED) ||
			    (old.word & QCOW2_L2_OFFSET) != host)
				qcow2_free_entry(q, old, false);
		}
		qcow2_cache_dirty(&q->l2_cache, slice);
		qcow2_cache_put(slice);
	}
	return 0;
}

/* No guest data over a table, whatever an L2 entry says. */
static int judge_data(struct qcow2 *q, const struct part *p)
{
	uint64_t c = p->m.host >> q->cluster_bits;
	uint64_t last = (p->m.host + p->m.len - 1) >> q->cluster_bits;

	if (qcow2_external(&q->h))
		return 0;
	for (; c <= last; c++) {
		enum qcow2_meta type = qcow2_meta_type(&q->meta, c);

		if (unlikely(type != QCOW2_META_NONE))
			return qcow2_corrupt(q, "guest data at %#llx would be "
					     "written over %s",
					     (unsigned long long)p->off,
					     qcow2_meta_name(type));
	}
	return 0;
}

/* Is there a cluster that subclusters can be added to? */
static bool has_place(const struct qcow2_mapping *m)
{
	return m->copied && (m->kind == QCOW2_ZERO_ALLOC ||
			     m->kind == QCOW2_UNALLOCATED_ALLOC);
}

/* co. Host clusters for the part, which gets shorter where they are fewer. A
 * shared cluster has subclusters of its own to copy: one at a time. The L2 table
 * comes first, so that the data of several tables does not lie between them. */
static int take_clusters(struct qcow2 *q, struct part *p, uint64_t *host,
			 uint64_t *count, bool *fresh)
{
	uint64_t in = p->off & (q->cluster_size - 1);
	int ret = qcow2_make_l2(q, p->off >> q->cluster_bits);

	if (unlikely(ret))
		return ret;
	if (qcow2_extended(&q->h) && qcow2_entry_placed(&q->h,
							p->m.entry.word))
		p->m.len = min(p->m.len, q->cluster_size - in);
	ret = qcow2_alloc_data(q, p->off >> q->cluster_bits,
			       (in + p->m.len + q->cluster_size - 1) >>
				       q->cluster_bits, host, count, fresh);
	if (!ret)
		p->m.len = min(p->m.len, (*count << q->cluster_bits) - in);
	return ret;
}

/* co. Writes what it can of a run that has no place of its own yet, and sets
 * its length to that. The caller saw the mapping and has not waited since. */
static int write_allocating(struct qcow2 *q, struct part *p)
{
	uint64_t in = p->off & (q->cluster_size - 1), host, count = 0;
	bool in_place = has_place(&p->m), fresh = false;
	struct qcow2_alloc a;
	uint64_t linked = 0;
	struct cow c;
	int ret;

	qcow2_alloc_begin(q, &a, p->off >> q->cluster_bits,
			  (p->off + p->m.len - 1) >> q->cluster_bits);
	host = p->m.host - in;
	ret = in_place ? judge_data(q, p) :
			 take_clusters(q, p, &host, &count, &fresh);
	if (ret)
		goto out;
	c = plan_cow(q, p, in_place);
	ret = write_new_clusters(
		q, p, &c, host + (c.start & (q->cluster_size - 1)), fresh);
	if (!ret)
		ret = link_written(q, &c, host, &linked);
	if (ret && linked < count)
		qcow2_free_data(q, host + (linked << q->cluster_bits),
				count - linked);
out:
	qcow2_alloc_end(&a);
	return ret;
}

/* ---- writes ---- */

int qcow2_write_range(struct qcow2 *q, uint64_t off, uint64_t len,
		      struct iow w)
{
	struct co_group g;
	struct part p;
	int ret = 0;

	co_group_init(&g, PARTS_AT_ONCE);
	while (len) {
		ret = look_up_part(q, off, len, w, &p);
		if (ret)
			break;
		if (p.m.kind == QCOW2_NORMAL && p.m.copied) {
			ret = judge_data(q, &p);
			if (ret)
				break;
			if (p.m.len == len && !g.running && !g.ret)
				return run_data_write(&p);
			if (!co_group_start(&g, run_data_write, &p))
				break;
		} else {
			if (qcow2_alloc_wait(q, off >> q->cluster_bits,
					     (off + p.m.len - 1) >>
						     q->cluster_bits))
				continue;
			ret = write_allocating(q, &p);
			if (ret)
				break;
		}
		off += p.m.len;
		len -= p.m.len;
		w = iow_advance(w, p.m.len);
	}
	return co_group_wait(&g) ?: ret;
}

static int write_once(struct qcow2 *q, uint64_t off, uint64_t len,
		      struct iow w)
{
	struct qcow2_request r;
	int ret = qcow2_writable(q, off, len);

	if (unlikely(ret))
		return ret;
	qcow2_request_begin(q, &r);
	ret = qcow2_write_range(q, off, len, w);
	qcow2_request_end(&r);
	q->modified++;
	return ret;
}

int qcow2_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	int ret = write_once(q, off, len, w);

	/* On a full device a commit may let go of what was freed. */
	if (unlikely(ret == -ENOSPC) && q->freed.nr && !qcow2_commit(q))
		ret = write_once(q, off, len, w);
	return ret;
}

/* ---- flush ---- */

int qcow2_flush(struct image *img)
{
	return qcow2_commit(qcow2_of(img));
}
