/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes.c: room for compressed clusters.
 *
 *	| A A A A B B B B|B C C - - - - - |	host clusters; "-": a tail
 *
 * Compressed clusters lie byte to byte; one may go on in the next host cluster.
 * A host cluster's refcount counts the compressed clusters that touch it. The
 * unused ends of host clusters that this run has begun are kept as tails: the
 * smallest that is large enough is taken. Where none is, a new host cluster is,
 * together with the tail before it if it happens to lie behind one.
 *
 * Tails are known in memory only, so nothing is ever put behind bytes that
 * somebody else wrote; one whose host cluster becomes free is forgotten. They
 * change under alloc_lock; bytes_lock lets nobody else begin a host cluster while
 * one is being begun, which would leave both half empty.
 */
#include "image/qcow2/core/bytes.h"

#include <errno.h>

#include "image/qcow2/core/refcount.h"

static void forget_tail(struct qcow2 *q, unsigned int i)
{
	q->tails[i] = q->tails[--q->nr_tails];
}

void qcow2_forget_tails(struct qcow2 *q, uint64_t cluster)
{
	for (unsigned int i = q->nr_tails; i--;)
		if (q->tails[i].offset >> q->cluster_bits == cluster)
			forget_tail(q, i);
}

/* Remembers a tail, at the cost of the smallest if there are too many. */
static void remember_tail(struct qcow2 *q, uint64_t offset, uint64_t len)
{
	unsigned int least = 0;

	if (!len)
		return;
	if (q->nr_tails == QCOW2_TAILS) {
		for (unsigned int i = 1; i < q->nr_tails; i++)
			if (q->tails[i].len < q->tails[least].len)
				least = i;
		if (q->tails[least].len >= len)
			return;
		forget_tail(q, least);
	}
	q->tails[q->nr_tails++] = (struct qcow2_tail){ offset, len };
}

/* The best of the tails for `len` bytes; nr_tails: none is. */
static unsigned int fitting_tail(const struct qcow2 *q, uint64_t len)
{
	unsigned int best = q->nr_tails;

	for (unsigned int i = 0; i < q->nr_tails; i++)
		if (q->tails[i].len >= len &&
		    (best == q->nr_tails ||
		     q->tails[i].len < q->tails[best].len))
			best = i;
	return best;
}

static unsigned int tail_before(const struct qcow2 *q, uint64_t offset)
{
	for (unsigned int i = 0; i < q->nr_tails; i++)
		if (q->tails[i].offset + q->tails[i].len == offset)
			return i;
	return q->nr_tails;
}

/* co, alloc_lock held. Takes the first `len` bytes of a tail; -ERANGE: its
 * cluster has all the references it can have, the tail is forgotten. */
static int take_from_tail(struct qcow2 *q, unsigned int i, uint64_t len)
{
	struct qcow2_tail *t = &q->tails[i];
	int ret = qcow2_share_cluster(q, t->offset >> q->cluster_bits);

	if (ret && ret != -ERANGE)
		return ret;
	t->offset += len;
	t->len -= len;
	if (ret || !t->len)
		forget_tail(q, i);
	return ret;
}

/* co. -ENOENT: no tail is large enough. */
static int take_tail(struct qcow2 *q, uint64_t len, uint64_t *offset)
{
	int ret = -ENOENT;
	unsigned int i;

	co_mutex_lock(&q->alloc_lock);
	while ((i = fitting_tail(q, len)) < q->nr_tails) {
		*offset = q->tails[i].offset;
		ret = take_from_tail(q, i, len);
		if (ret != -ERANGE)
			break;
		ret = -ENOENT;
	}
	co_mutex_unlock(&q->alloc_lock);
	return ret;
}

/* co. `len` bytes that end in the new cluster at `host`. */
static int begin_cluster(struct qcow2 *q, uint64_t len, uint64_t host,
			 uint64_t *offset)
{
	uint64_t in_tail = 0;
	unsigned int i;
	int ret = 0;

	*offset = host;
	co_mutex_lock(&q->alloc_lock);
	i = tail_before(q, host);
	if (i < q->nr_tails && q->tails[i].len < len) {
		in_tail = q->tails[i].len;
		*offset = q->tails[i].offset;
		ret = take_from_tail(q, i, in_tail);
	}
	if (ret == -ERANGE) {
		*offset = host;
		in_tail = 0;
		ret = 0;
	}
	if (!ret)
		remember_tail(q, host + len - in_tail,
			      q->cluster_size - (len - in_tail));
	co_mutex_unlock(&q->alloc_lock);
	return ret;
}

/* co, bytes_lock held. */
static int alloc_bytes(struct qcow2 *q, uint64_t len, uint64_t *offset)
{
	uint64_t host, count;
	bool fresh;
	int ret;

	ret = take_tail(q, len, offset);
	if (ret != -ENOENT)
		return ret;
	ret = qcow2_alloc_clusters(q, 1, &host, &count, &fresh);
	if (ret)
		return ret;
	ret = begin_cluster(q, len, host, offset);
	if (ret)
		qcow2_free_clusters(q, host, 1, false);
	return ret;
}

int qcow2_alloc_bytes(struct qcow2 *q, uint64_t len, uint64_t *offset)
{
	int ret;

	co_mutex_lock(&q->bytes_lock);
	ret = alloc_bytes(q, len, offset);
	co_mutex_unlock(&q->bytes_lock);
	return ret;
}
