/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vhdx-checksum.c: see vhdx-checksum.h. */
#include "image/formats/vhdx-checksum.h"

#define CRC32C_POLYNOMIAL 0x82f63b78u	/* reversed */

uint32_t vhdx_checksum(const uint8_t *p, size_t len)
{
	uint32_t table[256], crc = 0xffffffff;

	for (uint32_t i = 0; i < ARRAY_SIZE(table); i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ?
						    CRC32C_POLYNOMIAL : 0);
	}
	for (size_t i = 0; i < len; i++)
		crc = crc >> 8 ^ table[(crc ^ (i < 4 || i >= 8 ? p[i] : 0)) &
				       0xff];
	return ~crc;
}
