/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * header.c: reads the first cluster of a qcow2 image; refcounts.
 *
 *	0	fixed fields (72 bytes in version 2, header_length in 3)
 *		extensions: u32 type, u32 len, data, padded to 8; the last is 0
 *		backing file name, not terminated
 *	... up to the end of the cluster
 *
 * A header is taken apart into a struct qcow2_header, judged field by field in
 * the order of the file, and only handed out as a whole. Nothing is looked up
 * behind the first cluster here.
 */
#include "image/qcow2/core/header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"

#define MAX_BACKING_FORMAT 15u

int qcow2_header_peek(const uint8_t *buf, size_t len, uint32_t *cluster_bits,
		      struct error *err)
{
	if (len < 4 || load_be32(buf) != QCOW2_MAGIC)
		return error_set(err, EINVAL, "not a qcow2 image: it does not "
				 "begin with the magic \"QFI\\xfb\"");
	if (len < QCOW2_V2_HEADER_LENGTH)
		return error_set(err, EINVAL, "qcow2 header too short: the file "
				 "has %zu bytes, a header at least %u", len,
				 QCOW2_V2_HEADER_LENGTH);
	*cluster_bits = load_be32(buf + 20);
	if (*cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
	    *cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return error_set(err, EINVAL, "unsupported cluster size: 2^%u "
				 "bytes (cluster_bits must be %u to %u)",
				 *cluster_bits, QCOW2_MIN_CLUSTER_BITS,
				 QCOW2_MAX_CLUSTER_BITS);
	return 0;
}

static void load_fields(const uint8_t *buf, struct qcow2_header *h)
{
	h->version = load_be32(buf + 4);
	h->cluster_bits = load_be32(buf + 20);
	h->size = load_be64(buf + 24);
	h->crypt_method = load_be32(buf + 32);
	h->l1_size = load_be32(buf + 36);
	h->l1_table_offset = load_be64(buf + 40);
	h->refcount_table_offset = load_be64(buf + 48);
	h->refcount_table_clusters = load_be32(buf + 56);
	h->nb_snapshots = load_be32(buf + 60);
	h->snapshots_offset = load_be64(buf + 64);
	h->refcount_order = 4;
	h->header_length = QCOW2_V2_HEADER_LENGTH;
}

static int load_v3_fields(const uint8_t *buf, size_t len,
			  struct qcow2_header *h, struct error *err)
{
	if (len < QCOW2_V3_HEADER_LENGTH)
		return error_set(err, EINVAL, "qcow2 header too short: the file "
				 "has %zu bytes, a version 3 header at least %u",
				 len, QCOW2_V3_HEADER_LENGTH);
	h->incompat = load_be64(buf + 72);
	h->compat = load_be64(buf + 80);
	h->autoclear = load_be64(buf + 88);
	h->refcount_order = load_be32(buf + 96);
	h->header_length = load_be32(buf + 100);
	if (h->header_length < QCOW2_V3_HEADER_LENGTH)
		return error_set(err, EINVAL, "qcow2 header too short: "
				 "header_length is %u, must be at least %u",
				 h->header_length, QCOW2_V3_HEADER_LENGTH);
	if (h->header_length > qcow2_cluster_size(h) || h->header_length > len)
		return error_set(err, EINVAL, "qcow2 header exceeds the first "
				 "cluster: header_length is %u, the cluster "
				 "has %zu bytes", h->header_length,
				 min((size_t)qcow2_cluster_size(h), len));
	if (h->header_length > QCOW2_V3_HEADER_LENGTH)
		h->compression_type = buf[104];
	if (h->header_length > QCOW2_OUR_HEADER_LENGTH) {
		h->unknown_fields_len = h->header_length -
					QCOW2_OUR_HEADER_LENGTH;
		h->unknown_fields = malloc(h->unknown_fields_len);
		if (!h->unknown_fields)
			return -ENOMEM;
		memcpy(h->unknown_fields, buf + QCOW2_OUR_HEADER_LENGTH,
		       h->unknown_fields_len);
	}
	return 0;
}

/* A copy of `len` foreign bytes as a string; refuses embedded zeroes. */
static int load_string(const uint8_t *p, uint32_t len, const char *what,
		       char **out, struct error *err)
{
	if (memchr(p, 0, len))
		return error_set(err, EINVAL, "%s holds a zero byte", what);
	*out = strndup((const char *)p, len);
	return *out ? 0 : -ENOMEM;
}

static int keep_extension(struct qcow2_header *h, uint32_t type,
			  const uint8_t *data, uint32_t len)
{
	struct qcow2_extension *e;

	e = realloc(h->extensions, (h->nr_extensions + 1) * sizeof(*e));
	if (!e)
		return -ENOMEM;
	h->extensions = e;
	e += h->nr_extensions;
	e->type = type;
	e->len = len;
	e->data = malloc(len ? len : 1);
	if (!e->data)
		return -ENOMEM;
	memcpy(e->data, data, len);
	h->nr_extensions++;
	return 0;
}

static bool is_row_empty(const uint8_t *p, size_t len)
{
	while (len && !*p)
		p++, len--;
	return !len;
}

/* Empty rows at its end only take up space. */
static int keep_feature_names(struct qcow2_header *h, const uint8_t *data,
			      uint32_t len)
{
	uint32_t used = len;

	while (used && !data[used - 1])
		used--;
	used = min(len, (used + QCOW2_FEATURE_ROW - 1) / QCOW2_FEATURE_ROW *
				QCOW2_FEATURE_ROW);
	return used ? keep_extension(h, QCOW2_EXT_FEATURE_NAMES, data, used) : 0;
}

static int load_bitmaps(const uint8_t *data, uint32_t len,
			struct qcow2_header *h, struct error *err)
{
	if (len != 24)
		return error_set(err, EINVAL, "bitmaps extension has %u bytes, "
				 "must have 24", len);
	h->has_bitmaps = true;
	h->nr_bitmaps = load_be32(data);
	h->bitmap_dir_size = load_be64(data + 8);
	h->bitmap_dir_offset = load_be64(data + 16);
	if (!h->nr_bitmaps || h->nr_bitmaps > 65535)
		return error_set(err, EINVAL, "bitmaps extension: %u bitmaps, "
				 "must be 1 to 65535", h->nr_bitmaps);
	if (load_be32(data + 4))
		return error_set(err, EINVAL, "bitmaps extension: the reserved "
				 "field is not zero");
	if (!h->bitmap_dir_size || h->bitmap_dir_size > 64 * MiB)
		return error_set(err, EINVAL, "bitmaps extension: directory of "
				 "%" PRIu64 " bytes, must be 1 to 64 MiB",
				 h->bitmap_dir_size);
	if (!is_aligned(h->bitmap_dir_offset, qcow2_cluster_size(h)) ||
	    h->bitmap_dir_offset >> 56)
		return error_set(err, EINVAL, "bitmaps extension: directory "
				 "offset %#" PRIx64 " is no cluster's",
				 h->bitmap_dir_offset);
	return 0;
}

static int load_crypto(const uint8_t *data, uint32_t len,
		       struct qcow2_header *h, struct error *err)
{
	if (h->crypt_method != QCOW2_CRYPT_LUKS)
		return error_set(err, EINVAL, "encryption header extension in an "
				 "image with encryption method %u, not LUKS",
				 h->crypt_method);
	if (len != 16)
		return error_set(err, EINVAL, "encryption header extension has "
				 "%u bytes, must have 16", len);
	h->has_crypto = true;
	h->crypto_offset = load_be64(data);
	h->crypto_length = load_be64(data + 8);
	if (!is_aligned(h->crypto_offset, qcow2_cluster_size(h)) ||
	    h->crypto_offset >> 56 || h->crypto_length > 16 * MiB)
		return error_set(err, EINVAL, "encryption header at %#" PRIx64
				 ", %" PRIu64 " bytes: must be cluster aligned "
				 "and at most 16 MiB", h->crypto_offset,
				 h->crypto_length);
	return 0;
}

static int load_extension(struct qcow2_header *h, uint32_t type,
			  const uint8_t *data, uint32_t len, struct error *err)
{
	switch (type) {
	case QCOW2_EXT_BACKING_FORMAT:
		if (len > MAX_BACKING_FORMAT)
			return error_set(err, EINVAL, "backing format name of "
					 "%u bytes, must be at most %u", len,
					 MAX_BACKING_FORMAT);
		free(h->backing_format);	/* the last one counts */
		h->backing_format = NULL;
		return load_string(data, len, "the backing format name",
				   &h->backing_format, err);
	case QCOW2_EXT_DATA_FILE:
		if (h->data_file)
			break;
		return load_string(data, len, "the data file name",
				   &h->data_file, err);
	case QCOW2_EXT_BITMAPS:
		if (h->has_bitmaps)
			break;
		return load_bitmaps(data, len, h, err);
	case QCOW2_EXT_CRYPTO:
		if (h->has_crypto)
			break;
		return load_crypto(data, len, h, err);
	case QCOW2_EXT_FEATURE_NAMES:
		return keep_feature_names(h, data, len);
	default:
		return keep_extension(h, type, data, len);
	}
	return error_set(err, EINVAL, "header extension %#x occurs twice", type);
}

/* A table that begins in the first sector and ends beyond it with nothing but
 * empty rows was made so by qcow2_header_encode_tail(). */
static void note_tail(struct qcow2_header *h, const uint8_t *buf, size_t pos,
		      uint32_t len)
{
	if (pos <= SECTOR_SIZE && pos + len > SECTOR_SIZE &&
	    is_row_empty(buf + SECTOR_SIZE, pos + len - SECTOR_SIZE))
		h->tail_start = (uint32_t)(pos + len);
}

static int load_extensions(const uint8_t *buf, size_t end,
			   struct qcow2_header *h, struct error *err)
{
	size_t pos = align_up(h->header_length, 8);
	int ret;

