/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dmg.c: Apple's disk images (UDIF), read: raw, zero, zlib and bzip2 chunks.
 *
 * The last 512 bytes ("koly") say where the property list is, or in old images
 * the resource fork; in that are tables ("mish"), one a partition, of chunks.
 * Numbers are big-endian. (Source: "Demystifying the DMG file format",
 * Jonathan Levin; files made by hdiutil.)
 *
 * All chunks are known after opening, sorted by their place on the disk; what
 * lies between them reads as zeroes. Chunks of other compressions are refused
 * then, and not in the middle of a copy.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/array.h"
#include "common/bits.h"
#include "common/cleanup.h"
#include "image/codec/unpack.h"
#include "image/driver.h"
#include "image/formats/mapped.h"
#include "image/formats/packed.h"

#define TRAILER_BYTES 512
#define MAX_LIST (16 * MiB)		/* property list, resource fork */
#define MAX_CHUNK (64 * MiB)		/* compressed ones, either way */
#define MAX_SECTORS (UINT64_C(1) << 54)
#define TABLE_HEAD 204u
#define TABLE_ENTRY 40u
#define WINDOW_BITS 15

/* offsets in the trailer */
enum {
	AT_DATA_FORK = 24, AT_FORK = 40, AT_FORK_LEN = 48, AT_LIST = 216,
	AT_LIST_LEN = 224,
};

enum chunk_type {
	CHUNK_ZERO = 0, CHUNK_RAW = 1, CHUNK_UNUSED = 2,
	CHUNK_COMMENT = 0x7ffffffe, CHUNK_END = 0xffffffff,
	CHUNK_ADC = 0x80000004, CHUNK_ZLIB = 0x80000005,
	CHUNK_BZIP2 = 0x80000006, CHUNK_LZFSE = 0x80000007,
	CHUNK_LZMA = 0x80000008,
};

struct chunk {
	uint64_t sector, sectors;	/* on the disk */
	uint64_t offset, length;	/* in the file, bytes */
	uint32_t type;
};

struct dmg {
	struct mapped m;		/* for its unpacking only */
	uint64_t data_fork;
	struct chunk *chunks;
	size_t nr, room;

	const struct chunk *unpacked_chunk;
	uint8_t *unpacked;
};

static bool dmg_probe(const char *path, const uint8_t *head, size_t len)
{
	size_t n = strlen(path);

	return n > 4 && !strcmp(path + n - 4, ".dmg");
}

/* ---- chunks ---- */

static const char *type_name(uint32_t type)
{
	switch (type) {
	case CHUNK_ADC: return "ADC";
	case CHUNK_BZIP2: return "bzip2";
	case CHUNK_LZFSE: return "LZFSE";
	case CHUNK_LZMA: return "LZMA";
	default: return "unknown";
	}
}

static bool can_unpack(uint32_t type)
{
	return type == CHUNK_ZLIB ||
	       (type == CHUNK_BZIP2 && unpack_has_bzip2());
}

static int refuse_type(uint32_t type, struct error *err)
{
	if (type == CHUNK_BZIP2)
		return error_set(err, ENOTSUP, "DMG chunks of type %#x (bzip2) "
				 "are not supported: xdisk was built without "
				 "libbz2", type);
	return error_set(err, ENOTSUP, "DMG chunks of type %#x (%s) are not "
			 "supported, only raw, zlib and bzip2", type,
			 type_name(type));
}

static int judge_chunk(const struct dmg *d, const struct chunk *c,
		       struct error *err)
{
	bool packed = can_unpack(c->type);

