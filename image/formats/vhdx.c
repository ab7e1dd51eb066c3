/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhdx.c: Hyper-V's disk images, version 2 (VHDX), read.
 *
 *	  0 KiB  "vhdxfile"
 *	 64 KiB  header	1, 128 KiB  header 2: the newer valid one counts
 *	192 KiB  region table, 256 KiB  its copy: where BAT and metadata are
 *	  1 MiB  log, metadata, BAT, blocks, in any order
 *
 * Numbers are little-endian. In the BAT an entry for a bitmap block stands
 * behind those of every "chunk" of blocks; only differencing images use them.
 * (Source: Microsoft's [MS-VHDX].)
 *
 * Changes to metadata go through the log. Where that has not been replayed the
 * tables may be wrong: all is then read from the file as it would be afterwards
 * (vhdx-log.h). Differencing images are refused.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/driver.h"
#include "image/formats/mapped.h"
#include "image/formats/vhdx-checksum.h"
#include "image/formats/vhdx-log.h"

#define MAX_REGIONS 2047u
#define MAX_ITEMS 2047u
#define REGION_ENTRY 32u
#define ITEM_ENTRY 32u
#define MAX_DISK (64 * TiB)
#define CHUNK_SECTORS (UINT64_C(1) << 23)
#define BAT_OFFSET_MASK (~UINT64_C(0xfffff))

/* states of a block */
#define BLOCK_PRESENT 6u
#define BLOCK_PARTIAL 7u


/* As they lie in the file. */
static const uint8_t guid_bat[16] = {
	0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
	0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08,
};
static const uint8_t guid_metadata[16] = {
	0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
	0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e,
};

struct region {
	uint64_t offset;
	uint32_t length;
};

struct vhdx {
	struct mapped m;
	struct region bat, metadata;
	uint64_t chunk_blocks;
	uint32_t block_size, flags;	/* the file parameters item */
	uint32_t sector_size;
	uint64_t disk_size;
	bool has_log;
	struct vhdx_log log;
};

static bool vhdx_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= 8 && !memcmp(head, "vhdxfile", 8);
}

static int vhdx_lookup(struct mapped *m, uint64_t block,
		       struct mapped_block *b)
{
	struct vhdx *v = container_of(m, struct vhdx, m);
	uint64_t index = block + block / v->chunk_blocks, entry;
	uint8_t raw[8];
	int ret;

	ret = pages_read(&m->pages, v->bat.offset + index * 8, 8, raw);
	if (ret)
		return ret;
	entry = load_le64(raw);
	switch (entry & 7) {
	case BLOCK_PRESENT:
		b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
			   IMAGE_EXTENT_OFFSET;
		b->host_offset = entry & BAT_OFFSET_MASK;
		return 0;
	case BLOCK_PARTIAL:
		return -EIO;
	default:		/* not present, undefined, zero, unmapped */
		b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO;
		return 0;
	}
}

static const struct mapped_ops vhdx_ops = {
	.lookup = vhdx_lookup,
};

/* ---- header ---- */

static bool valid(const uint8_t *p, size_t len, const char signature[4])
{
	return !memcmp(p, signature, 4) && load_le32(p + 4) == vhdx_checksum(p, len);
}

enum { AT_SEQUENCE = 8 };

/* All that is read later is read from m.file. */
static int use_header(struct vhdx *v, const uint8_t *h, struct error *err)
{
	int ret;

	if (load_le16(h + VHDX_AT_VERSION) != 1)
		return error_set(err, ENOTSUP, "VHDX version %u is not "
				 "supported, only 1",
				 load_le16(h + VHDX_AT_VERSION));
	v->has_log = vhdx_log_is_needed(h);
	if (!v->has_log)
		return 0;
	ret = vhdx_log_replay(&v->log, v->m.img->file, h, err);
	if (ret)
		return ret;
	v->m.file = v->m.pages.file = &v->log.after.node;
	return 0;
}

static int read_vhdx_header(struct vhdx *v, struct error *err)
{
	struct image *file = v->m.img->file;
	uint8_t one[VHDX_HEADER_BYTES], two[VHDX_HEADER_BYTES];
	const uint8_t *h = NULL;
	int ret = image_pread(file, VHDX_HEADER_1, sizeof(one), one);

	if (!ret)
		ret = image_pread(file, VHDX_HEADER_2, sizeof(two), two);
	if (ret)
		return error_set_errno(err, -ret, "reading the headers");
	if (valid(one, sizeof(one), "head"))
		h = one;
	if (valid(two, sizeof(two), "head") &&
	    (!h || load_le64(two + AT_SEQUENCE) > load_le64(h + AT_SEQUENCE)))
		h = two;
	if (!h)
		return error_set(err, EINVAL, "neither VHDX header has a right "
				 "checksum");
	return use_header(v, h, err);
}

