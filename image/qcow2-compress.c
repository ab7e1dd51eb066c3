/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow2-compress.c: compressed clusters, read and written.
 *
 * Specification, "Compressed Clusters Descriptor": the stream begins at any
 * byte and ends somewhere in its last 512-byte sector; what follows it there is
 * not ours. deflate streams are raw and use a window of at most 4 KiB; zstd
 * streams may be several frames. Whatever is in there, it is unpacked into
 * exactly one cluster, by a pool thread where clusters are large enough for it
 * to matter.
 *
 * The last cluster is kept, since guests read 64 KiB in small pieces.
 *
 * Written, each cluster is packed by a pool thread, as many at a time as there
 * are processors, and goes where qcow2-bytes.c has room; then the L2 entry is
 * changed. What does not become smaller is written as any other cluster. QEMU
 * unpacks deflate with a window of 4 KiB, so that is what ours has.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include <zlib.h>

#include "config.h"
#ifdef HAVE_LIBZSTD
#include <zstd.h>
#endif

#include "common/cleanup.h"
#include "image/co-group.h"
#include "image/loop.h"
#include "image/qcow2-io.h"
#include "image/qcow2.h"

#define WINDOW_BITS (-15)	/* raw; larger than needed does no harm */
#define OFFLOAD_MIN (32 * KiB)
#define PACK_WINDOW_BITS (-12)
#define PACK_MEM_LEVEL 9

struct inflate_job {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
	uint8_t type;
};

static int inflate_zlib(const struct inflate_job *j)
{
	z_stream z = {
		.next_in = (Bytef *)j->in,
		.avail_in = (uInt)j->in_len,
		.next_out = j->out,
		.avail_out = (uInt)j->out_len,
	};
	int ret;

	if (inflateInit2(&z, WINDOW_BITS) != Z_OK)
		return -ENOMEM;
	ret = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* Full output with input left over: the sector's rest. */
	if (z.avail_out == 0 && (ret == Z_STREAM_END || ret == Z_BUF_ERROR ||
				 ret == Z_OK))
		return 0;
	return -EIO;
}

#ifdef HAVE_LIBZSTD
static int inflate_zstd(const struct inflate_job *j)
{
	ZSTD_inBuffer in = { j->in, j->in_len, 0 };
	ZSTD_outBuffer out = { j->out, j->out_len, 0 };
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	size_t left = 1, before;

	if (!ctx)
		return -ENOMEM;
	while (out.pos < out.size) {
		before = in.pos + out.pos;
		left = ZSTD_decompressStream(ctx, &out, &in);
		if (ZSTD_isError(left) || in.pos + out.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return out.pos == out.size && !ZSTD_isError(left) && !left ? 0 : -EIO;
}
#else
static int inflate_zstd(const struct inflate_job *j)
{
	return -ENOTSUP;
}
#endif

static int64_t run_inflate(void *arg)
{
	const struct inflate_job *j = arg;

	return j->type == QCOW2_COMPRESSION_ZSTD ? inflate_zstd(j) :
						   inflate_zlib(j);
}

/* The stream's sectors as far as the file has them. */
int qcow2_unpack(struct image *file, const struct qcow2_header *h,
		 uint64_t entry, uint8_t *out)
{
	struct qcow2_compressed c =
		qcow2_compressed_decode(h->cluster_bits, entry);
	cleanup_free uint8_t *in = malloc(c.len);
	struct inflate_job job = {
		in, c.len, out, qcow2_cluster_size(h), h->compression_type,
	};
	int ret;

	if (!in)
		return -ENOMEM;
	ret = image_pread(file, c.offset, c.len, in);
	if (ret)
		return ret;
	if (job.out_len < OFFLOAD_MIN)
		return (int)run_inflate(&job);
	return (int)loop_offload(file->loop, run_inflate, &job);
}

int qcow2_inflate(struct qcow2 *q, uint64_t entry, uint8_t *out)
{
	int ret;

	if (q->inflated_entry == entry) {
		memcpy(out, q->inflated, q->cluster_size);
		return 0;
	}
	ret = qcow2_unpack(q->file, &q->h, entry, out);
	if (ret)
		return ret;
	if (!q->inflated)
		q->inflated = malloc(q->cluster_size);
	if (q->inflated) {
		memcpy(q->inflated, out, q->cluster_size);
		q->inflated_entry = entry;
	}
	return 0;
}

/* ---- packing ---- */

struct qcow2_packer {
	struct qcow2_packer *next;	/* among those that rest */
	z_stream z;
	bool has_z;
#ifdef HAVE_LIBZSTD
	ZSTD_CCtx *zstd;
#endif
	/* the job */
	uint8_t type;
	int level;			/* 0: default */
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t room;
};

static int64_t deflate_zlib(struct qcow2_packer *p)
{
	z_stream *z = &p->z;

	if (!p->has_z) {
		if (deflateInit2(z, p->level ? p->level : Z_DEFAULT_COMPRESSION,
				 Z_DEFLATED, PACK_WINDOW_BITS, PACK_MEM_LEVEL,
				 Z_DEFAULT_STRATEGY) != Z_OK)
			return -ENOMEM;
		p->has_z = true;
	} else {
		deflateReset(z);
	}
	z->next_in = (Bytef *)p->in;
	z->avail_in = (uInt)p->in_len;
	z->next_out = p->out;
	z->avail_out = (uInt)p->room;
	return deflate(z, Z_FINISH) == Z_STREAM_END ?
		       (int64_t)(p->room - z->avail_out) : -E2BIG;
}

#ifdef HAVE_LIBZSTD
static int64_t deflate_zstd(struct qcow2_packer *p)
{
	size_t n;

	if (!p->zstd) {
		p->zstd = ZSTD_createCCtx();
		if (!p->zstd)
			return -ENOMEM;
		ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel,
				       p->level ? p->level :
						  ZSTD_CLEVEL_DEFAULT);
	}
	n = ZSTD_compress2(p->zstd, p->out, p->room, p->in, p->in_len);
	return ZSTD_isError(n) ? -E2BIG : (int64_t)n;
}

static void free_zstd(struct qcow2_packer *p)
{
	ZSTD_freeCCtx(p->zstd);
}
#else
static int64_t deflate_zstd(struct qcow2_packer *p)
{
	return -ENOTSUP;
}

static void free_zstd(struct qcow2_packer *p)
{
}
#endif

static int64_t run_packer(void *arg)
{
	struct qcow2_packer *p = arg;

	return p->type == QCOW2_COMPRESSION_ZSTD ? deflate_zstd(p) :
						   deflate_zlib(p);
}

void qcow2_free_packers(struct qcow2 *q)
{
	struct qcow2_packer *p;

	while ((p = q->packers)) {
		q->packers = p->next;
		if (p->has_z)
			deflateEnd(&p->z);
		free_zstd(p);
		free(p);
	}
}

static unsigned int processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned int)max(CPU_COUNT(&set), 1);
}

