/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create.c: makes a new qcow2 image file.
 *
 *	header | refcount table | refcount blocks | LUKS | L1 | L2 tables | data
 *
 * L2 tables and data are there only when preallocated. Everything is where a
 * few divisions say, so the tables are written front to back as sequences and
 * never read. The header comes last: a file whose making was cut short is no
 * image. All of it is plain system calls in a pool thread.
 */
#include "image/qcow2/make/create.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/file-id.h"
#include "common/size.h"
#include "image/graph/create.h"
#include "image/graph/format.h"
#include "image/graph/make.h"
#include "image/graph/open.h"
#include "image/graph/path.h"
#include "image/host-file.h"
#include "image/lock.h"
#include "image/qcow2/core/entry.h"
#include "image/qcow2/make/options.h"
#include "io/loop.h"

#define WRITE_BYTES MiB

/* co */
static int size_of_backing(struct loop *loop, const char *path,
			   struct qcow2_settings *s, struct error *err)
{
	struct image_options opts = {
		.flags = IMAGE_NO_IO | IMAGE_NO_BACKING | IMAGE_SHARE,
		.cache = IMAGE_CACHE_WRITEBACK,
	};
	cleanup_free char *full = NULL;
	struct image *backing;
	int ret;

	ret = image_backing_path(path, s->backing_file, &full, err);
	if (!ret)
		ret = image_open(loop, full,
				 image_backing_format(s->backing_fmt), &opts,
				 &backing, err);
	if (ret)
		return error_prefix(err, ret, "backing file");
	s->size = image_size(backing);
	return image_close(backing, err);
}

/* ---- layout ---- */

/* Places in clusters from the start of the file, in this order. */
struct layout {
	uint64_t reftable, refblocks, luks, l1, l2, data, end;
	uint64_t nr_l1;			/* entries */
	uint64_t nr_l2;			/* tables */
	uint64_t nr_mapped;		/* entries in the L2 tables */
	uint64_t nr_luks, nr_data;	/* clusters */
};

static int lay_out_image(const struct qcow2_settings *s, struct qcow2_header *h,
			 struct layout *l, struct error *err)
{
	uint64_t cs = qcow2_cluster_size(h), total, blocks = 1, table = 1;

	*l = (struct layout){ .reftable = 1 };
	l->nr_l1 = qcow2_l1_needed(h, h->size);
	if (l->nr_l1 > QCOW2_MAX_L1_BYTES / 8)
		return error_set(err, EFBIG, "The image size is too large for "
				 "file format 'qcow2': with clusters of %"
				 PRIu64 " bytes at most %" PRIu64 " bytes (try "
				 "using a larger cluster size)", cs,
				 (uint64_t)(QCOW2_MAX_L1_BYTES / 8)
					 << (h->cluster_bits +
					     qcow2_l2_bits(h)));
	if (s->preallocation != IMAGE_PREALLOC_OFF) {
		l->nr_l2 = l->nr_l1;
		l->nr_mapped = div_round_up(h->size, cs);
		l->nr_data = s->data_file ? 0 : l->nr_mapped;
	}
	l->nr_luks = div_round_up(qcow2_encrypt_len(&s->encrypt), cs);
	do {	/* the refcounts count themselves */
		total = 1 + table + blocks + l->nr_luks +
			div_round_up(l->nr_l1 * 8, cs) +
			l->nr_l2 + l->nr_data;
		blocks = div_round_up(total, UINT64_C(1)
					     << qcow2_refblock_bits(h));
		table = div_round_up(blocks * 8, cs);
		l->refblocks = l->reftable + table;
		l->luks = l->refblocks + blocks;
		l->l1 = l->luks + l->nr_luks;
		l->l2 = l->l1 + div_round_up(l->nr_l1 * 8, cs);
		l->data = l->l2 + l->nr_l2;
		l->end = l->data + l->nr_data;
	} while (l->end != total);
	if (table * cs > QCOW2_MAX_REFTABLE_BYTES)
		return error_set(err, EFBIG, "The image is too large to "
				 "preallocate: its refcount table would have %"
				 PRIu64 " bytes, at most %u", table * cs,
				 QCOW2_MAX_REFTABLE_BYTES);
	return 0;
}

