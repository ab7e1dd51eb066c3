/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * header-encode.c: lays the first cluster of a qcow2 image out.
 *
 * Extensions go in QEMU's order. Nothing is written here: see rewrite.c
 * for getting it to the file.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bits.h"
#include "image/qcow2/core/header.h"

struct layout {
	uint8_t *base;
	size_t pos, size;
};

static int put_bytes(struct layout *l, const void *data, size_t len)
{
	if (!range_within(l->pos, len, l->size))
		return -ENOSPC;
	if (len)
		memcpy(l->base + l->pos, data, len);
	l->pos += len;
	return 0;
}

static int put_extension(struct layout *l, uint32_t type, const void *data,
			 uint32_t len)
{
	uint8_t head[8];
	int ret;

	store_be32(head, type);
	store_be32(head + 4, len);
	ret = put_bytes(l, head, sizeof(head));
	if (!ret)
		ret = put_bytes(l, data, len);
	if (!ret && align_up(l->pos, 8) > l->size)
		ret = -ENOSPC;
	if (!ret)
		l->pos = align_up(l->pos, 8);	/* the cluster was zeroed */
	return ret;
}

/* The rows QEMU writes; type 0 incompatible, 1 compatible, 2 autoclear. */
static const struct {
	uint8_t type, bit;
	const char *name;
} feature_rows[] = {
	{ 0, 0, "dirty bit" },
	{ 0, 1, "corrupt bit" },
	{ 0, 2, "external data file" },
	{ 0, 3, "compression type" },
	{ 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },
	{ 2, 0, "bitmaps" },
	{ 2, 1, "raw external data" },
};

static int put_feature_names(struct layout *l)
{
	uint8_t rows[ARRAY_SIZE(feature_rows)][QCOW2_FEATURE_ROW];

	memset(rows, 0, sizeof(rows));
	for (size_t i = 0; i < ARRAY_SIZE(feature_rows); i++) {
		rows[i][0] = feature_rows[i].type;
		rows[i][1] = feature_rows[i].bit;
		memcpy(rows[i] + 2, feature_rows[i].name,
		       strlen(feature_rows[i].name));
	}
	return put_extension(l, QCOW2_EXT_FEATURE_NAMES, rows, sizeof(rows));
}

static const struct qcow2_extension *
own_feature_names(const struct qcow2_header *h)
{
	for (unsigned int i = 0; i < h->nr_extensions; i++)
		if (h->extensions[i].type == QCOW2_EXT_FEATURE_NAMES)
			return &h->extensions[i];
	return NULL;
}

static bool wants_feature_names(const struct qcow2_header *h)
{
	return h->version == 3 && qcow2_cluster_size(h) > 4096 &&
	       !own_feature_names(h);
}

/* The table first, up to `tail`. */
static int put_tail_gap(const struct qcow2_header *h, struct layout *l,
			uint32_t tail)
{
	const struct qcow2_extension *own = own_feature_names(h);
	size_t start = l->pos;
	int ret;

	if (wants_feature_names(h))
		ret = put_feature_names(l);
	else
		ret = put_extension(l, QCOW2_EXT_FEATURE_NAMES,
				    own ? own->data : NULL, own ? own->len : 0);
	if (ret || l->pos > SECTOR_SIZE || tail < SECTOR_SIZE || tail > l->size)
		return -ENOSPC;
	store_be32(l->base + start + 4, tail - (uint32_t)start - 8);
	l->pos = tail;
	return 0;
}

static int put_bitmaps(const struct qcow2_header *h, struct layout *l)
{
	uint8_t data[24];

	/* Without the bit nobody may use them. */
	if (!h->has_bitmaps || !(h->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	store_be32(data, h->nr_bitmaps);
	store_be32(data + 4, 0);
	store_be64(data + 8, h->bitmap_dir_size);
	store_be64(data + 16, h->bitmap_dir_offset);
	return put_extension(l, QCOW2_EXT_BITMAPS, data, sizeof(data));
}

static int put_crypto(const struct qcow2_header *h, struct layout *l)
{
	uint8_t data[16];

	if (!h->has_crypto)
		return 0;
	store_be64(data, h->crypto_offset);
	store_be64(data + 8, h->crypto_length);
	return put_extension(l, QCOW2_EXT_CRYPTO, data, sizeof(data));
}

static int put_text(struct layout *l, uint32_t type, const char *text)
{
	return text ? put_extension(l, type, text, (uint32_t)strlen(text)) : 0;
}

/* What was there before and is not put anew: feature names, or all the others. */
static int put_kept(const struct qcow2_header *h, struct layout *l, bool names)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < h->nr_extensions; i++) {
		const struct qcow2_extension *e = &h->extensions[i];

		if ((e->type == QCOW2_EXT_FEATURE_NAMES) == names)
			ret = put_extension(l, e->type, e->data, e->len);
	}
	return ret;
}

