/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qcow.c: qcow images, version 1, read.
 *
 *	48 bytes of header, big-endian
 *	L1 table -> L2 tables -> clusters, compressed ones at any byte
 *
 * Encrypted ones are as in qcow2 before LUKS. The format of a backing image is
 * never recorded. (Source: "The QCOW Image
 * Format", Mark McLoughlin.)
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/luks/crypto-io.h"
#include "image/driver.h"
#include "image/formats/mapped.h"
#include "image/formats/packed.h"

#define HEADER_BYTES 48
#define QCOW_MAGIC 0x514649fbu		/* "QFI\xfb" */
#define MAX_BACKING_NAME 1023u
#define MAX_L1_BYTES (32 * MiB)
#define COMPRESSED (UINT64_C(1) << 63)
#define WINDOW_BITS (-12)		/* raw deflate */

enum {
	AT_VERSION = 4, AT_NAME = 8, AT_NAME_LEN = 16, AT_SIZE = 24,
	AT_CLUSTER_BITS = 32, AT_L2_BITS = 33, AT_CRYPT = 36, AT_L1 = 40,
};

struct qcow {
	struct mapped m;
	unsigned int cluster_bits, l2_bits;
	uint64_t l1_offset;
	char *backing_file;
	bool encrypted;
};

static bool qcow_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= HEADER_BYTES && load_be32(head) == QCOW_MAGIC &&
	       load_be32(head + AT_VERSION) == 1;
}

/* A compressed cluster's entry: flag, size of cluster_bits, offset. */
static void decode_compressed(const struct qcow *q, uint64_t entry,
			      struct mapped_block *b)
{
	unsigned int shift = 63 - q->cluster_bits;

	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_COMPRESSED;
	b->packed = (entry >> shift) & (q->m.block_size - 1);
	b->host_offset = entry & ((UINT64_C(1) << shift) - 1);
}

static int qcow_lookup(struct mapped *m, uint64_t block,
		       struct mapped_block *b)
{
	struct qcow *q = container_of(m, struct qcow, m);
	uint64_t in = block & ((UINT64_C(1) << q->l2_bits) - 1), entry;
	uint8_t raw[8];
	int ret;

	ret = pages_read(&m->pages, q->l1_offset + (block >> q->l2_bits) * 8,
			 8, raw);
	entry = load_be64(raw);
	b->rest = (UINT64_C(1) << q->l2_bits) - in;
	if (ret || !entry)
		return ret;
	if (!range_within(entry, UINT64_C(8) << q->l2_bits, m->file->size)) {
		b->lost_table = entry;
		return -EIO;
	}
	b->table = entry;
	ret = pages_read(&m->pages, entry + in * 8, 8, raw);
	entry = load_be64(raw);
	if (ret || !entry)
		return ret;
	if (entry & COMPRESSED) {
		decode_compressed(q, entry, b);
		return 0;
	}
	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_OFFSET;
	b->host_offset = entry;
	return is_aligned(entry, SECTOR_SIZE) ? 0 : -EIO;
}

static int qcow_unpack(struct mapped *m, const struct mapped_block *b,
		       uint8_t *out, size_t len)
{
	return packed_inflate(m, b->host_offset, b->packed, out, len,
			      WINDOW_BITS);
}

static const struct mapped_ops qcow_ops = {
	.lookup = qcow_lookup,
	.unpack = qcow_unpack,
};

/* ---- opening ---- */

static int validate_qcow_header(const uint8_t *h, struct error *err)
{
	if (load_be32(h) != QCOW_MAGIC || load_be32(h + AT_VERSION) != 1)
		return error_set(err, EINVAL, "not a qcow image of version 1");
	if (h[AT_CLUSTER_BITS] < 9 || h[AT_CLUSTER_BITS] > 16)
		return error_set(err, EINVAL, "qcow clusters of 2^%u bytes are "
				 "not possible, only 2^9 to 2^16",
				 h[AT_CLUSTER_BITS]);
	if (h[AT_L2_BITS] < 6 || h[AT_L2_BITS] > 13)
		return error_set(err, EINVAL, "qcow L2 tables of 2^%u entries "
				 "are not possible, only 2^6 to 2^13",
				 h[AT_L2_BITS]);
	if (load_be32(h + AT_CRYPT) > 1)
		return error_set(err, EINVAL, "qcow encryption method %u is "
				 "unknown", load_be32(h + AT_CRYPT));
	if (load_be64(h + AT_SIZE) <= 1)
		return error_set(err, EINVAL, "Image size is too small (must "
				 "be at least 2 bytes)");
	return 0;
}

