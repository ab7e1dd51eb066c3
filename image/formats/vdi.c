/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vdi.c: VirtualBox's disk images, version 1.1.
 *
 *	512 bytes of header, little-endian
 *	the block map: for each block of the disk a 32-bit block number
 *	blocks: number n lies at data offset + n * block size
 *
 * A map entry may also say "never written" or "discarded". (Source: the
 * VDICore.h structures as documented by the VirtualBox forum's "All about
 * VDIs"; files of qemu-img 7.2.) Differencing and undo images, which only
 * VirtualBox's registry can find the parents of, are refused, and so are blocks
 * with extra bytes before them, which nothing ever made.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bits.h"
#include "image/graph/create.h"
#include "image/driver.h"
#include "image/formats/mapped.h"

#define HEADER_BYTES 512
#define VDI_SIGNATURE 0xbeda107fu
#define VDI_VERSION 0x00010001u
#define TYPE_DYNAMIC 1u
#define TYPE_STATIC 2u
#define MIN_BLOCK (4 * KiB)
#define MAX_BLOCK (256 * MiB)
#define MAX_BLOCKS 0x3fffffffu		/* as QEMU has it */
#define NEVER_WRITTEN 0xffffffffu
#define DISCARDED 0xfffffffeu
#define DEFAULT_BLOCK (1 * MiB)

/* offsets in the header */
enum {
	AT_TEXT = 0, AT_SIGNATURE = 0x40, AT_VERSION = 0x44,
	AT_HEADER_SIZE = 0x48, AT_TYPE = 0x4c, AT_MAP = 0x154, AT_DATA = 0x158,
	AT_SECTOR_SIZE = 0x168, AT_DISK_SIZE = 0x170, AT_BLOCK_SIZE = 0x178,
	AT_BLOCK_EXTRA = 0x17c, AT_BLOCKS = 0x180, AT_ALLOCATED = 0x184,
	AT_UUID = 0x188, AT_UUID_SNAP = 0x198, AT_UUID_LINK = 0x1a8,
	AT_UUID_PARENT = 0x1b8,
};

struct vdi {
	struct mapped m;
	uint32_t map_offset, data_offset;	/* bytes */
	uint32_t blocks;
	uint32_t allocated;		/* as the header counts them */
};

static bool vdi_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= HEADER_BYTES &&
	       load_le32(head + AT_SIGNATURE) == VDI_SIGNATURE;
}

static int vdi_lookup(struct mapped *m, uint64_t block, struct mapped_block *b)
{
	struct vdi *v = container_of(m, struct vdi, m);
	uint8_t entry[4];
	uint32_t n;
	int ret;

	ret = pages_read(&m->pages, v->map_offset + block * 4, 4, entry);
	if (ret)
		return ret;
	n = load_le32(entry);
	if (n == NEVER_WRITTEN || n == DISCARDED) {
		b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO;
		return 0;
	}
	if (n >= v->blocks)
		return -EIO;
	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_OFFSET;
	b->host_offset = v->data_offset + n * m->block_size;
	return 0;
}

/* ---- opening ---- */

static int validate_vdi_header(const uint8_t *h, struct error *err)
{
	static const uint8_t none[16];
	uint32_t type = load_le32(h + AT_TYPE);

	if (load_le32(h + AT_SIGNATURE) != VDI_SIGNATURE)
		return error_set(err, EINVAL, "not a VDI image: signature is "
				 "%#x, not %#x", load_le32(h + AT_SIGNATURE),
				 VDI_SIGNATURE);
	if (load_le32(h + AT_VERSION) != VDI_VERSION)
		return error_set(err, ENOTSUP, "VDI version %u.%u is not "
				 "supported, only 1.1",
				 load_le16(h + AT_VERSION + 2),
				 load_le16(h + AT_VERSION));
	if (type != TYPE_DYNAMIC && type != TYPE_STATIC)
		return error_set(err, ENOTSUP, "VDI image type %u is not "
				 "supported, only %u (dynamic) and %u (static)",
				 type, TYPE_DYNAMIC, TYPE_STATIC);
	if (memcmp(h + AT_UUID_LINK, none, 16) ||
	    memcmp(h + AT_UUID_PARENT, none, 16))
		return error_set(err, ENOTSUP, "VDI images with a parent are "
				 "not supported");
	return 0;
}

static int validate_vdi_sizes(struct vdi *v, const uint8_t *h,
			      struct error *err)
{
	uint32_t block = load_le32(h + AT_BLOCK_SIZE);
	uint64_t disk = load_le64(h + AT_DISK_SIZE);

