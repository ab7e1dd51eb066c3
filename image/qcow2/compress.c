/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compress.c: compressed clusters, read and written.
 *
 * Specification, "Compressed Clusters Descriptor": the stream begins at any
 * byte and ends somewhere in its last 512-byte sector; what follows it there is
 * not ours. deflate streams are raw and use a window of at most 4 KiB; zstd
 * streams may be several frames. Whatever is in there, it is unpacked into
 * exactly one cluster, by a pool thread where clusters are large enough for it
 * to matter.
 *
 * The last cluster is kept, since guests read 64 KiB in small pieces; of a
 * whole chain no more than KEPT_MAX bytes.
 *
 * Written, each cluster is packed by a pool thread, as many at a time as there
 * are processors, and goes where bytes.c has room; then the L2 entry is
 * changed. What does not become smaller is written as any other cluster. QEMU
 * unpacks deflate with a window of 4 KiB, so that is what ours has.
 */
#include "image/qcow2/compress.h"

#include <errno.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "image/codec/codec.h"
#include "image/qcow2/begin.h"
#include "image/qcow2/core/bytes.h"
#include "image/qcow2/core/refcount.h"
#include "image/qcow2/io.h"
#include "image/qcow2/map.h"
#include "image/qcow2/request.h"
#include "io/co-group.h"
#include "io/loop.h"
#include "io/memory.h"

#define COMPUTE_MIN (32 * KiB)	/* less is not worth another thread */
#define CLUSTERS_AT_ONCE 32
#define KEPT_MAX (4 * MiB)	/* of all images of a chain */

static int64_t compute(struct image *file, int64_t (*work)(void *arg),
		       struct codec_job *job, uint64_t cluster_size)
{
	if (cluster_size < COMPUTE_MIN)
		return work(job);
	return loop_compute(file->loop, work, job);
}

enum codec_type qcow2_codec_of(const struct qcow2_header *h)
{
	return h->compression_type == QCOW2_COMPRESSION_ZSTD ? CODEC_ZSTD :
							       CODEC_DEFLATE;
}

/* ---- reading ---- */

/* The stream's sectors as far as the file has them: it need not fill the last,
 * but what is missing of it must not be taken for zeroes. */
static int unpack_by_way_of(struct image *file, const struct qcow2_header *h,
			    uint64_t entry, uint8_t *in, uint8_t *out)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(h->cluster_bits, entry);
	struct codec_job job = {
		.type = qcow2_codec_of(h),
		.in = in,
		.in_len = c.len,
		.out = out,
		.out_len = qcow2_cluster_size(h),
	};
	int ret;

	if (c.offset >= file->size)
		return -EIO;
	job.in_len = c.len = min(c.len, file->size - c.offset);
	image_event(file, IMAGE_EVENT_READ_COMPRESSED);
	ret = image_pread(file, c.offset, c.len, in);
	if (ret)
		return ret;
	return (int)compute(file, codec_unpack, &job, job.out_len);
}

static uint64_t packed_bytes(const struct qcow2_header *h, uint64_t entry)
{
	return qcow2_compressed_decode(h->cluster_bits, entry).len;
}

int qcow2_unpack(struct image *file, const struct qcow2_header *h,
		 uint64_t entry, uint8_t *out)
{
	cleanup_free uint8_t *in = malloc(packed_bytes(h, entry));

	return in ? unpack_by_way_of(file, h, entry, in, out) : -ENOMEM;
}

/* The cluster if it is the one that is kept. */
static bool copy_kept(const struct qcow2 *q, uint64_t entry, uint64_t in,
		      uint64_t len, struct iow w)
{
	if (q->inflated_entry != entry)
		return false;
	iow_from_buf(w, q->inflated + in, len);
	return true;
}

/* co. Room for the cluster of that entry as it is in the file, behind `out`
 * bytes. */
