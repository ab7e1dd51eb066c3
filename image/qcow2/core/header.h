/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * header.h: the first cluster of a qcow2 image.
 *
 * Format facts: QEMU's docs/interop/qcow2 specification, sections "Header",
 * "Header extensions"; limits that are stricter than the specification's are
 * those of QEMU, so that neither opens what the other refuses. All numbers on
 * disk are big-endian; all here are in host order, offsets and sizes in bytes.
 */
#ifndef XD_IMAGE_QCOW2_HEADER_H
#define XD_IMAGE_QCOW2_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define QCOW2_MAGIC 0x514649fbu		/* "QFI\xfb" */

#define QCOW2_MIN_CLUSTER_BITS 9
#define QCOW2_MAX_CLUSTER_BITS 21
#define QCOW2_MIN_EXTENDED_BITS 14	/* subclusters of a sector at least */
#define QCOW2_MAX_L1_BYTES (32u << 20)
#define QCOW2_MAX_REFTABLE_BYTES (8u << 20)
#define QCOW2_MAX_SNAPSHOTS 65536u
#define QCOW2_MAX_BACKING_NAME 1023u
#define QCOW2_V2_HEADER_LENGTH 72u
#define QCOW2_V3_HEADER_LENGTH 104u	/* the least a version 3 header has */
#define QCOW2_OUR_HEADER_LENGTH 112u	/* what we write */

/* Incompatible features */
#define QCOW2_INCOMPAT_DIRTY (UINT64_C(1) << 0)
#define QCOW2_INCOMPAT_CORRUPT (UINT64_C(1) << 1)
#define QCOW2_INCOMPAT_DATA_FILE (UINT64_C(1) << 2)
#define QCOW2_INCOMPAT_COMPRESSION (UINT64_C(1) << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2 (UINT64_C(1) << 4)
#define QCOW2_INCOMPAT_KNOWN UINT64_C(0x1f)
/* Compatible features */
#define QCOW2_COMPAT_LAZY_REFCOUNTS (UINT64_C(1) << 0)
/* Autoclear features */
#define QCOW2_AUTOCLEAR_BITMAPS (UINT64_C(1) << 0)
#define QCOW2_AUTOCLEAR_DATA_FILE_RAW (UINT64_C(1) << 1)

#define QCOW2_CRYPT_NONE 0u
#define QCOW2_CRYPT_AES 1u
#define QCOW2_CRYPT_LUKS 2u

#define QCOW2_COMPRESSION_ZLIB 0u
#define QCOW2_COMPRESSION_ZSTD 1u

/* Header extensions */
#define QCOW2_EXT_END 0x00000000u
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
#define QCOW2_EXT_FEATURE_NAMES 0x6803f857u
#define QCOW2_EXT_BITMAPS 0x23852875u
#define QCOW2_EXT_CRYPTO 0x0537be77u
#define QCOW2_EXT_DATA_FILE 0x44415441u

#define QCOW2_FEATURE_ROW 48u		/* bytes, of the feature name table */
#define QCOW2_FEATURE_NAME 46u

/* Byte offsets of the fields that are updated in place. */
#define QCOW2_OFF_SIZE 24
#define QCOW2_OFF_L1 36			/* u32 l1_size, u64 l1_table_offset */
#define QCOW2_OFF_REFTABLE 48		/* u64 offset, u32 clusters */
#define QCOW2_OFF_SNAPSHOTS 60		/* u32 nb_snapshots, u64 offset */
#define QCOW2_OFF_INCOMPAT 72
#define QCOW2_OFF_AUTOCLEAR 88

struct qcow2_extension {
	uint32_t type;
	uint32_t len;
	uint8_t *data;
};

struct qcow2_header {
	uint32_t version;		/* 2 or 3 */
	uint32_t cluster_bits;		/* 9..21 */
	uint64_t size;			/* virtual, bytes, as recorded */
	uint32_t crypt_method;
	uint32_t l1_size;		/* entries */
	uint64_t l1_table_offset;
	uint64_t refcount_table_offset;
	uint32_t refcount_table_clusters;
	uint32_t nb_snapshots;
	uint64_t snapshots_offset;
	uint64_t incompat, compat, autoclear;
	uint32_t refcount_order;	/* 0..6 */
	uint32_t header_length;
	uint8_t compression_type;

	char *backing_file;		/* NULL: none */
	char *backing_format;		/* NULL: not recorded */
	char *data_file;		/* NULL: not recorded */

	bool has_bitmaps;
	uint32_t nr_bitmaps;
	uint64_t bitmap_dir_size, bitmap_dir_offset;

	bool has_crypto;
	uint64_t crypto_offset, crypto_length;

	/* what the first cluster holds: nothing from used_end on and, where
	 * tail_start is not 0, nothing from byte 512 up to there */
	uint32_t used_end, tail_start;

	/* kept verbatim: fields behind byte 112, and the extensions that are
	 * not spelled out above (the feature name table is one of them, but
	 * for empty rows at its end) */
	uint8_t *unknown_fields;
	uint32_t unknown_fields_len;
	struct qcow2_extension *extensions;
	unsigned int nr_extensions;
};

