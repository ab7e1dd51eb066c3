/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-io.c: reads, writes, zeroes and discards.
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
 */
#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/co-group.h"
#include "image/qcow2-io.h"
#include "image/qcow2.h"

#define PARTS_AT_ONCE 8

/* Clusters cleared at a time: a commit must be able to come between. */
#define CLEAR_AT_ONCE 65536

/* Zeroing more than this goes through the file's own way of doing so. */
#define PAD_MAX (64 * KiB)

/* ---- guest clusters that are being changed ---- */

bool qcow2_alloc_wait(struct qcow2 *q, uint64_t first, uint64_t last)
{
	struct qcow2_alloc *a;

	list_for_each(a, &q->allocs, link) {
		if (a->first <= last && first <= a->last) {
			co_queue_wait(&a->waiters);
			return true;
		}
	}
	return false;
}

void qcow2_alloc_begin(struct qcow2 *q, struct qcow2_alloc *a, uint64_t first,
		       uint64_t last)
{
	a->first = first;
	a->last = last;
	co_queue_init(&a->waiters);
	list_add_tail(&q->allocs, &a->link);
}

void qcow2_alloc_end(struct qcow2_alloc *a)
{
	list_del(&a->link);
	co_queue_wake_all(&a->waiters);
}

/* ---- reads ---- */

static uint64_t clusters_of(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	uint64_t in = off & (q->cluster_size - 1);

	return (in + len + q->cluster_size - 1) >> q->cluster_bits;
}

/* co. Zeroes beyond the end of the backing image. */
static int read_backing(struct qcow2 *q, uint64_t off, uint64_t len,
			struct iow w)
{
	struct image *backing = q->img->backing;
	uint64_t there = 0;
	int ret = 0;

	if (backing && off < backing->size)
		there = min(len, backing->size - off);
	if (there)
		ret = image_preadv(backing, off, there, w);
	if (!ret && there < len)
		iow_zero(iow_advance(w, there), len - there);
	return ret;
}

static int read_compressed(struct qcow2 *q, uint64_t entry, uint64_t in,
			   uint64_t len, struct iow w)
{
	cleanup_free uint8_t *buf = malloc(q->cluster_size);
	int ret = buf ? qcow2_inflate(q, entry, buf) : -ENOMEM;

	if (!ret)
		iow_from_buf(w, buf + in, len);
	return ret;
}

/* co. `len` bytes from `in` bytes into a mapping. */
static int read_mapping(struct qcow2 *q, const struct qcow2_mapping *m,
			uint64_t off, uint64_t len, struct iow w)
{
	uint64_t in = off & (q->cluster_size - 1);

	switch (m->kind) {
	case QCOW2_NORMAL:
		return image_preadv(q->file, m->host + in, len, w);
	case QCOW2_UNALLOCATED:
		return read_backing(q, off, len, w);
	case QCOW2_COMPRESSED_CLUSTER:
		return read_compressed(q, m->entry, in, len, w);
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
	struct qcow2_mapping m;
	uint64_t off, len;
	struct iow w;
};

static int run_read(void *arg)
{
	struct part p = *(struct part *)arg;

	return read_mapping(p.q, &p.m, p.off, p.len, p.w);
}

static int run_write(void *arg)
{
	struct part p = *(struct part *)arg;

	return image_pwritev(p.q->file,
			     p.m.host + (p.off & (p.q->cluster_size - 1)),
			     p.len, p.w);
}

static int look_up(struct qcow2 *q, uint64_t off, uint64_t len, struct iow w,
		   struct part *p)
{
	uint64_t in = off & (q->cluster_size - 1);
	int ret;

	p->q = q;
	p->off = off;
	p->w = w;
	ret = qcow2_lookup(q, off >> q->cluster_bits, clusters_of(q, off, len),
			   &p->m);
	if (!ret)
		p->len = min(len, (p->m.clusters << q->cluster_bits) - in);
	return ret;
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
		off += p->len;
		len -= p->len;
		w = iow_advance(w, p->len);
		if (!len)
			break;
		ret = look_up(q, off, len, w, p);
		if (ret)
			break;
	}
	return co_group_wait(&g) ?: ret;
}