static int get_room(struct qcow2 *q, uint64_t entry, uint64_t out,
		    struct memory_buffer *b)
{
	return memory_buffer_get(b, loop_memory(q->img->loop), MEMORY_UNPACK,
				 out + packed_bytes(&q->h, entry), 4096);
}

int qcow2_inflate_once(struct qcow2 *q, uint64_t entry, uint8_t *out)
{
	cleanup_buffer struct memory_buffer b = { 0 };
	struct iovec iov = { out, q->cluster_size };
	struct iow w = iow_of(&iov, 1);
	int ret;

	if (copy_kept(q, entry, 0, q->cluster_size, w))
		return 0;
	ret = get_room(q, entry, 0, &b);
	if (ret || copy_kept(q, entry, 0, q->cluster_size, w))
		return ret;
	return unpack_by_way_of(q->file, &q->h, entry, b.data, out);
}

static void forget_kept(struct qcow2 *q)
{
	free(q->inflated);
	q->inflated = NULL;
	q->inflated_entry = 0;
}

static struct image *top_of(struct image *img)
{
	while (img->overlay)
		img = img->overlay;
	return img;
}

/* Room for one more cluster that is kept. Each image of a chain keeps its own
 * as long as these are small. */
static void make_room_to_keep(struct qcow2 *q)
{
	struct image *top = top_of(q->img), *img;
	uint64_t sum = q->cluster_size;

	for (img = top; img; img = img->backing)
		if (img->driver == q->img->driver && qcow2_of(img)->inflated)
			sum += qcow2_of(img)->cluster_size;
	if (sum <= KEPT_MAX)
		return;
	for (img = top; img; img = img->backing)
		if (img->driver == q->img->driver)
			forget_kept(qcow2_of(img));
}

static void keep(struct qcow2 *q, uint64_t entry, const uint8_t *cluster)
{
	if (!q->inflated) {
		make_room_to_keep(q);
		q->inflated = malloc(q->cluster_size);
	}
	if (!q->inflated)
		return;
	memcpy(q->inflated, cluster, q->cluster_size);
	q->inflated_entry = entry;
}

int qcow2_inflate_part(struct qcow2 *q, uint64_t entry, uint64_t in,
		       uint64_t len, struct iow w)
{
	cleanup_buffer struct memory_buffer b = { 0 };
	uint8_t *cluster;
	int ret;

	if (copy_kept(q, entry, in, len, w))
		return 0;
	ret = get_room(q, entry, q->cluster_size, &b);
	/* Somebody may have unpacked it while we waited. */
	if (ret || copy_kept(q, entry, in, len, w))
		return ret;
	cluster = b.data;
	ret = unpack_by_way_of(q->file, &q->h, entry,
			       cluster + q->cluster_size, cluster);
	if (ret)
		return ret;
	iow_from_buf(w, cluster + in, len);
	keep(q, entry, cluster);
	return 0;
}

/* ---- writing ---- */

/* co. Bytes written to `out`, less than a cluster; -E2BIG: it takes more. */
static int64_t pack(struct qcow2 *q, const uint8_t *in, uint8_t *out)
{
	struct codec_job job = {
		.type = qcow2_codec_of(&q->h),
		.level = q->compression_level,
		.in = in,
		.in_len = q->cluster_size,
		.out = out,
		.out_len = q->cluster_size - 1,
	};

	return compute(q->file, codec_pack, &job, q->cluster_size);
}

/* co. Points a guest cluster at its compressed bytes. */
static int link_compressed(struct qcow2 *q, uint64_t index,
			   struct qcow2_entry entry)
{
	struct qcow2_slice *slice;
	struct qcow2_entry old;
	uint64_t n;
	void *table;
	int ret = qcow2_l2_for_write(q, index, &slice, &table, &n);

	if (ret)
		return ret;
	old = qcow2_entry_load(&q->h, table, 0);
	qcow2_entry_store(&q->h, table, 0, entry);
	qcow2_cache_dirty(&q->l2_cache, slice);
	qcow2_cache_put(slice);
	qcow2_free_entry(q, old, false);
	/* Its place may have been that of one that looked the same. */
	if (q->inflated_entry == entry.word)
		q->inflated_entry = 0;
	return 0;
}