/* ---- regions ---- */

static int note_region(struct vhdx *v, const uint8_t *e, struct error *err)
{
	struct region r = { load_le64(e + 16), load_le32(e + 24) }, *to = NULL;

	if (!memcmp(e, guid_bat, 16))
		to = &v->bat;
	else if (!memcmp(e, guid_metadata, 16))
		to = &v->metadata;
	else if (load_le32(e + 28) & 1)
		return error_set(err, ENOTSUP, "the VHDX image requires a "
				 "region that is not known");
	if (!to)
		return 0;
	if (to->length)
		return error_set(err, EINVAL, "the VHDX region table names a "
				 "region twice");
	if (r.offset < MiB || !r.length)
		return error_set(err, EINVAL, "a VHDX region of %u bytes at %#"
				 PRIx64 " is not possible", r.length, r.offset);
	*to = r;
	return mapped_judge_table(v->m.file, "VHDX region", r.offset, r.length,
				  1, err);
}

static int read_regions(struct vhdx *v, struct error *err)
{
	cleanup_free uint8_t *t = malloc(VHDX_TABLE_BYTES);
	uint32_t n;
	int ret;

	if (!t)
		return -ENOMEM;
	ret = image_pread(v->m.file, VHDX_REGIONS_1, VHDX_TABLE_BYTES, t);
	if (!ret && !valid(t, VHDX_TABLE_BYTES, "regi"))
		ret = image_pread(v->m.file, VHDX_REGIONS_2, VHDX_TABLE_BYTES, t);
	if (ret)
		return error_set_errno(err, -ret, "reading the region table");
	if (!valid(t, VHDX_TABLE_BYTES, "regi"))
		return error_set(err, EINVAL, "neither VHDX region table has a "
				 "right checksum");
	n = load_le32(t + 8);
	if (n > MAX_REGIONS)
		return error_set(err, EINVAL, "the VHDX region table has %u "
				 "entries, at most %u", n, MAX_REGIONS);
	for (uint32_t i = 0; i < n && !ret; i++)
		ret = note_region(v, t + 16 + i * REGION_ENTRY, err);
	if (!ret && (!v->bat.length || v->metadata.length < VHDX_TABLE_BYTES))
		ret = error_set(err, EINVAL, "the VHDX region table lacks the "
				"BAT or the metadata");
	return ret;
}

/* ---- metadata ---- */

static const struct item {
	uint8_t guid[16];
	const char *name;
	uint32_t bytes;			/* at least */
	size_t at;			/* in struct vhdx; 0: not looked at */
} items[] = {
	{ { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
	    0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b },
	  "file parameters", 8, offsetof(struct vhdx, block_size) },
	{ { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
	    0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 },
	  "disk size", 8, offsetof(struct vhdx, disk_size) },
	{ { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
	    0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f },
	  "logical sector size", 4, offsetof(struct vhdx, sector_size) },
	{ { 0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
	    0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56 },
	  "physical sector size", 4, 0 },
	{ { 0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
	    0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46 },
	  "disk identifier", 16, 0 },
	{ { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
	    0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c },
	  "parent locator", 0, 0 },
};

static int read_item(struct vhdx *v, const uint8_t *e, struct error *err)
{
	uint32_t off = load_le32(e + 16), len = load_le32(e + 20);
	const struct item *it = items;
	uint8_t raw[8];
	int ret;

	while (it < items + ARRAY_SIZE(items) && memcmp(e, it->guid, 16))
		it++;
	if (it == items + ARRAY_SIZE(items))
		return !(load_le32(e + 24) & 4) ? 0 :
			error_set(err, ENOTSUP, "the VHDX image requires a "
				  "metadata item that is not known");
	if (!it->at)
		return 0;
	if (len < it->bytes || off < VHDX_TABLE_BYTES ||
	    !range_within(off, len, v->metadata.length))
		return error_set(err, EINVAL, "the VHDX %s of %u bytes at %#x "
				 "is not within the metadata", it->name, len,
				 off);
	ret = image_pread(v->m.file, v->metadata.offset + off, it->bytes, raw);
	if (ret)
		return error_set_errno(err, -ret, "reading the metadata");
	memcpy((uint8_t *)v + it->at, raw, it->bytes);
	return 0;
}