	if (c->sector > MAX_SECTORS || c->sectors > MAX_SECTORS)
		return error_set(err, EINVAL, "a DMG chunk of %" PRIu64
				 " sectors at %" PRIu64 " is not possible",
				 c->sectors, c->sector);
	if (c->type == CHUNK_ZERO || c->type == CHUNK_UNUSED)
		return 0;
	if (c->type != CHUNK_RAW && !packed)
		return d->m.img->flags & IMAGE_NO_IO ? 0 :
			       refuse_type(c->type, err);
	if (packed ? c->length > MAX_CHUNK ||
		     c->sectors > MAX_CHUNK / SECTOR_SIZE :
		     c->length / SECTOR_SIZE < c->sectors)
		return error_set(err, EINVAL, "a DMG chunk of %" PRIu64
				 " sectors (at most %" PRIu64 ") cannot have %"
				 PRIu64 " bytes", c->sectors,
				 MAX_CHUNK / SECTOR_SIZE, c->length);
	return mapped_judge_table(d->m.file, "DMG chunk", c->offset, c->length,
				  1, err);
}

static int add_dmg_chunk(struct dmg *d, const struct chunk *c)
{
	if (array_reserve(d->chunks, d->nr, d->room))
		return -ENOMEM;
	d->chunks[d->nr++] = *c;
	return 0;
}

/* Sums of foreign numbers: what does not fit is nowhere. */
static uint64_t sum(uint64_t a, uint64_t b)
{
	return add_overflow(a, b, &a) ? UINT64_MAX : a;
}

/* One table; what is none is passed over. */
static int add_dmg_table(struct dmg *d, const uint8_t *t, size_t len,
			 struct error *err)
{
	uint64_t first, data;
	uint32_t n;
	int ret = 0;

	if (len < TABLE_HEAD || memcmp(t, "mish", 4))
		return 0;
	first = load_be64(t + 8);
	data = sum(load_be64(t + 24), d->data_fork);
	n = load_be32(t + 200);
	if (n > (len - TABLE_HEAD) / TABLE_ENTRY)
		return error_set(err, EINVAL, "a DMG table of %zu bytes cannot "
				 "have %u entries", len, n);
	for (t += TABLE_HEAD; n-- && !ret; t += TABLE_ENTRY) {
		struct chunk c = {
			.type = load_be32(t),
			.sector = sum(first, load_be64(t + 8)),
			.sectors = load_be64(t + 16),
			.offset = sum(data, load_be64(t + 24)),
			.length = load_be64(t + 32),
		};

		if (c.type == CHUNK_COMMENT || c.type == CHUNK_END ||
		    !c.sectors)
			continue;
		ret = judge_chunk(d, &c, err);
		if (!ret)
			ret = add_dmg_chunk(d, &c);
	}
	return ret;
}

static int by_sector(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;

	return x->sector < y->sector ? -1 : x->sector > y->sector;
}

static int sort_chunks(struct dmg *d, struct error *err)
{
	if (d->nr)
		qsort(d->chunks, d->nr, sizeof(*d->chunks), by_sector);
	for (size_t i = 1; i < d->nr; i++)
		if (d->chunks[i - 1].sector + d->chunks[i - 1].sectors >
		    d->chunks[i].sector)
			return error_set(err, EINVAL, "two DMG chunks hold "
					 "sector %" PRIu64,
					 d->chunks[i].sector);
	return 0;
}

/* ---- where tables are ---- */

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* In place; what is no digit is passed over. */
static size_t decode_plist_data(char *text, const char *end)
{
	uint8_t *out = (uint8_t *)text;
	uint32_t bits = 0;
	int have = 0, v;

	for (const char *in = text; in < end && *in != '='; in++) {
		v = base64_digit(*in);
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*out++ = (uint8_t)(bits >> have);
		}
	}
	return (size_t)(out - (uint8_t *)text);
}

/* Every <data> behind the key "blkx". */
static int read_list(struct dmg *d, char *xml, struct error *err)
{
	char *at = strstr(xml, "<key>blkx</key>"), *end;
	int ret = 0;

	while (!ret && at && (at = strstr(at, "<data>"))) {
		at += strlen("<data>");
		end = strstr(at, "</data>");
		if (!end)
			return error_set(err, EINVAL, "the DMG property list "
					 "is cut short");
		ret = add_dmg_table(d, (uint8_t *)at,
				    decode_plist_data(at, end), err);
		at = end;
	}
	return ret;
}