/* In the order of QEMU. `tail`: 0, or where all but the feature name table
 * begins. */
static int put_extensions(const struct qcow2_header *h, struct layout *l,
			  uint32_t tail)
{
	int ret = tail ? put_tail_gap(h, l, tail) : 0;

	if (!ret)
		ret = put_text(l, QCOW2_EXT_BACKING_FORMAT, h->backing_format);
	if (!ret)
		ret = put_text(l, QCOW2_EXT_DATA_FILE, h->data_file);
	if (!ret)
		ret = put_crypto(h, l);
	if (!ret && !tail && wants_feature_names(h))
		ret = put_feature_names(l);
	if (!ret && !tail)
		ret = put_kept(h, l, true);
	if (!ret)
		ret = put_bitmaps(h, l);
	if (!ret)
		ret = put_kept(h, l, false);
	if (!ret)
		ret = put_extension(l, QCOW2_EXT_END, "", 0);
	return ret;
}

static void store_fields(const struct qcow2_header *h, uint8_t *buf)
{
	store_be32(buf, QCOW2_MAGIC);
	store_be32(buf + 4, h->version);
	store_be32(buf + 20, h->cluster_bits);
	store_be64(buf + 24, h->size);
	store_be32(buf + 32, h->crypt_method);
	store_be32(buf + 36, h->l1_size);
	store_be64(buf + 40, h->l1_table_offset);
	store_be64(buf + 48, h->refcount_table_offset);
	store_be32(buf + 56, h->refcount_table_clusters);
	store_be32(buf + 60, h->nb_snapshots);
	store_be64(buf + 64, h->snapshots_offset);
	if (h->version < 3)
		return;
	store_be64(buf + 72, h->incompat);
	store_be64(buf + 80, h->compat);
	store_be64(buf + 88, h->autoclear);
	store_be32(buf + 96, h->refcount_order);
	store_be32(buf + 100, QCOW2_OUR_HEADER_LENGTH + h->unknown_fields_len);
	buf[104] = h->compression_type;
}

static int encode_header(const struct qcow2_header *h, uint32_t tail,
			 uint8_t *cluster, uint32_t *end)
{
	struct layout l = { cluster, 0, (size_t)qcow2_cluster_size(h) };
	int ret = 0;

	memset(cluster, 0, l.size);
	store_fields(h, cluster);
	l.pos = h->version == 2 ? QCOW2_V2_HEADER_LENGTH :
				  QCOW2_OUR_HEADER_LENGTH;
	if (h->version == 3 && h->unknown_fields_len)
		ret = put_bytes(&l, h->unknown_fields, h->unknown_fields_len);
	if (!ret)
		ret = put_extensions(h, &l, tail);
	if (!ret && h->backing_file) {
		store_be64(cluster + 8, l.pos);
		store_be32(cluster + 16, (uint32_t)strlen(h->backing_file));
		ret = put_bytes(&l, h->backing_file, strlen(h->backing_file));
	}
	*end = (uint32_t)l.pos;
	return ret;
}

int qcow2_header_encode(const struct qcow2_header *h, uint8_t *cluster,
			struct error *err)
{
	uint32_t end;
	int ret = encode_header(h, 0, cluster, &end);

	if (ret)
		return error_set(err, -ret, "the header, its extensions and the "
				 "backing file name do not fit in a cluster of "
				 "%" PRIu64 " bytes", qcow2_cluster_size(h));
	return 0;
}

int qcow2_header_encode_tail(const struct qcow2_header *h, uint32_t tail,
			     uint8_t *cluster, uint32_t *end)
{
	return encode_header(h, tail, cluster, end);
}