static int fill_new_header(const struct qcow2_settings *s,
			   struct qcow2_header *h, struct layout *l,
			   struct error *err)
{
	int ret;

	*h = (struct qcow2_header){
		.version = s->version,
		.cluster_bits = s->cluster_bits,
		.size = align_up(s->size, SECTOR_SIZE),
		.refcount_order = s->refcount_order,
		.header_length = s->version < 3 ? QCOW2_V2_HEADER_LENGTH :
						  QCOW2_OUR_HEADER_LENGTH,
		.compression_type = s->compression_type,
		.incompat = (s->compression_type ? QCOW2_INCOMPAT_COMPRESSION :
						   0) |
			    (s->extended_l2 ? QCOW2_INCOMPAT_EXTENDED_L2 : 0) |
			    (s->data_file ? QCOW2_INCOMPAT_DATA_FILE : 0),
		.autoclear = s->data_file_raw ? QCOW2_AUTOCLEAR_DATA_FILE_RAW :
						0,
		.data_file = (char *)s->data_file,
		.compat = s->lazy_refcounts ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0,
		.backing_file = (char *)s->backing_file,	/* borrowed */
		.backing_format = (char *)s->backing_fmt,
	};
	h->crypt_method = s->encrypt.method;
	ret = lay_out_image(s, h, l, err);
	h->has_crypto = l->nr_luks;
	h->crypto_offset = l->luks << h->cluster_bits;
	h->crypto_length = qcow2_encrypt_len(&s->encrypt);
	h->l1_size = (uint32_t)l->nr_l1;
	h->l1_table_offset = l->l1 << h->cluster_bits;
	h->refcount_table_offset = l->reftable << h->cluster_bits;
	h->refcount_table_clusters = (uint32_t)(l->refblocks - l->reftable);
	return ret;
}

/* ---- writing; in a pool thread ---- */

struct job {
	const char *path;
	struct qcow2_header h;
	struct layout l;
	uint8_t *header;		/* the encoded first cluster */
	enum image_preallocation preallocation;
	bool nocow;
	const struct qcow2_encrypt *encrypt;
	int fd;
	uint8_t *buf;			/* WRITE_BYTES, or a cluster if larger */
	struct error *err;
};

