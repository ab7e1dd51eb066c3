/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhd-footer.h: the footer and the dynamic header of a VHD image.
 *
 * All numbers are big-endian. (Source: Microsoft's "Virtual Hard Disk Image
 * Format Specification" 1.0; its appendix for geometries.)
 */
#ifndef XD_IMAGE_VHD_FOOTER_H
#define XD_IMAGE_VHD_FOOTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VHD_COOKIE "conectix"
#define VHD_DYNAMIC_COOKIE "cxsparse"
#define VHD_FOOTER_BYTES 512u
#define VHD_DYNAMIC_BYTES 1024u
#define VHD_UUID_BYTES 16u
#define VHD_MAX_SECTORS UINT64_C(0xff000000)	/* 2040 GiB */

#define VHD_TYPE_FIXED 2u
#define VHD_TYPE_DYNAMIC 3u
#define VHD_TYPE_DIFFERENCING 4u

/* offsets in the footer... */
enum {
	VHD_FEATURES = 8, VHD_VERSION = 12, VHD_DATA_OFFSET = 16, VHD_TIME = 24,
	VHD_CREATOR = 28, VHD_CREATOR_VERSION = 32, VHD_CREATOR_OS = 36,
	VHD_ORIGINAL_SIZE = 40, VHD_CURRENT_SIZE = 48, VHD_CYLINDERS = 56,
	VHD_HEADS = 58, VHD_SECTORS = 59, VHD_TYPE = 60, VHD_CHECKSUM = 64,
	VHD_UUID = 68,
};
/* ...and in the dynamic header */
enum {
	VHD_NEXT_OFFSET = 8, VHD_TABLE_OFFSET = 16, VHD_DYNAMIC_VERSION = 24,
	VHD_ENTRIES = 28, VHD_BLOCK_SIZE = 32, VHD_DYNAMIC_CHECKSUM = 36,
	VHD_PARENT_UUID = 40, VHD_PARENT_NAME = 64, VHD_LOCATORS = 576,
};

/* Of `len` bytes with the checksum's four left out. */
uint32_t vhd_checksum(const uint8_t *h, size_t len, size_t at);

/* Has it the cookie and the right checksum? */
bool vhd_footer_good(const uint8_t *footer);

/* Bytes of the disk, by geometry or by size, depending on who made it. */
uint64_t vhd_disk_size(const uint8_t *footer);

/* A footer for a disk of `size` bytes (multiple of 512), rounded up to what a
 * geometry can say unless `force`. -EIO: no random numbers. */
int vhd_fill_footer(uint8_t *footer, uint64_t size, bool fixed, bool force);

void vhd_fill_dynamic(uint8_t *header, uint64_t table_offset, uint32_t entries,
		      uint32_t block_size);

#endif