static int read_range(struct qcow2 *q, uint64_t off, uint64_t len,
		      struct iow w)
{
	struct part p;
	int ret = look_up(q, off, len, w, &p);

	if (unlikely(ret))
		return ret;
	if (likely(p.len == len))
		return read_mapping(q, &p.m, off, len, w);
	return read_parts(q, &p, off, len, w);
}

int qcow2_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_request r;
	int ret;

	qcow2_request_begin(q, &r);
	ret = read_range(q, off, len, w);
	qcow2_request_end(&r);
	return ret;
}

/* ---- writes into new clusters ---- */

/* Does what is in a mapping now read as zeroes? */
static bool reads_zero(const struct qcow2 *q, const struct qcow2_mapping *m,
		       uint64_t off)
{
	const struct image *backing = q->img->backing;

	switch (m->kind) {
	case QCOW2_ZERO_PLAIN:
	case QCOW2_ZERO_ALLOC:
		return true;
	case QCOW2_UNALLOCATED:
		return !backing || align_down(off, q->cluster_size) >=
					   backing->size;
	case QCOW2_NORMAL:
	case QCOW2_COMPRESSED_CLUSTER:
		return false;
	}
	return false;
}

/* co. What the guest sees at `off`, zeroes beyond the end of the disk. */
static int read_old(struct qcow2 *q, uint64_t off, uint64_t len, uint8_t *buf)
{
	uint64_t there = off < q->img->size ?
				 min(len, q->img->size - off) : 0;
	struct iovec iov = { buf, there };
	int ret = 0;

	if (there)
		ret = read_range(q, off, there, iow_of(&iov, 1));
	memset(buf + there, 0, len - there);
	return ret;
}

/* co. One write: head, the guest's bytes, tail. */
static int write_padded(struct qcow2 *q, uint64_t host, uint8_t *head,
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
	return image_pwritev(q->file, host, head_len + len + tail_len,
			     iow_of(iov, n + 2));
}

/* co. [off, off + len) into the host clusters at `host`, whose rest gets what
 * the mapping held before. */
static int write_new(struct qcow2 *q, const struct qcow2_mapping *m,
		     uint64_t off, uint64_t len, struct iow w, uint64_t host,
		     bool fresh)
{
	uint64_t head = off & (q->cluster_size - 1);
	uint64_t tail = -(off + len) & (q->cluster_size - 1);
	bool zero = reads_zero(q, m, off);
	cleanup_free uint8_t *pad = NULL;
	int ret;

	if (!head && !tail)
		return image_pwritev(q->file, host, len, w);
	if (zero && !fresh && head + tail > PAD_MAX) {
		ret = image_pwrite_zeroes(q->file, host, head + len + tail, 0);
		if (ret)
			return ret;
		fresh = true;
	}
	if (zero && fresh)
		return image_pwritev(q->file, host + head, len, w);
	if (posix_memalign((void **)&pad, 4096, head + tail))
		return -ENOMEM;
	if (zero) {
		memset(pad, 0, head + tail);
	} else {
		ret = read_old(q, off - head, head, pad);
		if (!ret)
			ret = read_old(q, off + len, tail, pad + head);
		if (ret)
			return ret;
	}
	return write_padded(q, host, pad, head, w, len, pad + head, tail);
}

/* co. Points `count` guest clusters at the host clusters from `host` on;
 * *linked: how many it did before it failed. */