	/* QEMU reads them where the header ends, aligned or not. */
	if (!is_aligned(h->header_length, 8))
		pos = h->header_length;
	while (range_within(pos, 8, end)) {
		uint32_t type = load_be32(buf + pos);
		uint32_t len = load_be32(buf + pos + 4);

		pos += 8;
		h->used_end = (uint32_t)pos;
		if (type == QCOW2_EXT_END)
			return 0;
		if (!range_within(pos, len, end))
			return error_set(err, EINVAL, "header extension %#x too "
					 "large: %u bytes at %zu, the header "
					 "area ends at %zu", type, len, pos,
					 end);
		ret = load_extension(h, type, buf + pos, len, err);
		if (ret)
			return ret;
		if (type == QCOW2_EXT_FEATURE_NAMES)
			note_tail(h, buf, pos, len);
		pos += align_up(len, 8);
		h->used_end = (uint32_t)min(pos, end);
	}
	return 0;
}

/* The name that the image's own feature table gives an incompatible bit, NULL:
 * none. The last row may be cut short: what is missing is zeroes. */
static const char *feature_name(const struct qcow2_header *h, unsigned int bit,
				char name[QCOW2_FEATURE_NAME + 1])
{
	for (unsigned int i = 0; i < h->nr_extensions; i++) {
		const struct qcow2_extension *e = &h->extensions[i];

		if (e->type != QCOW2_EXT_FEATURE_NAMES)
			continue;
		for (uint32_t o = 0; o + 2 < e->len; o += QCOW2_FEATURE_ROW) {
			uint32_t len = min(e->len - o - 2, QCOW2_FEATURE_NAME);

			if (e->data[o] != 0 || e->data[o + 1] != bit)
				continue;
			memcpy(name, e->data + o + 2, len);
			name[len] = '\0';
			return name;
		}
	}
	return NULL;
}

/* "a, b, Unknown incompatible feature: 8000000000000000" */
static void name_features(const struct qcow2_header *h, uint64_t bits,
			  char *out, size_t size)
{
	char name[QCOW2_FEATURE_NAME + 1];
	uint64_t nameless = 0;
	size_t len = 0;

	*out = '\0';
	for (unsigned int bit = 0; bit < 64 && len < size; bit++) {
		if (!(bits >> bit & 1))
			continue;
		if (!feature_name(h, bit, name))
			nameless |= UINT64_C(1) << bit;
		else
			len += (size_t)snprintf(out + len, size - len, "%s%s",
						len ? ", " : "", name);
	}
	if (nameless && len < size)
		snprintf(out + len, size - len, "%sUnknown incompatible "
			 "feature: %" PRIx64, len ? ", " : "", nameless);
}

static int validate_features(const struct qcow2_header *h, struct error *err)
{
	uint64_t unknown = h->incompat & ~QCOW2_INCOMPAT_KNOWN;
	bool bit = h->incompat & QCOW2_INCOMPAT_COMPRESSION;
	char names[512];

	if (unknown) {
		name_features(h, unknown, names, sizeof(names));
		return error_set(err, ENOTSUP, "Unsupported qcow2 feature(s): "
				 "%s", names);
	}
	if (h->compression_type > QCOW2_COMPRESSION_ZSTD)
		return error_set(err, ENOTSUP, "unknown compression type %u "
				 "(known: 0 zlib, 1 zstd)", h->compression_type);
	if (bit != (h->compression_type != QCOW2_COMPRESSION_ZLIB))
		return error_set(err, EINVAL, "compression type %u with the "
				 "compression type feature bit %s",
				 h->compression_type, bit ? "set" : "not set");
	if (h->refcount_order > 6)
		return error_set(err, EINVAL, "refcount width of 2^%u bits, must "
				 "be at most 64", h->refcount_order);
	if (h->crypt_method > QCOW2_CRYPT_LUKS)
		return error_set(err, ENOTSUP, "unsupported encryption method "
				 "%u (known: 0 none, 1 AES, 2 LUKS)",
				 h->crypt_method);
	if ((h->incompat & QCOW2_INCOMPAT_EXTENDED_L2) &&
	    h->cluster_bits < QCOW2_MIN_EXTENDED_BITS)
		return error_set(err, EINVAL, "extended L2 entries with clusters "
				 "of %" PRIu64 " bytes, need at least 16 KiB",
				 qcow2_cluster_size(h));
	return 0;
}

/* Place and size of a table that must start at a cluster and fit 2^56. */
static int validate_table_place(const struct qcow2_header *h, const char *what,
				uint64_t offset, uint64_t bytes, uint64_t limit,
				struct error *err)
{
	if (bytes > limit)
		return error_set(err, EFBIG, "%s too large: %" PRIu64
				 " bytes, at most %" PRIu64, what, bytes, limit);
	if (bytes && (!is_aligned(offset, qcow2_cluster_size(h)) ||
		      offset >> 56))
		return error_set(err, EINVAL, "%s offset invalid: %#" PRIx64
				 " is not a multiple of the cluster size (%"
				 PRIu64 ") below 2^56", what, offset,
				 qcow2_cluster_size(h));
	return 0;
}

static int judge_tables(const struct qcow2_header *h, struct error *err)
{
	uint64_t need = qcow2_l1_needed(h, h->size);
	int ret;

	ret = validate_table_place(
		h, "refcount table", h->refcount_table_offset,
		(uint64_t)h->refcount_table_clusters << h->cluster_bits,
		QCOW2_MAX_REFTABLE_BYTES, err);
	if (ret)
		return ret;
	if (h->nb_snapshots > QCOW2_MAX_SNAPSHOTS)
		return error_set(err, EFBIG, "snapshot table too large: %u "
				 "snapshots, at most %u", h->nb_snapshots,
				 QCOW2_MAX_SNAPSHOTS);
	ret = validate_table_place(h, "snapshot table", h->snapshots_offset,
				   h->nb_snapshots, UINT64_MAX, err);
	if (ret)
		return ret;
	if (h->size > INT64_MAX || need > QCOW2_MAX_L1_BYTES / 8)
		return error_set(err, EFBIG, "image is too big: %" PRIu64
				 " bytes with clusters of %" PRIu64, h->size,
				 qcow2_cluster_size(h));
	ret = validate_table_place(h, "active L1 table", h->l1_table_offset,
				   (uint64_t)h->l1_size * 8, QCOW2_MAX_L1_BYTES,
				   err);
	if (ret)
		return ret;
	if (h->l1_size < need)
		return error_set(err, EINVAL, "L1 table is too small: %u entries, "
				 "%" PRIu64 " bytes need %" PRIu64, h->l1_size,
				 h->size, need);
	return 0;
}

static int load_backing_name(const uint8_t *buf, size_t len, uint64_t offset,
			     uint32_t name_len, struct qcow2_header *h,
			     struct error *err)
{
	if (offset > qcow2_cluster_size(h))
		return error_set(err, EINVAL, "invalid backing file offset: %#"
				 PRIx64 " is beyond the first cluster", offset);
	if (name_len > QCOW2_MAX_BACKING_NAME ||
	    !range_within(offset, name_len, min((uint64_t)len,
						qcow2_cluster_size(h))))
		return error_set(err, EINVAL, "backing file name too long: %u "
				 "bytes at %#" PRIx64 " (at most %u, within the "
				 "first cluster)", name_len, offset,
				 QCOW2_MAX_BACKING_NAME);
	if (!name_len)
		return 0;
	h->used_end = max(h->used_end, (uint32_t)(offset + name_len));
	if (offset < h->tail_start)
		h->tail_start = 0;
	return load_string(buf + offset, name_len, "the backing file name",
			   &h->backing_file, err);
}

static int parse_first_cluster(const uint8_t *buf, size_t len,
			       struct qcow2_header *h, struct error *err)
{
	uint64_t backing_offset;
	uint32_t bits;
	size_t end;
	int ret;