/* A resource fork: where its data is, how long that is; each with a length. */
static int read_fork(struct dmg *d, const uint8_t *f, size_t size,
		     struct error *err)
{
	uint64_t at = size >= 16 ? load_be32(f) : 0, n;
	uint64_t end = size >= 16 ? at + load_be32(f + 8) : 0;
	int ret = 0;

	if (end > size)
		return error_set(err, EINVAL, "the DMG resource fork of %zu "
				 "bytes is cut short", size);
	for (; !ret && end - at >= 4 && at < end; at += n) {
		n = load_be32(f + at);
		at += 4;
		if (n > end - at)
			return error_set(err, EINVAL, "a DMG resource of %"
					 PRIu64 " bytes is cut short", n);
		ret = add_dmg_table(d, f + at, n, err);
	}
	return ret;
}

static int read_tables(struct dmg *d, const uint8_t *k, struct error *err)
{
	bool fork = load_be64(k + AT_FORK_LEN);
	uint64_t off = load_be64(k + (fork ? AT_FORK : AT_LIST));
	uint64_t len = load_be64(k + (fork ? AT_FORK_LEN : AT_LIST_LEN));
	cleanup_free char *buf = NULL;
	int ret;

	if (!len || len > MAX_LIST)
		return error_set(err, EINVAL, "the DMG %s has %" PRIu64
				 " bytes, not 1 to %" PRIu64,
				 fork ? "resource fork" : "property list", len,
				 MAX_LIST);
	ret = mapped_judge_table(d->m.file, fork ? "DMG resource fork" :
				 "DMG property list", off, len, 1, err);
	if (ret)
		return ret;
	buf = malloc(len + 1);
	if (!buf)
		return -ENOMEM;
	buf[len] = '\0';
	ret = image_pread(d->m.file, off, len, buf);
	if (ret)
		return error_set_errno(err, -ret, "reading the tables");
	ret = fork ? read_fork(d, (uint8_t *)buf, len, err) :
		     read_list(d, buf, err);
	return ret ? ret : sort_chunks(d, err);
}

static int dmg_close(struct image *img, struct error *err)
{
	struct dmg *d = img->state;

	free(d->chunks);
	free(d->unpacked);
	d->chunks = NULL;
	d->unpacked = NULL;
	return mapped_close(img, err);
}

static int dmg_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	struct dmg *d = img->state;
	uint64_t size = img->file->size;
	uint8_t k[TRAILER_BYTES] = { 0 };
	int ret = 0;

	if (size >= sizeof(k))
		ret = image_pread(img->file, size - sizeof(k), sizeof(k), k);
	if (ret)
		return error_set_errno(err, -ret, "reading the trailer");
	if (memcmp(k, "koly", 4))
		return error_set(err, EINVAL, "not a DMG image: no 'koly' in "
				 "its last 512 bytes");
	mapped_init(&d->m, NULL, img, img->file);
	d->data_fork = load_be64(k + AT_DATA_FORK);
	ret = read_tables(d, k, err);
	if (ret) {
		dmg_close(img, NULL);
		return ret;
	}
	if (d->nr)
		img->size = (d->chunks[d->nr - 1].sector +
			     d->chunks[d->nr - 1].sectors) * SECTOR_SIZE;
	mapped_limits(img);
	return 0;
}

/* ---- data ---- */