static int link_clusters(struct qcow2 *q, uint64_t index, uint64_t count,
			 uint64_t host, uint64_t *linked)
{
	struct qcow2_slice *slice;
	uint64_t *e, n;
	int ret;

	for (*linked = 0; *linked < count; *linked += n) {
		ret = qcow2_l2_for_write(q, index + *linked, &slice, &e, &n);
		if (ret)
			return ret;
		n = min(n, count - *linked);
		for (uint64_t i = 0; i < n; i++, host += q->cluster_size) {
			uint64_t old = load_be64(&e[i]);

			store_be64(&e[i], host | QCOW2_COPIED);
			if ((old & QCOW2_COMPRESSED) ||
			    (old & QCOW2_L2_OFFSET) != host)
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
	uint64_t n = clusters_of(q, p->off, p->len);

	for (uint64_t i = 0; i < n; i++) {
		enum qcow2_meta type = qcow2_meta_type(&q->meta, c + i);

		if (unlikely(type != QCOW2_META_NONE))
			return qcow2_corrupt(q, "guest data at %#llx would be "
					     "written over %s",
					     (unsigned long long)p->off,
					     qcow2_meta_name(type));
	}
	return 0;
}

/* co. Writes what it can of a run that has no place of its own yet; *done
 * bytes. The caller saw the mapping and has not waited since. */
static int write_allocating(struct qcow2 *q, const struct part *p,
			    uint64_t *done)
{
	uint64_t first = p->off >> q->cluster_bits, host, count, len;
	uint64_t want = clusters_of(q, p->off, p->len);
	uint64_t in = p->off & (q->cluster_size - 1);
	bool reuse = p->m.kind == QCOW2_ZERO_ALLOC && p->m.copied;
	uint64_t linked = 0;
	bool fresh = false;
	struct qcow2_alloc a;
	int ret = 0;

	qcow2_alloc_begin(q, &a, first, first + want - 1);
	if (reuse) {
		host = p->m.host;
		count = p->m.clusters;
		ret = judge_data(q, p);
	} else {
		ret = qcow2_alloc_clusters(q, want, &host, &count, &fresh);
	}
	if (ret)
		goto out;
	len = min(p->len, (count << q->cluster_bits) - in);
	ret = write_new(q, &p->m, p->off, len, p->w, host, fresh);
	if (!ret)
		ret = link_clusters(q, first, clusters_of(q, p->off, len), host,
				    &linked);
	if (ret && !reuse && linked < count)
		qcow2_free_clusters(q, host + (linked << q->cluster_bits),
				    count - linked, false);
	*done = len;
out:
	qcow2_alloc_end(&a);
	return ret;
}

/* ---- writes ---- */

static int write_range(struct qcow2 *q, uint64_t off, uint64_t len,
		       struct iow w)
{
	struct co_group g;
	struct part p;
	int ret = 0;

	co_group_init(&g, PARTS_AT_ONCE);
	while (len) {
		ret = look_up(q, off, len, w, &p);
		if (ret)
			break;
		if (p.m.kind == QCOW2_NORMAL && p.m.copied) {
			ret = judge_data(q, &p);
			if (ret)
				break;
			if (p.len == len && !g.running && !g.ret)
				return run_write(&p);
			if (!co_group_start(&g, run_write, &p))
				break;
		} else {
			if (qcow2_alloc_wait(q, off >> q->cluster_bits,
					     (off + p.len - 1) >>
						     q->cluster_bits))
				continue;
			ret = write_allocating(q, &p, &p.len);
			if (ret)
				break;
		}
		off += p.len;
		len -= p.len;
		w = iow_advance(w, p.len);
	}
	return co_group_wait(&g) ?: ret;
}

int qcow2_writable(struct qcow2 *q)
{
	int ret;

	if (unlikely(q->stopped))
		return q->stopped;
	if (unlikely(!q->write_begun)) {
		ret = qcow2_begin_write(q);
		if (ret)
			return ret;
	}
	return qcow2_relieve(q);
}

int qcow2_pwritev(struct image *img, uint64_t off, uint64_t len, struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	struct qcow2_request r;
	int ret = qcow2_writable(q);

	if (unlikely(ret))
		return ret;
	qcow2_request_begin(q, &r);
	ret = write_range(q, off, len, w);
	qcow2_request_end(&r);
	q->modified++;
	return ret;
}

/* ---- zeroes and discards: whole clusters ---- */

enum clear_how {
	CLEAR_KEEP,	/* reads as zeroes, keeps its space */
	CLEAR_FREE,	/* reads as zeroes, gives its space back */
};

/* What an entry becomes; the old one where nothing has to change. */
static uint64_t cleared(const struct qcow2 *q, uint64_t old, enum clear_how how)
{
	switch (qcow2_entry_kind(old)) {
	case QCOW2_UNALLOCATED:
		if (!q->img->backing)
			return old;
		break;
	case QCOW2_ZERO_PLAIN:
		return old;
	case QCOW2_NORMAL:
	case QCOW2_ZERO_ALLOC:
		if (how == CLEAR_KEEP && (old & QCOW2_COPIED))
			return old | QCOW2_ZERO;
		break;
	case QCOW2_COMPRESSED_CLUSTER:
		break;
	}
	return q->h.version >= 3 ? QCOW2_ZERO : 0;
}

static void clear_entries(struct qcow2 *q, struct qcow2_slice *slice,
			  uint64_t *e, uint64_t n, enum clear_how how)
{
	bool discard = how == CLEAR_FREE && (q->img->flags & IMAGE_UNMAP);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t old = load_be64(&e[i]), new = cleared(q, old, how);

		if (new == old)
			continue;
		store_be64(&e[i], new);
		qcow2_cache_dirty(&q->l2_cache, slice);
		if (!(new & QCOW2_L2_OFFSET))
			qcow2_free_entry(q, old, discard);
	}
}

/* co. No L2 table and nothing behind it: all zeroes already. *n clusters. */
static bool nothing_there(const struct qcow2 *q, uint64_t index, uint64_t *n)
{
	uint64_t per_table = UINT64_C(1) << q->l2_bits;

	if (q->l1[index >> q->l2_bits] || q->img->backing)
		return false;
	*n = per_table - (index & (per_table - 1));
	return true;
}

static int clear_clusters(struct qcow2 *q, uint64_t index, uint64_t count,
			  enum clear_how how)
{
	struct qcow2_slice *slice;
	uint64_t *e, n;
	int ret;

	while (count) {
		if (!nothing_there(q, index, &n)) {
			ret = qcow2_l2_for_write(q, index, &slice, &e, &n);
			if (ret)
				return ret;
			n = min(n, count);
			if (qcow2_alloc_wait(q, index, index + n - 1)) {
				qcow2_cache_put(slice);
				continue;
			}
			clear_entries(q, slice, e, n, how);
			qcow2_cache_put(slice);
		} else {
			n = min(n, count);
			if (qcow2_alloc_wait(q, index, index + n - 1))
				continue;
		}
		index += n;
		count -= n;
	}
	return 0;
}

/* The whole clusters in a range; the disk's last one counts as whole. */
static void whole_clusters(const struct qcow2 *q, uint64_t off, uint64_t len,
			   uint64_t *first, uint64_t *end)
{
	uint64_t stop = off + len;

	if (stop == q->img->size)
		stop = align_up(stop, q->cluster_size);
	*first = align_up(off, q->cluster_size) >> q->cluster_bits;
	*end = stop >> q->cluster_bits;
}

/* co. Zeroes into part of a cluster, unless it holds nothing else. */
static int zero_part(struct qcow2 *q, uint64_t off, uint64_t len)
{
	cleanup_free uint8_t *zeroes = NULL;
	struct iovec iov;
	struct part p;
	int ret;

	if (!len)
		return 0;
	do {
		ret = look_up(q, off, len, iow_of(NULL, 0), &p);
		if (ret)
			return ret;
	} while (qcow2_alloc_wait(q, off >> q->cluster_bits,
				  off >> q->cluster_bits));
	if (reads_zero(q, &p.m, off))
		return 0;
	zeroes = calloc(1, len);
	if (!zeroes)
		return -ENOMEM;
	iov = (struct iovec){ zeroes, len };
	return write_range(q, off, len, iow_of(&iov, 1));
}

static int zero_range(struct qcow2 *q, uint64_t off, uint64_t len,
		      enum clear_how how)
{
	uint64_t first, end, head, tail;
	int ret;

	whole_clusters(q, off, len, &first, &end);
	if (first >= end) {
		head = min(len, -off & (q->cluster_size - 1));
		ret = zero_part(q, off, head);
		return ret ? ret : zero_part(q, off + head, len - head);
	}
	head = (first << q->cluster_bits) - off;
	tail = off + len > end << q->cluster_bits ?
		       off + len - (end << q->cluster_bits) : 0;
	ret = zero_part(q, off, head);
	if (!ret)
		ret = zero_part(q, off + len - tail, tail);
	return ret ? ret : clear_clusters(q, first, end - first, how);
}

/* co. zero_range() in pieces, each a request of its own: the whole disk would
 * make all its L2 tables dirty at once. */
static int clear_pieces(struct qcow2 *q, uint64_t off, uint64_t len,
			enum clear_how how)
{
	uint64_t piece = (uint64_t)CLEAR_AT_ONCE << q->cluster_bits, n;
	struct qcow2_request r;
	int ret = 0;

	for (; !ret && len; off += n, len -= n) {
		n = min(len, piece - (off & (piece - 1)));
		ret = qcow2_writable(q);
		if (ret)
			break;
		qcow2_request_begin(q, &r);
		ret = zero_range(q, off, n, how);
		qcow2_request_end(&r);
		q->modified++;
	}
	return ret;
}

int qcow2_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			unsigned int flags)
{
	struct qcow2 *q = qcow2_of(img);
	bool unmap = flags & IMAGE_ZERO_UNMAP;

	/* Version 2 has no zero clusters: only what nobody backs can go. */
	if (q->h.version < 3 && (img->backing || !unmap))
		return -EOPNOTSUPP;
	return clear_pieces(q, off, len, unmap ? CLEAR_FREE : CLEAR_KEEP);
}