/*
 * Reads cluster_bits only, to know how much of the file to read: the header
 * never reaches beyond the first cluster. -EINVAL: no qcow2 or a bad value.
 */
int qcow2_header_peek(const uint8_t *buf, size_t len, uint32_t *cluster_bits,
		      struct error *err);

/*
 * Judges the whole header. `len` bytes of the first cluster are in `buf` (all
 * of it, or less where the file is shorter). Fills in *h, to be freed with
 * qcow2_header_free(); on failure *h holds nothing. Errors: -EINVAL with field,
 * value and limit; -ENOTSUP for features, by the name the image's own feature
 * table gives them. Tables are not looked at: only their place and size.
 * A refcount_table_clusters of 0 passes (repair can rebuild it).
 */
int qcow2_header_parse(const uint8_t *buf, size_t len, struct qcow2_header *h,
		       struct error *err);
void qcow2_header_free(struct qcow2_header *h);	/* may be called twice */

/*
 * Lays the header, its extensions and the backing name out in `cluster`
 * (1 << cluster_bits bytes, overwritten whole). Adds QEMU's feature name table
 * to version 3 headers that have none where the cluster has room. -ENOSPC when
 * it does not fit, with the sentence.
 */
int qcow2_header_encode(const struct qcow2_header *h, uint8_t *cluster,
			struct error *err);

/*
 * The same with a feature name table (behind the fields, filled up with empty
 * rows) that reaches to byte `tail`, a multiple of 8 from 512 on, where all the
 * other extensions begin. So the first sector can be written by itself to
 * switch from one set of extensions to another. *end: as used_end. -ENOSPC:
 * does not fit.
 */
int qcow2_header_encode_tail(const struct qcow2_header *h, uint32_t tail,
			     uint8_t *cluster, uint32_t *end);

static inline uint64_t qcow2_cluster_size(const struct qcow2_header *h)
{
	return UINT64_C(1) << h->cluster_bits;
}

/* log2 of the entries of an L2 table; 16-byte entries with extended L2. */
static inline uint32_t qcow2_l2_bits(const struct qcow2_header *h)
{
	return h->cluster_bits -
	       (h->incompat & QCOW2_INCOMPAT_EXTENDED_L2 ? 4 : 3);
}

/* log2 of the entries of a refcount block. */
static inline uint32_t qcow2_refblock_bits(const struct qcow2_header *h)
{
	return h->cluster_bits + 3 - h->refcount_order;
}

/* Entries of the active L1 table that a size needs. */
static inline uint64_t qcow2_l1_needed(const struct qcow2_header *h,
				       uint64_t size)
{
	uint32_t shift = h->cluster_bits + qcow2_l2_bits(h);

	return (size >> shift) + ((size & ((UINT64_C(1) << shift) - 1)) != 0);
}

/* ---- table entries (sections "Refcount table", "L1 table", "L2 table") ---- */

#define QCOW2_L1_OFFSET UINT64_C(0x00fffffffffffe00)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
/* One that must not be used: reserved bits alone. Only in memory. */
#define QCOW2_L1_INVALID UINT64_C(1)
#define QCOW2_L2_OFFSET UINT64_C(0x00fffffffffffe00)
#define QCOW2_L2_RESERVED UINT64_C(0x3f000000000001fe)
#define QCOW2_COPIED (UINT64_C(1) << 63)
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_REFTABLE_OFFSET UINT64_C(0xfffffffffffffe00)
#define QCOW2_REFTABLE_RESERVED UINT64_C(0x1ff)

/* A compressed cluster: where its bytes begin and how many there may be. */
struct qcow2_compressed {
	uint64_t offset;	/* host, bytes, any alignment */
	uint32_t len;		/* bytes up to the end of its last sector */
};

static inline struct qcow2_compressed
qcow2_compressed_decode(uint32_t cluster_bits, uint64_t entry)
{
	uint32_t x = 62 - (cluster_bits - 8);
	uint64_t sectors = ((entry >> x) &
			    ((UINT64_C(1) << (62 - x)) - 1)) + 1;
	uint64_t offset = entry & ((UINT64_C(1) << x) - 1);

	return (struct qcow2_compressed){
		offset, (uint32_t)(sectors * 512 - (offset & 511)),
	};
}

/* The L2 entry of `len` bytes at `offset`; 0: it cannot say that. Bits 56 on
 * of a host offset are reserved. */
static inline uint64_t qcow2_compressed_encode(uint32_t cluster_bits,
					       uint64_t offset, uint64_t len)
{
	uint32_t x = 62 - (cluster_bits - 8);
	uint64_t more = (offset + len - 1) / 512 - offset / 512;

	if (offset >> (x < 56 ? x : 56) || more >> (62 - x))
		return 0;
	return QCOW2_COMPRESSED | more << x | offset;
}

/* A refcount of any width out of a block; sub-byte ones start at bit 0. */
uint64_t qcow2_refcount_get(const void *block, uint32_t order, uint64_t index);
void qcow2_refcount_set(void *block, uint32_t order, uint64_t index,
			uint64_t value);
static inline uint64_t qcow2_refcount_max(uint32_t order)
{
	return order == 6 ? UINT64_MAX :
			    (UINT64_C(1) << (1u << order)) - 1;
}

#endif