/* co. -E2BIG: an L2 entry cannot say where it lies. */
static int place_compressed(struct qcow2 *q, uint64_t index,
			    const uint8_t *bytes, uint64_t len)
{
	struct qcow2_entry entry = { 0 };
	uint64_t host;
	/* First, so as not to lie between compressed clusters. */
	int ret = qcow2_make_l2(q, index);

	if (!ret)
		ret = qcow2_alloc_bytes(q, len, &host);
	if (ret)
		return ret;
	entry.word = qcow2_compressed_encode(q->cluster_bits, host, len);
	if (!entry.word) {
		qcow2_free_clusters(q, align_down(host, q->cluster_size),
				    ((host + len - 1) >> q->cluster_bits) -
					    (host >> q->cluster_bits) + 1,
				    false);
		return -E2BIG;
	}
	image_event(q->file, IMAGE_EVENT_WRITE_COMPRESSED);
	ret = image_pwrite(q->file, host, len, bytes);
	if (!ret)
		ret = link_compressed(q, index, entry);
	if (ret)
		qcow2_free_entry(q, entry, false);
	return ret;
}

/* co. A request of its own. */
static int write_packed(struct qcow2 *q, uint64_t index, const uint8_t *bytes,
			uint64_t len)
{
	struct qcow2_request r;
	struct qcow2_alloc a;
	int ret = qcow2_writable(q, index << q->cluster_bits, q->cluster_size);

	if (ret)
		return ret;
	qcow2_request_begin(q, &r);
	while (qcow2_alloc_wait(q, index, index))
		;
	qcow2_alloc_begin(q, &a, index, index);
	ret = place_compressed(q, index, bytes, len);
	qcow2_alloc_end(&a);
	qcow2_request_end(&r);
	q->modified++;
	return ret;
}

/* A cluster of a request, or what of it is within the disk. */
struct one_cluster {
	struct qcow2 *q;
	uint64_t off, len;
	struct iow w;
};

static int write_cluster(void *arg)
{
	struct one_cluster c = *(struct one_cluster *)arg;
	struct qcow2 *q = c.q;
	cleanup_free uint8_t *copy = NULL;
	cleanup_free uint8_t *out = malloc(q->cluster_size);
	const uint8_t *in = iow_linear(c.w, q->cluster_size);
	int64_t n;

	if (!in || c.len < q->cluster_size) {
		copy = calloc(1, q->cluster_size);
		if (copy)
			iow_to_buf(copy, c.w, c.len);
		in = copy;
	}
	if (!in || !out)
		return -ENOMEM;
	n = pack(q, in, out);
	if (n > 0)
		n = write_packed(q, c.off >> q->cluster_bits, out, (uint64_t)n);
	if (n == -E2BIG)
		n = qcow2_pwritev(q->img, c.off, c.len, c.w);
	return (int)n;
}

int qcow2_pwritev_compressed(struct image *img, uint64_t off, uint64_t len,
			     struct iow w)
{
	struct qcow2 *q = qcow2_of(img);
	struct one_cluster c = { .q = q, .off = off, .w = w };
	struct co_group g;

	if (q->h.crypt_method || (q->h.incompat & QCOW2_INCOMPAT_DATA_FILE))
		return -ENOTSUP;
	if (!is_aligned(off, q->cluster_size) ||
	    (!is_aligned(len, q->cluster_size) && off + len != img->size))
		return -EINVAL;
	co_group_init(&g, CLUSTERS_AT_ONCE);
	for (; len; len -= c.len, c.off += c.len) {
		c.len = min(len, q->cluster_size);
		if (!co_group_start(&g, write_cluster, &c))
			break;
		c.w = iow_advance(c.w, c.len);
	}
	return co_group_wait(&g);
}
