/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deflate-codes.h: the Huffman codes of a deflate block (RFC 1951, 3.2).
 */
#ifndef XD_IMAGE_DEFLATE_CODES_H
#define XD_IMAGE_DEFLATE_CODES_H

#include <stdint.h>

#define DEFLATE_LITLENS 288u	/* 286 are used */
#define DEFLATE_DISTS 32u	/* 30 are used */
#define DEFLATE_PRECODES 19u
#define DEFLATE_CODE_BITS 15u
#define DEFLATE_PRECODE_BITS 7u

/* Lengths of the codes of `n` symbols (at most DEFLATE_LITLENS) that occur
 * freq[] times, none longer than max_bits; 0: does not occur. At least two
 * symbols get a code, as old readers want it. */
void deflate_code_lengths(const uint32_t *freq, unsigned int n,
			  unsigned int max_bits, uint8_t *lens);

/* The codes for these lengths, first bit lowest, as they are written. */
void deflate_codes(const uint8_t *lens, unsigned int n, uint16_t *codes);

#endif
