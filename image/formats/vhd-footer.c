/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhd-footer.c: see vhd-footer.h. */
#include "image/formats/vhd-footer.h"

#include <string.h>
#include <time.h>

#include "common/bits.h"
#include "image/graph/create.h"

#define SECONDS_TO_2000 946684800
#define MAX_CYLINDERS 65535u
#define MAX_HEADS 16u
#define MAX_SECTORS 255u
#define MAX_GEOMETRY ((uint64_t)MAX_CYLINDERS * MAX_HEADS * MAX_SECTORS)

struct geometry {
	uint32_t cylinders, heads, sectors;
};

uint32_t vhd_checksum(const uint8_t *h, size_t len, size_t at)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < at || i >= at + 4)
			sum += h[i];
	return ~sum;
}

bool vhd_footer_good(const uint8_t *f)
{
	return !memcmp(f, VHD_COOKIE, 8) &&
	       load_be32(f + VHD_CHECKSUM) ==
		       vhd_checksum(f, VHD_FOOTER_BYTES, VHD_CHECKSUM);
}

/* Hyper-V, Disk2vhd, XenServer, XenConverter, Azure and QEMU's force_size go by
 * the size; Virtual PC and QEMU go by the geometry, and so does everybody else
 * unless it is the largest, which says no more than "large". */
static bool by_size(const uint8_t *creator, uint64_t geometry)
{
	static const char names[][4] = {
		"win ", "qem2", "d2v ", "tap", "CTXS", "wa\0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!memcmp(names[i], creator, 4))
			return true;
	return geometry == MAX_GEOMETRY;
}

uint64_t vhd_disk_size(const uint8_t *f)
{
	uint64_t sectors = (uint64_t)load_be16(f + VHD_CYLINDERS) *
			   f[VHD_HEADS] * f[VHD_SECTORS];

	if (by_size(f + VHD_CREATOR, sectors))
		return align_down(load_be64(f + VHD_CURRENT_SIZE), SECTOR_SIZE);
	return sectors * SECTOR_SIZE;
}

/* The specification's appendix: "CHS Calculation". */
static struct geometry geometry_of(uint64_t total)
{
	struct geometry g;
	uint64_t tracks;

	total = min(total, MAX_GEOMETRY);
	if (total >= (uint64_t)MAX_CYLINDERS * 16 * 63) {
		g.sectors = MAX_SECTORS;
		g.heads = MAX_HEADS;
		tracks = total / g.sectors;
	} else {
		g.sectors = 17;
		tracks = total / g.sectors;
		g.heads = max((uint32_t)((tracks + 1023) / 1024), 4u);
		if (tracks >= g.heads * 1024 || g.heads > 16) {
			g.sectors = 31;
			g.heads = 16;
			tracks = total / g.sectors;
		}
		if (tracks >= g.heads * 1024) {
			g.sectors = 63;
			g.heads = 16;
			tracks = total / g.sectors;
		}
	}
	g.cylinders = (uint32_t)(tracks / g.heads);
	return g;
}

static uint64_t sectors_of(struct geometry g)
{
	return (uint64_t)g.cylinders * g.heads * g.sectors;
}

/* The smallest that the disk fits into; larger disks get the largest one. */
static struct geometry fitting(uint64_t total)
{
	struct geometry g = geometry_of(total);

	for (uint64_t more = 1; sectors_of(g) < min(total, MAX_GEOMETRY);
	     more++)
		g = geometry_of(total + more);
	return g;
}

int vhd_fill_footer(uint8_t *f, uint64_t size, bool fixed, bool force)
{
	struct geometry g = { MAX_CYLINDERS, MAX_HEADS, MAX_SECTORS };
	int ret;

	if (!force)
		g = fitting(size / SECTOR_SIZE);
	if (sectors_of(g) != MAX_GEOMETRY)
		size = sectors_of(g) * SECTOR_SIZE;
	memset(f, 0, VHD_FOOTER_BYTES);
	memcpy(f, VHD_COOKIE, 8);
	store_be32(f + VHD_FEATURES, 2);	/* "reserved, always set" */
	store_be32(f + VHD_VERSION, 0x00010000);
	store_be64(f + VHD_DATA_OFFSET, fixed ? UINT64_MAX : VHD_FOOTER_BYTES);
	store_be32(f + VHD_TIME, (uint32_t)(time(NULL) - SECONDS_TO_2000));
	memcpy(f + VHD_CREATOR, force ? "qem2" : "xdsk", 4);
	store_be32(f + VHD_CREATOR_VERSION, 0x00010000);
	memcpy(f + VHD_CREATOR_OS, "Wi2k", 4);
	store_be64(f + VHD_ORIGINAL_SIZE, size);
	store_be64(f + VHD_CURRENT_SIZE, size);
	store_be16(f + VHD_CYLINDERS, (uint16_t)g.cylinders);
	f[VHD_HEADS] = (uint8_t)g.heads;
	f[VHD_SECTORS] = (uint8_t)g.sectors;
	store_be32(f + VHD_TYPE, fixed ? VHD_TYPE_FIXED : VHD_TYPE_DYNAMIC);
	ret = create_uuid(f + VHD_UUID);
	store_be32(f + VHD_CHECKSUM,
		   vhd_checksum(f, VHD_FOOTER_BYTES, VHD_CHECKSUM));
	return ret;
}

void vhd_fill_dynamic(uint8_t *h, uint64_t table_offset, uint32_t entries,
		      uint32_t block_size)
{
	memset(h, 0, VHD_DYNAMIC_BYTES);
	memcpy(h, VHD_DYNAMIC_COOKIE, 8);
	store_be64(h + VHD_NEXT_OFFSET, UINT64_MAX);
	store_be64(h + VHD_TABLE_OFFSET, table_offset);
	store_be32(h + VHD_DYNAMIC_VERSION, 0x00010000);
	store_be32(h + VHD_ENTRIES, entries);
	store_be32(h + VHD_BLOCK_SIZE, block_size);
	store_be32(h + VHD_DYNAMIC_CHECKSUM,
		   vhd_checksum(h, VHD_DYNAMIC_BYTES, VHD_DYNAMIC_CHECKSUM));
}
