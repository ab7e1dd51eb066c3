/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deflate-codes.c: see deflate-codes.h.
 *
 * Lengths come from a Huffman tree built over the sorted frequencies with two
 * queues: leaves and inner nodes both come out in order. Where a code would be
 * too long, the sum of 2^-length is brought back to one by making the longest of
 * the shorter ones longer; the frequent symbols keep the short codes.
 */
#include "image/codec/deflate-codes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct leaf {
	uint32_t freq;
	uint32_t symbol;
};

static int by_freq(const void *a, const void *b)
{
	const struct leaf *x = a, *y = b;

	if (x->freq != y->freq)
		return x->freq < y->freq ? -1 : 1;
	return x->symbol < y->symbol ? -1 : 1;
}

static unsigned int collect_used(const uint32_t *freq, unsigned int n,
				 struct leaf *leaves)
{
	unsigned int nr = 0;

	for (uint32_t i = 0; i < n; i++)
		if (freq[i])
			leaves[nr++] = (struct leaf){ freq[i], i };
	for (uint32_t i = 0; nr < 2; i++)
		if (!freq[i])
			leaves[nr++] = (struct leaf){ 0, i };
	qsort(leaves, nr, sizeof(*leaves), by_freq);
	return nr;
}

/* How many codes of each length the tree has; sorted leaves. */
static void count_lengths(const struct leaf *leaves, unsigned int nr,
			  uint32_t *count)
{
	uint32_t weight[DEFLATE_LITLENS];	/* of inner nodes, in order */
	uint16_t parent[2 * DEFLATE_LITLENS];	/* leaves, then inner nodes */
	uint8_t depth[DEFLATE_LITLENS];		/* of inner nodes */
	unsigned int leaf = 0, node = 0, made = 0;

	for (; made < nr - 1; made++) {
		weight[made] = 0;
		for (int k = 0; k < 2; k++) {
			bool take_leaf = leaf < nr &&
				(node >= made ||
				 leaves[leaf].freq <= weight[node]);

			weight[made] += take_leaf ? leaves[leaf].freq :
						    weight[node];
			parent[take_leaf ? leaf : nr + node] = (uint16_t)made;
			take_leaf ? leaf++ : node++;
		}
	}
	depth[made - 1] = 0;
	for (unsigned int i = made - 1; i--;)
		depth[i] = (uint8_t)(depth[parent[nr + i]] + 1);
	for (unsigned int i = 0; i < nr; i++)
		count[depth[parent[i]] + 1]++;
}

static void limit_lengths(uint32_t *count, unsigned int longest,
			  unsigned int max_bits)
{
	uint32_t total = 0, most = UINT32_C(1) << max_bits;

	for (unsigned int i = max_bits + 1; i <= longest; i++) {
		count[max_bits] += count[i];
		count[i] = 0;
	}
	for (unsigned int i = 1; i <= max_bits; i++)
		total += count[i] << (max_bits - i);
	while (total > most) {
		unsigned int i = max_bits - 1;

		while (!count[i])
			i--;
		count[i]--;
		count[i + 1] += 2;
		count[max_bits]--;
		total--;
	}
}

void deflate_code_lengths(const uint32_t *freq, unsigned int n,
			  unsigned int max_bits, uint8_t *lens)
{
	struct leaf leaves[DEFLATE_LITLENS];
	uint32_t count[DEFLATE_LITLENS + 1] = { 0 };
	unsigned int nr = collect_used(freq, n, leaves), at = nr;

	count_lengths(leaves, nr, count);
	limit_lengths(count, nr, max_bits);
	memset(lens, 0, n);
	for (unsigned int bits = 1; bits <= max_bits; bits++)
		for (uint32_t k = 0; k < count[bits]; k++)
			lens[leaves[--at].symbol] = (uint8_t)bits;
}

void deflate_codes(const uint8_t *lens, unsigned int n, uint16_t *codes)
{
	uint16_t count[DEFLATE_CODE_BITS + 1] = { 0 };
	uint16_t next[DEFLATE_CODE_BITS + 1] = { 0 };

	for (unsigned int i = 0; i < n; i++)
		count[lens[i]]++;
	count[0] = 0;
	for (unsigned int bits = 1; bits <= DEFLATE_CODE_BITS; bits++)
		next[bits] = (uint16_t)((next[bits - 1] + count[bits - 1]) << 1);
	for (unsigned int i = 0; i < n; i++) {
		uint16_t code = lens[i] ? next[lens[i]]++ : 0, turned = 0;

		for (unsigned int b = 0; b < lens[i]; b++)
			turned = (uint16_t)(turned << 1 | (code >> b & 1));
		codes[i] = turned;
	}
}