	ret = qcow2_header_peek(buf, len, &bits, err);
	if (ret)
		return ret;
	load_fields(buf, h);
	if (h->version != 2 && h->version != 3)
		return error_set(err, ENOTSUP, "unsupported qcow2 version %u "
				 "(known: 2 and 3)", h->version);
	if (h->version == 3) {
		ret = load_v3_fields(buf, len, h, err);
		if (ret)
			return ret;
	}
	len = min(len, (size_t)qcow2_cluster_size(h));
	backing_offset = load_be64(buf + 8);
	end = backing_offset ? min(backing_offset, (uint64_t)len) : len;
	h->used_end = h->header_length;
	ret = load_extensions(buf, end, h, err);
	if (!ret)
		ret = validate_features(h, err);
	if (!ret && backing_offset)
		ret = load_backing_name(buf, len, backing_offset,
					load_be32(buf + 16), h, err);
	if (!ret)
		ret = judge_tables(h, err);
	return ret;
}

int qcow2_header_parse(const uint8_t *buf, size_t len, struct qcow2_header *h,
		       struct error *err)
{
	int ret;

	memset(h, 0, sizeof(*h));
	ret = parse_first_cluster(buf, len, h, err);
	if (ret)
		qcow2_header_free(h);
	return ret;
}

void qcow2_header_free(struct qcow2_header *h)
{
	for (unsigned int i = 0; i < h->nr_extensions; i++)
		free(h->extensions[i].data);
	free(h->extensions);
	free(h->unknown_fields);
	free(h->backing_file);
	free(h->backing_format);
	free(h->data_file);
	memset(h, 0, sizeof(*h));
}

/* ---- refcounts of any width ---- */

uint64_t qcow2_refcount_get(const void *block, uint32_t order, uint64_t index)
{
	const uint8_t *b = block;

	switch (order) {
	case 3:
		return b[index];
	case 4:
		return load_be16(b + index * 2);
	case 5:
		return load_be32(b + index * 4);
	case 6:
		return load_be64(b + index * 8);
	default: {	/* 1, 2 or 4 bits: several to a byte */
		unsigned int per_byte = 8u >> order, width = 1u << order;
		unsigned int shift = (unsigned int)(index % per_byte) * width;

		return (b[index / per_byte] >> shift) & ((1u << width) - 1);
	}
	}
}

void qcow2_refcount_set(void *block, uint32_t order, uint64_t index,
			uint64_t value)
{
	uint8_t *b = block;

	switch (order) {
	case 3:
		b[index] = (uint8_t)value;
		return;
	case 4:
		store_be16(b + index * 2, (uint16_t)value);
		return;
	case 5:
		store_be32(b + index * 4, (uint32_t)value);
		return;
	case 6:
		store_be64(b + index * 8, value);
		return;
	default: {
		unsigned int per_byte = 8u >> order, width = 1u << order;
		unsigned int shift = (unsigned int)(index % per_byte) * width;
		uint8_t mask = (uint8_t)(((1u << width) - 1) << shift);

		b += index / per_byte;
		*b = (uint8_t)((*b & ~mask) | ((value << shift) & mask));
	}
	}
}
