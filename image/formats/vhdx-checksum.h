/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vhdx-checksum.h: places in a VHDX image that carry a checksum.
 * (Source: [MS-VHDX].)
 */
#ifndef XD_IMAGE_VHDX_CHECKSUM_H
#define XD_IMAGE_VHDX_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "common/bits.h"

#define VHDX_HEADER_1 (64 * KiB)
#define VHDX_HEADER_2 (128 * KiB)
#define VHDX_HEADER_BYTES (4 * KiB)
#define VHDX_REGIONS_1 (192 * KiB)
#define VHDX_REGIONS_2 (256 * KiB)
#define VHDX_TABLE_BYTES (64 * KiB)	/* of regions, of metadata */

/* CRC-32C, with the checksum's own four bytes (at 4) as zeroes. */
uint32_t vhdx_checksum(const uint8_t *p, size_t len);

#endif