/* co. One that rests, a new one, or the next that comes to rest. */
static struct qcow2_packer *get_packer(struct qcow2 *q)
{
	struct qcow2_packer *p;

	if (!q->max_packers)
		q->max_packers = processors();
	while (!q->packers && q->nr_packers >= q->max_packers)
		co_queue_wait(&q->packer_wait);
	p = q->packers;
	if (p) {
		q->packers = p->next;
		return p;
	}
	p = calloc(1, sizeof(*p));
	if (p)
		q->nr_packers++;
	return p;
}

static void put_packer(struct qcow2 *q, struct qcow2_packer *p)
{
	p->next = q->packers;
	q->packers = p;
	co_queue_wake_one(&q->packer_wait);
}

/* co. Bytes written to `out`, less than a cluster; -E2BIG: it takes more. */
static int64_t pack(struct qcow2 *q, const uint8_t *in, uint8_t *out)
{
	struct qcow2_packer *p = get_packer(q);
	int64_t n;

	if (!p)
		return -ENOMEM;
	p->type = q->h.compression_type;
	p->level = q->compression_level;
	p->in = in;
	p->in_len = q->cluster_size;
	p->out = out;
	p->room = q->cluster_size - 1;
	n = loop_offload(q->img->loop, run_packer, p);
	put_packer(q, p);
	return n;
}

/* ---- compressed writes ---- */

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

/* co. The L2 table comes first, so as not to lie between compressed clusters. */
static int make_l2(struct qcow2 *q, uint64_t index)
{
	struct qcow2_slice *slice;
	uint64_t n;
	void *e;
	int ret = qcow2_l2_for_write(q, index, &slice, &e, &n);

	if (!ret)
		qcow2_cache_put(slice);
	return ret;
}

/* co. -E2BIG: an L2 entry cannot say where it lies. */
static int place(struct qcow2 *q, uint64_t index, const uint8_t *bytes,
		 uint64_t len)
{
	struct qcow2_entry entry = { 0 };
	uint64_t host;
	int ret = make_l2(q, index);

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
	ret = place(q, index, bytes, len);
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
	co_group_init(&g, LOOP_THREADS_MAX);
	for (; len; len -= c.len, c.off += c.len) {
		c.len = min(len, q->cluster_size);
		if (!co_group_start(&g, write_cluster, &c))
			break;
		c.w = iow_advance(c.w, c.len);
	}
	return co_group_wait(&g);
}