/* The chunk that holds `sector`, or NULL; *end: until where that is so. */
static const struct chunk *find_dmg_chunk(const struct dmg *d, uint64_t sector,
					  uint64_t *end)
{
	size_t low = 0, high = d->nr;

	while (low < high) {	/* the first one behind `sector` */
		size_t mid = low + (high - low) / 2;

		if (d->chunks[mid].sector <= sector)
			low = mid + 1;
		else
			high = mid;
	}
	*end = low < d->nr ? d->chunks[low].sector : UINT64_MAX / SECTOR_SIZE;
	if (!low || sector - d->chunks[low - 1].sector >=
			    d->chunks[low - 1].sectors)
		return NULL;
	*end = d->chunks[low - 1].sector + d->chunks[low - 1].sectors;
	return &d->chunks[low - 1];
}

static int dmg_block_status(struct image *img, uint64_t off, uint64_t len,
			    struct image_extent *out)
{
	struct dmg *d = img->state;
	uint64_t end;
	const struct chunk *c = find_dmg_chunk(d, off / SECTOR_SIZE, &end);

	*out = (struct image_extent){
		.length = min(len, end * SECTOR_SIZE - off),
		.flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA,
	};
	if (!c || c->type == CHUNK_ZERO || c->type == CHUNK_UNUSED) {
		out->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO;
	} else if (c->type == CHUNK_RAW) {
		out->flags |= IMAGE_EXTENT_OFFSET;
		out->host_offset = c->offset + off - c->sector * SECTOR_SIZE;
		out->file = img->file;
	} else {
		out->flags |= IMAGE_EXTENT_COMPRESSED;
	}
	return 0;
}

static int unpack_into(struct dmg *d, const struct chunk *c, uint8_t *out,
		       size_t len)
{
	if (c->type == CHUNK_BZIP2)
		return packed_bunzip(&d->m, c->offset, c->length, out, len);
	return packed_inflate(&d->m, c->offset, c->length, out, len,
			      WINDOW_BITS);
}

static int unpack_dmg_chunk(struct dmg *d, const struct chunk *c)
{
	size_t len = c->sectors * SECTOR_SIZE;
	int ret;

	if (d->unpacked_chunk == c)
		return 0;
	free(d->unpacked);
	d->unpacked_chunk = NULL;
	d->unpacked = malloc(len);
	if (!d->unpacked)
		return -ENOMEM;
	ret = unpack_into(d, c, d->unpacked, len);
	if (!ret)
		d->unpacked_chunk = c;
	return ret;
}

static int read_dmg_packed(struct dmg *d, uint64_t off, uint64_t len,
			   struct iow w)
{
	uint64_t end;
	const struct chunk *c = find_dmg_chunk(d, off / SECTOR_SIZE, &end);
	int ret;

	co_mutex_lock(&d->m.unpacking);
	ret = unpack_dmg_chunk(d, c);
	if (!ret)
		iow_from_buf(w, d->unpacked + (off - c->sector * SECTOR_SIZE),
			     len);
	co_mutex_unlock(&d->m.unpacking);
	return ret;
}

static int dmg_preadv(struct image *img, uint64_t off, uint64_t len,
		      struct iow w)
{
	struct dmg *d = img->state;
	struct image_extent e;
	int ret = 0;

	for (; len && !ret; off += e.length, len -= e.length) {
		dmg_block_status(img, off, len, &e);
		if (e.flags & IMAGE_EXTENT_ZERO)
			iow_zero(w, e.length);
		else if (e.flags & IMAGE_EXTENT_OFFSET)
			ret = image_preadv(img->file, e.host_offset, e.length,
					   w);
		else
			ret = read_dmg_packed(d, off, e.length, w);
		w = iow_advance(w, e.length);
	}
	return ret;
}

static int dmg_get_info(struct image *img, struct image_info *info,
			struct error *err)
{
	info->no_dirty_flag = true;	/* as qemu-img */
	return 0;
}

const struct image_driver image_dmg_driver = {
	.name = "dmg",
	.state_size = sizeof(struct dmg),
	.probe = dmg_probe,
	.open = dmg_open,
	.close = dmg_close,
	.preadv = dmg_preadv,
	.block_status = dmg_block_status,
	.get_info = dmg_get_info,
};
