/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parallels.c: Parallels' expanding disk images, read.
 *
 *	64 bytes of header, little-endian
 *	the block allocation table: 32 bits a cluster, 0: not there
 *	clusters of `tracks` sectors
 *
 * "WithoutFreeSpace" images count table entries in sectors,
 * "WithouFreSpacExt" images in clusters. (Source: QEMU's
 * docs/interop/parallels.txt.)
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/bits.h"
#include "image/driver.h"
#include "image/formats/mapped.h"

#define HEADER_BYTES 64
#define MAGIC_SECTORS "WithoutFreeSpace"
#define MAGIC_CLUSTERS "WithouFreSpacExt"
#define FORMAT_VERSION 2u
#define IN_USE 0x746f6e59u
#define MAX_TRACKS (UINT32_C(1) << 21)	/* sectors a cluster: 1 GiB */
#define MAX_ENTRIES (UINT32_C(1) << 29)

enum {
	AT_VERSION = 16, AT_TRACKS = 28, AT_ENTRIES = 32, AT_SECTORS = 36,
	AT_IN_USE = 44, AT_DATA = 48,
};

struct parallels {
	struct mapped m;
	uint32_t entries;
	uint64_t unit;			/* bytes that an entry counts in */
	bool in_use;
};

static bool parallels_probe(const char *path, const uint8_t *head, size_t len)
{
	return len >= HEADER_BYTES && (!memcmp(head, MAGIC_SECTORS, 16) ||
				       !memcmp(head, MAGIC_CLUSTERS, 16)) &&
	       load_le32(head + AT_VERSION) == FORMAT_VERSION;
}

static int parallels_lookup(struct mapped *m, uint64_t block,
			    struct mapped_block *b)
{
	struct parallels *p = container_of(m, struct parallels, m);
	uint8_t entry[4];
	int ret;

	if (block >= p->entries) {	/* nor has any behind it */
		b->rest = div_round_up(m->size, m->block_size) - block;
		return 0;
	}
	ret = pages_read(&m->pages, HEADER_BYTES + block * 4, 4, entry);
	if (ret || !load_le32(entry))
		return ret;
	b->flags = IMAGE_EXTENT_ALLOCATED | IMAGE_EXTENT_DATA |
		   IMAGE_EXTENT_OFFSET;
	b->host_offset = load_le32(entry) * p->unit;
	return 0;
}

static const struct mapped_ops parallels_ops = {
	.lookup = parallels_lookup,
};

static int validate_parallels_header(const uint8_t *h, struct error *err)
{
	uint32_t tracks = load_le32(h + AT_TRACKS);

	if (memcmp(h, MAGIC_SECTORS, 16) && memcmp(h, MAGIC_CLUSTERS, 16))
		return error_set(err, EINVAL, "not a parallels image: the "
				 "magic is missing");
	if (load_le32(h + AT_VERSION) != FORMAT_VERSION)
		return error_set(err, ENOTSUP, "parallels version %u is not "
				 "supported, only %u",
				 load_le32(h + AT_VERSION), FORMAT_VERSION);
	if (!tracks || tracks > MAX_TRACKS)
		return error_set(err, EINVAL, "parallels clusters of %u sectors "
				 "are not possible, only 1 to %u", tracks,
				 MAX_TRACKS);
	if (load_le32(h + AT_ENTRIES) > MAX_ENTRIES)
		return error_set(err, EFBIG, "the parallels allocation table "
				 "has %u entries, at most %u",
				 load_le32(h + AT_ENTRIES), MAX_ENTRIES);
	return 0;
}

static int parallels_open(struct image *img, const struct image_options *opts,
			  struct error *err)
{
	struct parallels *p = img->state;
	uint8_t h[HEADER_BYTES];
	uint64_t sectors;
	int ret = mapped_read_header(img, h, sizeof(h),
				     validate_parallels_header, &parallels_ops,
				     err);

	if (ret)
		return ret;
	p->entries = load_le32(h + AT_ENTRIES);
	p->m.block_size = (uint64_t)load_le32(h + AT_TRACKS) * SECTOR_SIZE;
	p->unit = p->m.block_size;
	p->in_use = load_le32(h + AT_IN_USE) == IN_USE;
	sectors = load_le64(h + AT_SECTORS);
	if (!memcmp(h, MAGIC_SECTORS, 16)) {	/* the upper half is not set */
		sectors = (uint32_t)sectors;
		p->unit = SECTOR_SIZE;
	}
	if (sectors > INT64_MAX / SECTOR_SIZE)
		return error_set(err, EFBIG, "a parallels disk of %" PRIu64
				 " sectors is too large", sectors);
	ret = mapped_judge_table(img->file, "parallels allocation table",
				 HEADER_BYTES, p->entries, 4, err);
	p->m.data_start = align_up(HEADER_BYTES + p->entries * UINT64_C(4),
				   SECTOR_SIZE);
	p->m.size = img->size = sectors * SECTOR_SIZE;
	mapped_limits(img);
	return ret;
}

static int parallels_get_info(struct image *img, struct image_info *info,
			      struct error *err)
{
	info->no_dirty_flag = true;	/* as qemu-img */
	return 0;
}

static int parallels_check(struct image *img, enum image_repair repair,
			   struct image_check *result, struct error *err)
{
	struct parallels *p = img->state;
	uint64_t end;
	int ret;

	if (p->in_use)
		mapped_corrupt(result, "ERROR image was not closed correctly");
	ret = mapped_judge_repair(img, repair, err);
	if (!ret)
		ret = mapped_check(&p->m, result);
	end = max(result->image_end_offset, p->m.data_start);
	result->image_end_offset = end;
	if (!ret && img->file->size > end)
		result->leaks = div_round_up(img->file->size - end,
					     p->m.block_size);
	return ret;
}

const struct image_driver image_parallels_driver = {
	.name = "parallels",
	.state_size = sizeof(struct parallels),
	.probe = parallels_probe,
	.open = parallels_open,
	.close = mapped_close,
	.preadv = mapped_preadv,
	.block_status = mapped_block_status,
	.get_info = parallels_get_info,
	.check = parallels_check,
};