int qcow2_pdiscard(struct image *img, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(img);
	uint64_t first, end;

	whole_clusters(q, off, len, &first, &end);
	if (first >= end || (q->h.version < 3 && img->backing))
		return 0;
	off = first << q->cluster_bits;
	len = min(end << q->cluster_bits, img->size) - off;
	return clear_pieces(q, off, len, CLEAR_FREE);
}

/* ---- flush and status ---- */

int qcow2_flush(struct image *img)
{
	return qcow2_commit(qcow2_of(img));
}

int qcow2_block_status(struct image *img, uint64_t off, uint64_t len,
		       struct image_extent *out)
{
	struct qcow2 *q = qcow2_of(img);
	struct part p;
	int ret = look_up(q, off, len, iow_of(NULL, 0), &p);

	if (ret)
		return ret;
	out->length = p.len;
	out->file = q->file;
	switch (p.m.kind) {
	case QCOW2_UNALLOCATED:
		out->flags = 0;
		break;
	case QCOW2_ZERO_PLAIN:
		out->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO;
		break;
	case QCOW2_ZERO_ALLOC:
		out->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO |
			     IMAGE_EXTENT_OFFSET;
		break;
	case QCOW2_NORMAL:
		out->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
			     IMAGE_EXTENT_OFFSET;
		break;
	case QCOW2_COMPRESSED_CLUSTER:
		out->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
			     IMAGE_EXTENT_COMPRESSED;
		break;
	}
	if (out->flags & IMAGE_EXTENT_OFFSET)
		out->host_offset = p.m.host + (off & (q->cluster_size - 1));
	return 0;
}