	if (load_le32(h + AT_SECTOR_SIZE) != SECTOR_SIZE)
		return error_set(err, ENOTSUP, "VDI sector size %u is not "
				 "supported, only 512",
				 load_le32(h + AT_SECTOR_SIZE));
	if (!is_pow2(block) || block < MIN_BLOCK || block > MAX_BLOCK)
		return error_set(err, EINVAL, "VDI block size %u is not a power "
				 "of two between 4 KiB and 256 MiB", block);
	if (load_le32(h + AT_BLOCK_EXTRA))
		return error_set(err, ENOTSUP, "VDI images with %u extra bytes "
				 "a block are not supported",
				 load_le32(h + AT_BLOCK_EXTRA));
	if (v->blocks > MAX_BLOCKS ||
	    disk > (uint64_t)v->blocks * block)
		return error_set(err, EINVAL, "VDI disk size %" PRIu64 " does "
				 "not fit into %u blocks (at most %u) of %u "
				 "bytes", disk, v->blocks, MAX_BLOCKS, block);
	if (v->map_offset % SECTOR_SIZE || v->data_offset % SECTOR_SIZE ||
	    v->map_offset < HEADER_BYTES)
		return error_set(err, EINVAL, "VDI block map at %#x and data at "
				 "%#x must be at multiples of 512 behind the "
				 "header", v->map_offset, v->data_offset);
	return 0;
}

/* So that no block can overlap the map. */
static int validate_vdi_writing(const struct vdi *v, struct error *err)
{
	if (v->map_offset + (uint64_t)v->blocks * 4 > v->data_offset)
		return error_set(err, EINVAL, "the VDI block map (%u entries at "
				 "%#x) overlaps the data at %#x: the image can "
				 "only be read", v->blocks, v->map_offset,
				 v->data_offset);
	return 0;
}

static const struct mapped_ops vdi_ops;

static int vdi_open(struct image *img, const struct image_options *opts,
		    struct error *err)
{
	struct vdi *v = img->state;
	uint8_t h[HEADER_BYTES];
	int ret = mapped_read_header(img, h, sizeof(h), validate_vdi_header,
				     &vdi_ops, err);

	if (ret)
		return ret;
	v->map_offset = load_le32(h + AT_MAP);
	v->data_offset = load_le32(h + AT_DATA);
	v->blocks = load_le32(h + AT_BLOCKS);
	v->allocated = load_le32(h + AT_ALLOCATED);
	ret = validate_vdi_sizes(v, h, err);
	if (!ret)
		ret = mapped_judge_table(img->file, "VDI block map",
					 v->map_offset, v->blocks, 4, err);
	if (!ret && (img->flags & IMAGE_RDWR))
		ret = validate_vdi_writing(v, err);
	if (ret)
		return ret;
	v->m.block_size = load_le32(h + AT_BLOCK_SIZE);
	v->m.data_start = v->data_offset;
	v->m.holes = load_le32(h + AT_TYPE) == TYPE_STATIC;
	img->size = align_up(load_le64(h + AT_DISK_SIZE), SECTOR_SIZE);
	v->m.size = img->size;
	mapped_limits(img);
	return 0;
}

/* ---- writing ---- */

/* Behind all blocks, by the header's count or by the file's length. */
static int vdi_place(struct mapped *m, uint64_t block, uint64_t *n,
		     uint64_t *host, bool *zero)
{
	struct vdi *v = container_of(m, struct vdi, m);
	uint64_t next = v->allocated;

	*zero = m->file->zero_beyond_end;
	if (*zero && m->file->size > v->data_offset)
		next = max(next, div_round_up(m->file->size - v->data_offset,
					      m->block_size));
	if (next >= v->blocks)
		return -ENOSPC;
	*n = min(*n, v->blocks - next);
	*host = v->data_offset + next * m->block_size;
	return 0;
}

static int vdi_enter(struct mapped *m, uint64_t block, uint64_t n,
		     uint64_t host)
{
	struct vdi *v = container_of(m, struct vdi, m);
	uint32_t nr = (uint32_t)((host - v->data_offset) / m->block_size);
	uint8_t entry[4];
	int ret = 0;

	for (uint64_t i = 0; i < n && !ret; i++) {
		store_le32(entry, nr + (uint32_t)i);
		ret = pages_write(&m->pages, v->map_offset + (block + i) * 4,
				  4, entry);
	}
	if (ret)
		return ret;
	v->allocated = nr + (uint32_t)n;
	store_le32(entry, v->allocated);
	return pages_write(&m->pages, AT_ALLOCATED, 4, entry);
}