static int read_metadata(struct vhdx *v, struct error *err)
{
	cleanup_free uint8_t *t = malloc(VHDX_TABLE_BYTES);
	uint16_t n;
	int ret;

	if (!t)
		return -ENOMEM;
	ret = image_pread(v->m.file, v->metadata.offset, VHDX_TABLE_BYTES, t);
	if (ret)
		return error_set_errno(err, -ret, "reading the metadata");
	n = load_le16(t + 10);
	if (memcmp(t, "metadata", 8) || n > MAX_ITEMS)
		return error_set(err, EINVAL, "the VHDX metadata table is "
				 "damaged");
	for (uint16_t i = 0; i < n && !ret; i++)
		ret = read_item(v, t + 32 + i * ITEM_ENTRY, err);
	return ret;
}

static int judge_metadata(struct vhdx *v, struct error *err)
{
	if (v->flags & 2)
		return error_set(err, ENOTSUP, "differencing VHDX images are "
				 "not supported");
	if (!is_pow2(v->block_size) || v->block_size < MiB ||
	    v->block_size > 256 * MiB)
		return error_set(err, EINVAL, "VHDX block size %u is not a "
				 "power of two between 1 and 256 MiB",
				 v->block_size);
	if (v->sector_size != 512 && v->sector_size != 4096)
		return error_set(err, EINVAL, "VHDX sector size %u is neither "
				 "512 nor 4096", v->sector_size);
	if (v->disk_size > MAX_DISK || v->disk_size % v->sector_size)
		return error_set(err, EINVAL, "VHDX disk size %" PRIu64 " is "
				 "not a multiple of %u up to 64 TiB",
				 v->disk_size, v->sector_size);
	return 0;
}

static int judge_bat(struct vhdx *v, struct error *err)
{
	uint64_t blocks = div_round_up(v->disk_size, v->block_size), need;

	v->chunk_blocks = CHUNK_SECTORS * v->sector_size / v->block_size;
	need = blocks + (blocks ? (blocks - 1) / v->chunk_blocks : 0);
	if (need * 8 > v->bat.length)
		return error_set(err, EINVAL, "a VHDX disk of %" PRIu64 " bytes "
				 "needs a BAT of %" PRIu64 " entries; it has %u "
				 "bytes", v->disk_size, need, v->bat.length);
	return 0;
}

static int vhdx_open(struct image *img, const struct image_options *opts,
		     struct error *err)
{
	struct vhdx *v = img->state;
	uint8_t magic[8];
	int ret = image_pread(img->file, 0, sizeof(magic), magic);

	if (ret)
		return error_set_errno(err, -ret, "reading the header");
	if (memcmp(magic, "vhdxfile", 8))
		return error_set(err, EINVAL, "not a VHDX image: the magic is "
				 "missing");
	mapped_init(&v->m, &vhdx_ops, img, img->file);
	ret = read_vhdx_header(v, err);
	if (!ret)
		ret = read_regions(v, err);
	if (!ret)
		ret = read_metadata(v, err);
	if (!ret)
		ret = judge_metadata(v, err);
	if (!ret)
		ret = judge_bat(v, err);
	if (ret) {
		vhdx_log_deinit(&v->log);
		return ret;
	}
	v->m.block_size = v->block_size;
	v->m.data_start = MiB;
	v->m.size = img->size = v->disk_size;
	mapped_limits(img);
	return 0;
}

static int vhdx_close(struct image *img, struct error *err)
{
	struct vhdx *v = img->state;
	int ret = mapped_close(img, err);

	vhdx_log_deinit(&v->log);
	return ret;
}

/* What the log changes, or the file lacks, is not in the file. */
static int vhdx_block_status(struct image *img, uint64_t off, uint64_t len,
			     struct image_extent *out)
{
	struct vhdx *v = img->state;
	int ret = mapped_block_status(img, off, len, out);

	if (ret || !v->has_log || !(out->flags & IMAGE_EXTENT_OFFSET))
		return ret;
	out->file = img->file;
	if (patched_touches(&v->log.after, out->host_offset, out->length) ||
	    !range_within(out->host_offset, out->length, img->file->size))
		out->flags &= ~(unsigned int)IMAGE_EXTENT_OFFSET;
	return 0;
}

static int vhdx_get_info(struct image *img, struct image_info *info,
			 struct error *err)
{
	const struct vhdx *v = img->state;

	info->cluster_size = v->block_size;
	info->dirty = v->has_log;
	return 0;
}

const struct image_driver image_vhdx_driver = {
	.name = "vhdx",
	.state_size = sizeof(struct vhdx),
	.probe = vhdx_probe,
	.open = vhdx_open,
	.close = vhdx_close,
	.preadv = mapped_preadv,
	.block_status = vhdx_block_status,
	.get_info = vhdx_get_info,
	.check = mapped_image_check,
};