static int validate_qcow_l1(struct qcow *q, const uint8_t *h, struct error *err)
{
	unsigned int shift = q->cluster_bits + q->l2_bits;
	uint64_t size = load_be64(h + AT_SIZE), entries;

	entries = (size >> shift) + ((size & ((UINT64_C(1) << shift) - 1)) != 0);
	if (size > INT64_MAX || entries > MAX_L1_BYTES / 8)
		return error_set(err, EFBIG, "a qcow image of %" PRIu64 " bytes "
				 "is too large: its L1 table has %" PRIu64
				 " entries, at most %" PRIu64, size, entries,
				 MAX_L1_BYTES / 8);
	q->m.size = align_down(size, SECTOR_SIZE);
	q->l1_offset = load_be64(h + AT_L1);
	return mapped_judge_table(q->m.file, "qcow L1 table", q->l1_offset,
				  entries, 8, err);
}

static int read_qcow_backing_name(struct qcow *q, const uint8_t *h,
				  struct error *err)
{
	uint64_t off = load_be64(h + AT_NAME);
	uint32_t len = load_be32(h + AT_NAME_LEN);
	int ret;

	if (!off || !len)
		return 0;
	if (len > MAX_BACKING_NAME ||
	    !range_within(off, len, q->m.file->size))
		return error_set(err, EINVAL, "the qcow backing file name of "
				 "%u bytes (at most %u) at %#" PRIx64 " is not "
				 "within the file", len, MAX_BACKING_NAME, off);
	q->backing_file = calloc(1, len + 1);
	if (!q->backing_file)
		return -ENOMEM;
	ret = image_pread(q->m.file, off, len, q->backing_file);
	return ret ? ret : mapped_name_backing(q->m.img, q->backing_file, NULL,
					       err);
}

static int qcow_close(struct image *img, struct error *err)
{
	struct qcow *q = img->state;

	free(q->backing_file);
	q->backing_file = NULL;
	return mapped_close(img, err);
}

static int open_encrypted(struct qcow *q, const struct image_node *node,
			  struct error *err)
{
	if (!is_aligned(q->m.size, CRYPTO_SECTOR))
		return error_set(err, EINVAL, "an encrypted disk of %" PRIu64
				 " bytes, must be whole sectors", q->m.size);
	q->m.img->request_align = CRYPTO_SECTOR;
	return crypto_open_legacy(q->m.img, node ? node->key_secret : NULL,
				  &q->m.crypto, err);
}

static int qcow_open(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	struct qcow *q = img->state;
	uint8_t h[HEADER_BYTES];
	int ret = mapped_read_header(img, h, sizeof(h), validate_qcow_header,
				     &qcow_ops, err);

	if (ret)
		return ret;
	q->cluster_bits = h[AT_CLUSTER_BITS];
	q->l2_bits = h[AT_L2_BITS];
	q->m.block_size = UINT64_C(1) << q->cluster_bits;
	q->m.data_start = HEADER_BYTES;
	q->encrypted = load_be32(h + AT_CRYPT);
	ret = validate_qcow_l1(q, h, err);
	if (!ret && q->encrypted && !(img->flags & IMAGE_NO_IO))
		ret = open_encrypted(q, opts->node, err);
	if (!ret)
		ret = read_qcow_backing_name(q, h, err);
	if (ret)
		qcow_close(img, NULL);
	img->size = q->m.size;
	mapped_limits(img);
	return ret;
}

static int qcow_get_info(struct image *img, struct image_info *info,
			 struct error *err)
{
	const struct qcow *q = img->state;

	info->cluster_size = (uint32_t)q->m.block_size;
	info->encrypted = q->encrypted;
	if (q->backing_file)
		info->backing_file = strdup(q->backing_file);
	return q->backing_file && !info->backing_file ? -ENOMEM : 0;
}

const struct image_driver image_qcow_driver = {
	.name = "qcow",
	.state_size = sizeof(struct qcow),
	.probe = qcow_probe,
	.open = qcow_open,
	.close = qcow_close,
	.preadv = mapped_preadv,
	.block_status = mapped_block_status,
	.get_info = qcow_get_info,
	.check = mapped_image_check,
};