static const struct mapped_ops vdi_ops = {
	.lookup = vdi_lookup,
	.place = vdi_place,
	.enter = vdi_enter,
};

/* ---- info, create ---- */

static int vdi_get_info(struct image *img, struct image_info *info,
			struct error *err)
{
	const struct vdi *v = img->state;

	info->cluster_size = (uint32_t)v->m.block_size;
	return 0;
}

static const struct image_create_help vdi_create_help[] = {
	{ "size", "<size>            - Virtual disk size" },
	{ "static", "<bool (on/off)> - VDI static (pre-allocated) image" },
	{ NULL, NULL },
};

/* Data begins at a page's border, which O_DIRECT likes. */
static uint64_t data_offset_for(uint64_t blocks)
{
	return align_up(HEADER_BYTES + blocks * 4, 4096);
}

static int fill_vdi_header(uint8_t *h, uint64_t size, uint64_t blocks,
			   bool fixed)
{
	static const char text[] = "<<< xdisk VM Virtual Disk Image >>>\n";
	int ret;

	memset(h, 0, HEADER_BYTES);
	memcpy(h + AT_TEXT, text, sizeof(text));
	store_le32(h + AT_SIGNATURE, VDI_SIGNATURE);
	store_le32(h + AT_VERSION, VDI_VERSION);
	store_le32(h + AT_HEADER_SIZE, 0x180);
	store_le32(h + AT_TYPE, fixed ? TYPE_STATIC : TYPE_DYNAMIC);
	store_le32(h + AT_MAP, HEADER_BYTES);
	store_le32(h + AT_DATA, (uint32_t)data_offset_for(blocks));
	store_le32(h + AT_SECTOR_SIZE, SECTOR_SIZE);
	store_le64(h + AT_DISK_SIZE, size);
	store_le32(h + AT_BLOCK_SIZE, (uint32_t)DEFAULT_BLOCK);
	store_le32(h + AT_BLOCKS, (uint32_t)blocks);
	store_le32(h + AT_ALLOCATED, fixed ? (uint32_t)blocks : 0);
	ret = create_uuid(h + AT_UUID);
	return ret ? ret : create_uuid(h + AT_UUID_SNAP);
}

static int write_map(struct image *img, uint64_t blocks, bool fixed)
{
	uint8_t buf[4096];
	int ret = 0;

	for (uint64_t i = 0, n; i < blocks && !ret; i += n) {
		n = min(blocks - i, sizeof(buf) / 4);
		for (uint64_t k = 0; k < n; k++)
			store_le32(buf + k * 4, fixed ? (uint32_t)(i + k) :
							NEVER_WRITTEN);
		ret = image_pwrite(img, HEADER_BYTES + i * 4, n * 4, buf);
	}
	return ret;
}

static int vdi_create(struct loop *loop, const char *path, uint64_t size,
		      const struct image_create_option *options,
		      unsigned int nr, struct error *err)
{
	struct create_args args = { vdi_create_help, options, nr };
	uint64_t blocks = div_round_up(size, DEFAULT_BLOCK), len;
	uint8_t h[HEADER_BYTES];
	bool fixed = false;
	struct image *img;
	int ret;

	ret = create_judge(&args, err);
	if (!ret)
		ret = create_bool(&args, "static", &fixed, err);
	if (ret)
		return ret;
	if (blocks > MAX_BLOCKS)
		return error_set(err, EFBIG, "Unsupported VDI image size: %"
				 PRIu64 " bytes, at most %" PRIu64, size,
				 MAX_BLOCKS * DEFAULT_BLOCK);
	len = data_offset_for(blocks) + (fixed ? blocks * DEFAULT_BLOCK : 0);
	ret = create_file(loop, path, len, len, &img, err);
	if (ret)
		return ret;
	ret = write_map(img, blocks, fixed);
	if (!ret)
		ret = fill_vdi_header(h, align_up(size, SECTOR_SIZE), blocks,
				      fixed);
	if (!ret)
		ret = image_pwrite(img, 0, sizeof(h), h);
	return create_done(img, ret, err);
}

const struct image_driver image_vdi_driver = {
	.name = "vdi",
	.state_size = sizeof(struct vdi),
	.probe = vdi_probe,
	.open = vdi_open,
	.close = mapped_close,
	.preadv = mapped_preadv,
	.pwritev = mapped_pwritev,
	.pwrite_zeroes = mapped_pwrite_zeroes,
	.flush = mapped_image_flush,
	.block_status = mapped_block_status,
	.get_info = vdi_get_info,
	.check = mapped_image_check,
	.create = vdi_create,
	.create_help = vdi_create_help,
};
