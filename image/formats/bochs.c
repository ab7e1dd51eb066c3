/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bochs.c: growing images ("Redolog") of the Bochs emulator, read.
 *
 *	header, little-endian
 *	catalog: 32 bits an extent of the disk: where it is in the file
 *	extents: a bitmap of the sectors that are there, then all sectors
 *
 * (Source: Bochs' user manual, "harddisk redologs"; its header as of versions
 * 1 and 2.)
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bits.h"
#include "image/driver.h"
#include "image/formats/mapped.h"

#define HEADER_BYTES 512
#define BOCHS_MAGIC "Bochs Virtual HD Image"
#define VERSION_1 0x00010000u
#define VERSION_2 0x00020000u
#define MAX_CATALOG 0x100000u
#define MAX_EXTENT 0x800000u		/* bytes */
#define NOT_THERE 0xffffffffu

enum {
	AT_TYPE = 32, AT_SUBTYPE = 48, AT_VERSION = 64, AT_HEADER = 68,
	AT_CATALOG = 72, AT_BITMAP = 76, AT_EXTENT = 80, AT_SIZE_V1 = 84,
	AT_SIZE_V2 = 88,
};

struct bochs {
	struct mapped m;		/* a block is a sector */
	uint32_t header_bytes, catalog;	/* bytes, entries */
	uint32_t extent_sectors;
	uint64_t bitmap_bytes;		/* whole sectors */
};

static bool bochs_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= HEADER_BYTES &&
	       !strncmp((const char *)head, BOCHS_MAGIC, 32) &&
	       !strncmp((const char *)head + AT_TYPE, "Redolog", 16) &&
	       !strncmp((const char *)head + AT_SUBTYPE, "Growing", 16) &&
	       (load_le32(head + AT_VERSION) == VERSION_1 ||
		load_le32(head + AT_VERSION) == VERSION_2);
}

static int bochs_lookup(struct mapped *m, uint64_t sector,
			struct mapped_block *b)
{
	struct bochs *s = container_of(m, struct bochs, m);
	uint64_t extent = sector / s->extent_sectors;
	uint64_t in = sector % s->extent_sectors, at;
	uint8_t entry[4], bits;
	int ret;

	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_ZERO;
	b->rest = s->extent_sectors - in;
	ret = pages_read(&m->pages, s->header_bytes + extent * 4, 4, entry);
	if (ret || load_le32(entry) == NOT_THERE)
		return ret;
	at = s->header_bytes + s->catalog * UINT64_C(4) + load_le32(entry) *
	     (s->bitmap_bytes + (uint64_t)s->extent_sectors * SECTOR_SIZE);
	if (!range_within(at, s->bitmap_bytes, m->file->size)) {
		b->lost_table = at;
		return -EIO;
	}
	b->table = at;
	ret = pages_read(&m->pages, at + in / 8, 1, &bits);
	if (ret || !(bits >> in % 8 & 1))
		return ret;
	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_OFFSET;
	b->host_offset = at + s->bitmap_bytes + in * SECTOR_SIZE;
	return 0;
}

static const struct mapped_ops bochs_ops = {
	.lookup = bochs_lookup,
};

static int validate_bochs_header(const uint8_t *h, struct error *err)
{
	uint32_t extent = load_le32(h + AT_EXTENT);

	if (!bochs_probe("", h, HEADER_BYTES))
		return error_set(err, EINVAL, "not a growing Bochs image of "
				 "version 1 or 2");
	if (load_le32(h + AT_CATALOG) > MAX_CATALOG)
		return error_set(err, EFBIG, "Catalog size is too large: %u "
				 "entries, at most %u",
				 load_le32(h + AT_CATALOG), MAX_CATALOG);
	if (!is_pow2(extent) || extent < SECTOR_SIZE || extent > MAX_EXTENT)
		return error_set(err, EINVAL, "Extent size %u is not a power of "
				 "two between 512 and %u", extent, MAX_EXTENT);
	if (load_le32(h + AT_BITMAP) < div_round_up(extent / SECTOR_SIZE, 8) ||
	    load_le32(h + AT_BITMAP) > MAX_EXTENT)
		return error_set(err, EINVAL, "a bitmap of %u bytes does not "
				 "fit extents of %u", load_le32(h + AT_BITMAP),
				 extent);
	return 0;
}

static int bochs_open(struct image *img, const struct image_options *opts,
		      struct error *err)
{
	struct bochs *s = img->state;
	uint8_t h[HEADER_BYTES];
	uint64_t size;
	int ret = mapped_read_header(img, h, sizeof(h), validate_bochs_header,
				     &bochs_ops, err);

	if (ret)
		return ret;
	s->header_bytes = load_le32(h + AT_HEADER);
	s->catalog = load_le32(h + AT_CATALOG);
	s->bitmap_bytes = align_up(load_le32(h + AT_BITMAP), SECTOR_SIZE);
	s->extent_sectors = load_le32(h + AT_EXTENT) / SECTOR_SIZE;
	size = load_le64(h + (load_le32(h + AT_VERSION) == VERSION_1 ?
			      AT_SIZE_V1 : AT_SIZE_V2));
	if (size / load_le32(h + AT_EXTENT) >= s->catalog &&
	    size > (uint64_t)s->catalog * load_le32(h + AT_EXTENT))
		return error_set(err, EINVAL, "Catalog size of %u entries is "
				 "too small for a disk of %" PRIu64 " bytes",
				 s->catalog, size);
	s->m.block_size = SECTOR_SIZE;
	s->m.data_start = s->header_bytes + s->catalog * UINT64_C(4);
	s->m.size = img->size = align_down(size, SECTOR_SIZE);
	mapped_limits(img);
	return mapped_judge_table(img->file, "Bochs catalog", s->header_bytes,
				  s->catalog, 4, err);
}

static int bochs_get_info(struct image *img, struct image_info *info,
			  struct error *err)
{
	info->no_dirty_flag = true;	/* as qemu-img */
	return 0;
}

const struct image_driver image_bochs_driver = {
	.name = "bochs",
	.state_size = sizeof(struct bochs),
	.probe = bochs_probe,
	.open = bochs_open,
	.close = mapped_close,
	.preadv = mapped_preadv,
	.block_status = mapped_block_status,
	.get_info = bochs_get_info,
};