static int write_all(int fd, const void *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		buf = (const char *)buf + n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

/* What each entry of a new L2 table has for subclusters: nothing, which leaves
 * the backing image's data in sight, or what a raw data file has. */
static uint64_t new_bitmap(const struct qcow2_header *h)
{
	return qcow2_raw_data(h) ? QCOW2_SUBS_ALLOCATED : 0;
}

/* Words first, first + step, ...: n of them, 2^bits bytes apart, from cluster
 * `at` on; the last cluster is filled up with zeroes. */
static int write_sequence(struct job *j, uint64_t at, uint64_t n,
			  uint32_t bits, uint64_t first, uint64_t step)
{
	uint64_t cs = qcow2_cluster_size(&j->h), off = at * cs;
	uint64_t left = align_up(n << bits, cs);
	int ret = 0;

	while (left && !ret) {
		uint64_t bytes = min(left, max(WRITE_BYTES, cs));

		memset(j->buf, 0, bytes);
		for (uint64_t i = 0; n && i < bytes >> bits; i++, n--) {
			store_be64(j->buf + (i << bits), first);
			if (bits > 3)
				store_be64(j->buf + (i << bits) + 8,
					   new_bitmap(&j->h));
			first += step;
		}
		ret = write_all(j->fd, j->buf, bytes, off);
		off += bytes;
		left -= bytes;
	}
	return ret;
}

/* Refcounts of 1 for all clusters of the file. */
static int write_refblocks(struct job *j)
{
	uint64_t per_block = UINT64_C(1) << qcow2_refblock_bits(&j->h);
	uint64_t cs = qcow2_cluster_size(&j->h);
	int ret = 0;

	memset(j->buf, 0, cs);
	for (uint64_t i = 0; i < per_block; i++)
		qcow2_refcount_set(j->buf, j->h.refcount_order, i, 1);
	for (uint64_t b = j->l.refblocks; b < j->l.luks && !ret; b++) {
		uint64_t first = (b - j->l.refblocks) * per_block;

		for (uint64_t i = 0; i < per_block; i++)
			if (first + i >= j->l.end)
				qcow2_refcount_set(j->buf,
						   j->h.refcount_order, i, 0);
		ret = write_all(j->fd, j->buf, cs, b * cs);
	}
	return ret;
}

static int write_tables(struct job *j)
{
	uint64_t cs = qcow2_cluster_size(&j->h), flags = QCOW2_COPIED;
	uint64_t first = qcow2_external(&j->h) ? 0 : j->l.data;
	int ret;

	/* Encrypted clusters do not read as zeroes by being empty. */
	if (j->h.crypt_method && !qcow2_extended(&j->h))
		flags |= QCOW2_ZERO;
	ret = write_sequence(j, j->l.reftable, j->l.luks - j->l.refblocks, 3,
			     j->l.refblocks * cs, cs);
	if (!ret)
		ret = write_refblocks(j);
	if (!ret && !j->l.nr_l2)
		return write_sequence(j, j->l.l1, j->l.nr_l1, 3, 0, 0);
	if (!ret)
		ret = write_sequence(j, j->l.l1, j->l.nr_l1, 3,
				     (j->l.l2 * cs) | QCOW2_COPIED, cs);
	if (!ret)
		ret = write_sequence(j, j->l.l2, j->l.nr_mapped,
				     qcow2_entry_bits(&j->h),
				     (first * cs) | flags, cs);
	return ret;
}

static int write_luks(struct job *j)
{
	cleanup_free uint8_t *bytes = NULL;
	size_t len;
	int ret;

	if (!j->l.nr_luks)
		return 0;
	ret = luks_make(&j->encrypt->luks, &bytes, &len, j->err);
	return ret ? ret : write_all(j->fd, bytes, len,
				     j->l.luks << j->h.cluster_bits);
}

static int write_preallocated(struct job *j)
{
	uint64_t off = j->l.data << j->h.cluster_bits;
	uint64_t len = j->l.nr_data << j->h.cluster_bits;
	int ret = 0;

	if (!len || j->preallocation < IMAGE_PREALLOC_FALLOC)
		return 0;
	if (j->preallocation == IMAGE_PREALLOC_FALLOC)
		return -posix_fallocate(j->fd, (off_t)off, (off_t)len);
	memset(j->buf, 0, WRITE_BYTES);
	for (uint64_t n; len && !ret; off += n, len -= n) {
		n = min(len, WRITE_BYTES);
		ret = write_all(j->fd, j->buf, n, off);
	}
	return ret;
}

/* Empties a file, makes it as long as it will be; looks at a device's size. */
static int size_target(struct job *j)
{
	uint64_t len = j->l.end << j->h.cluster_bits, have;
	struct stat st;

	if (fstat(j->fd, &st))
		return -errno;
	if (len > INT64_MAX)
		return -EFBIG;
	if (!S_ISBLK(st.st_mode)) {
		if (ftruncate(j->fd, 0))
			return -errno;
		if (j->nocow)
			host_file_set_nocow(j->fd);
		return ftruncate(j->fd, (off_t)len) ? -errno : 0;
	}
	if (ioctl(j->fd, BLKGETSIZE64, &have))
		return -errno;
	if (have < len)
		return error_set(j->err, ENOSPC, "the device has %" PRIu64
				 " bytes, the image needs %" PRIu64, have, len);
	return 0;
}

static int64_t write_image(void *arg)
{
	struct job *j = arg;
	int ret = size_target(j);

	if (!ret)
		ret = write_tables(j);
	if (!ret)
		ret = write_luks(j);
	if (!ret)
		ret = write_preallocated(j);
	if (!ret)
		ret = write_all(j->fd, j->header, qcow2_cluster_size(&j->h), 0);
	if (!ret && fdatasync(j->fd))
		ret = -errno;
	return ret;
}

static bool is_same_name(const char *a, const char *b)
{
	return !strcmp(a, b) || same_file_named(a, b);
}

/* co. Of an image that is going to be `path`, over `backing` (NULL: none):
 * neither must be the same file, which would be emptied. */
static int create_data_file(struct loop *loop, const char *data, const char *path,
			    const char *backing, uint64_t size,
			    const char *preallocation, struct error *err)
{
	const struct image_create_option option = {
		"preallocation", preallocation,
	};
	int ret;

	if (backing && is_same_name(data, backing))
		return error_set(err, EINVAL, "the data file '%s' is the "
				 "backing file, which it would replace", data);
	if (is_same_name(data, path))
		return error_set(err, EINVAL, "the data file '%s' is the image "
				 "itself: it needs a name of its own", data);
	ret = image_create(loop, data, "raw", size, &option, 1, err);
	return error_prefix(ret ? err : NULL, ret, "data file");
}

/* co */
static int make_data_file(struct loop *loop, const struct qcow2_settings *s,
			  const char *path, uint64_t size, struct error *err)
{
	static const char *const modes[] = { "off", "off", "falloc", "full" };
	cleanup_free char *full = NULL, *backing = NULL;
	int ret;

	if (!s->data_file)
		return 0;
	ret = image_backing_path(path, s->data_file, &full, err);
	if (!ret && s->backing_file)
		ret = image_backing_path(path, s->backing_file, &backing, err);
	if (ret)
		return error_prefix(err, ret, "data file");
	return create_data_file(loop, full, path, backing, size,
				modes[s->preallocation], err);
}

/* The file, not a link that leads to it. */
static void remove_made(const char *path)
{
	cleanup_free char *real = realpath(path, NULL);

	if (real)
		unlink(real);
}

/* co. A data file is only touched when it is sure that the image can be made. */
static int run_create_job(struct loop *loop, struct job *j,
			  const struct qcow2_settings *s, struct error *err)
{
	bool is_new = access(j->path, F_OK);
	cleanup_fd int fd = open(j->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct error e = ERROR_INIT;
	int ret;

	if (fd < 0)
		return error_set_errno(err, errno, "Could not create '%s'",
				       j->path);
	ret = image_lock(fd, j->path, true, err);
	if (ret)
		return ret;
	ret = make_data_file(loop, s, j->path, j->h.size, err);
	if (ret && is_new)
		remove_made(j->path);
	if (ret)
		return ret;
	j->fd = fd;
	j->err = &e;
	ret = (int)loop_offload(loop, write_image, j);
	if (ret)
		return error_set(err, -ret, "Could not write '%s': %s",
				 j->path, error_text(&e, ret));
	return 0;
}

int qcow2_create(struct loop *loop, const char *path, uint64_t size,
		 const struct image_create_option *options, unsigned int nr,
		 struct error *err)
{
	cleanup_free uint8_t *header = NULL, *buf = NULL;
	struct job j = { .path = path };
	struct qcow2_settings s;
	int ret;

	ret = qcow2_parse_settings(&s, size, options, nr, err);
	if (!ret && s.size == UINT64_MAX)
		ret = size_of_backing(loop, path, &s, err);
	if (!ret)
		ret = fill_new_header(&s, &j.h, &j.l, err);
	if (ret)
		return ret;
	header = malloc(qcow2_cluster_size(&j.h));
	buf = malloc(max(WRITE_BYTES, qcow2_cluster_size(&j.h)));
	if (!header || !buf)
		return -ENOMEM;
	ret = qcow2_header_encode(&j.h, header, err);
	if (ret)
		return ret;
	j.header = header;
	j.buf = buf;
	j.preallocation = s.preallocation;
	j.nocow = s.nocow;
	j.encrypt = &s.encrypt;
	return run_create_job(loop, &j, &s, err);
}
