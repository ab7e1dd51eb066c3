/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * deflate.c: see deflate.h.
 *
 * Matches are found by hash chains over four bytes, and the nearest one by a
 * table over three; a match is put off where the next byte begins a better one.
 * What was found is kept as a list of symbols; when that is full, or at the end,
 * the cheapest of the three kinds of block is written. Its exact size is known
 * before, so that nothing looks for room while it is.
 */
#include "image/codec/deflate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/codec/deflate-codes.h"

#define MIN_MATCH 3u
#define MAX_MATCH 258u
#define SYMBOLS_MAX 32768u
#define HASH3_BITS 15
#define HASH4_BITS 15
#define CHAIN_MAX 64u		/* candidates looked at */
#define NICE_MATCH 128u		/* long enough not to look for more */
#define GOOD_MATCH 8u		/* long enough to look for less */
#define LAZY_MATCH 24u		/* long enough not to look at the next byte */
#define END_OF_BLOCK 256u
#define FAR_AWAY (-(int32_t)DEFLATE_WINDOW - 1)	/* no candidate */

struct match {
	uint32_t len, dist;
};

/* A literal, or a length and a distance. */
struct symbol {
	uint16_t len;			/* 0: literal */
	uint16_t value;			/* byte, or distance */
};

struct writer {
	uint8_t *at, *end;
	uint64_t bits;
	unsigned int nr;		/* of bits, < 8 between symbols */
};

/* A code for each of litlens and dists. */
struct codes {
	uint8_t litlen_bits[DEFLATE_LITLENS], dist_bits[DEFLATE_DISTS];
	uint16_t litlen[DEFLATE_LITLENS], dist[DEFLATE_DISTS];
};

struct deflate {
	int32_t head3[1 << HASH3_BITS], head4[1 << HASH4_BITS];
	int32_t prev[DEFLATE_WINDOW];
	struct symbol symbols[SYMBOLS_MAX];
	unsigned int nr;		/* symbols */
	uint32_t litlen_freq[DEFLATE_LITLENS], dist_freq[DEFLATE_DISTS];
	size_t begin;			/* of the block in the input */
	int32_t near;			/* most distance of three bytes */
	struct codes fixed, dynamic;
	uint8_t len_code[MAX_MATCH + 1];	/* from 0 on */
	uint8_t dist_code[DEFLATE_WINDOW + 1];
};

/* RFC 1951, 3.2.5 */
static const uint16_t len_base[] = {
	3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59,
	67, 83, 99, 115, 131, 163, 195, 227, 258,
};
static const uint8_t len_extra[] = {
	0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4,
	5, 5, 5, 5, 0,
};
static const uint16_t dist_base[] = {
	1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385,
	513, 769, 1025, 1537, 2049, 3073,
};
static const uint8_t dist_extra[] = {
	0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10,
	10,
};

/* ---- making one ---- */

static void make_fixed(struct codes *c)
{
	for (unsigned int i = 0; i < DEFLATE_LITLENS; i++)
		c->litlen_bits[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	memset(c->dist_bits, 5, DEFLATE_DISTS);
	deflate_codes(c->litlen_bits, DEFLATE_LITLENS, c->litlen);
	deflate_codes(c->dist_bits, DEFLATE_DISTS, c->dist);
}

struct deflate *deflate_new(void)
{
	struct deflate *d = malloc(sizeof(*d));
	unsigned int code = 0;

	if (!d)
		return NULL;
	make_fixed(&d->fixed);
	memset(d->len_code, 0, sizeof(d->len_code));
	for (unsigned int len = MIN_MATCH; len <= MAX_MATCH; len++) {
		if (code + 1 < ARRAY_SIZE(len_base) && len == len_base[code + 1])
			code++;
		d->len_code[len] = (uint8_t)code;
	}
	code = 0;
	d->dist_code[0] = 0;
	for (unsigned int dist = 1; dist <= DEFLATE_WINDOW; dist++) {
		if (code + 1 < ARRAY_SIZE(dist_base) &&
		    dist == dist_base[code + 1])
			code++;
		d->dist_code[dist] = (uint8_t)code;
	}
	return d;
}

void deflate_free(struct deflate *d)
{
	free(d);
}

/* ---- matches ---- */

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint32_t hash3(const uint8_t *p)
{
	return (load32(p) << 8) * 2654435761u >> (32 - HASH3_BITS);
}

static uint32_t hash4(const uint8_t *p)
{
	return load32(p) * 2654435761u >> (32 - HASH4_BITS);
}

/* How far two places are the same, at most `max`. */
static uint32_t same(const uint8_t *a, const uint8_t *b, uint32_t max)
{
	uint32_t n = 0;

	for (; n + 8 <= max; n += 8) {
		uint64_t x, y;

		memcpy(&x, a + n, 8);
		memcpy(&y, b + n, 8);
		if (x != y)
			return n + (uint32_t)__builtin_ctzll(
					le64toh(x ^ y)) / 8;
	}
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

/* Makes `i` a candidate for what comes. Four bytes are there. */
static void insert_hash(struct deflate *d, const uint8_t *in, int32_t i)
{
	uint32_t h = hash4(in + i);

	d->prev[(uint32_t)i % DEFLATE_WINDOW] = d->head4[h];
	d->head4[h] = i;
	d->head3[hash3(in + i)] = i;
}

/* The best match at `i` that is longer than `least`; len 0: none. Inserts it. */
static struct match find_match(struct deflate *d, const uint8_t *in, int32_t i,
			       uint32_t max, uint32_t least)
{
	struct match m = { 0, 0 };
	uint32_t best = max(least, MIN_MATCH - 1), len;
	uint32_t chain = least >= GOOD_MATCH ? CHAIN_MAX / 4 : CHAIN_MAX;
	int32_t limit = i - (int32_t)DEFLATE_WINDOW;
	int32_t n3 = d->head3[hash3(in + i)], c = d->head4[hash4(in + i)];
	const uint8_t *p = in + i;

	insert_hash(d, in, i);
	if (best < MIN_MATCH && n3 >= 0 && i - n3 <= d->near &&
	    !((load32(in + n3) ^ load32(p)) & htole32(0xffffff))) {
		m = (struct match){ same(in + n3, p, max), (uint32_t)(i - n3) };
		best = m.len;
	}
	for (; c >= limit && c >= 0 && chain-- && best < max;
	     c = d->prev[(uint32_t)c % DEFLATE_WINDOW]) {
		/* One that is longer goes on where the best one ends. */
		uint32_t last = max(best, 3u) - 3;

		if (load32(in + c + last) != load32(p + last) ||
		    load32(in + c) != load32(p))
			continue;
		len = same(in + c, p, max);
		if (len <= best)
			continue;
		m = (struct match){ len, (uint32_t)(i - c) };
		best = len;
		if (len >= NICE_MATCH)
			break;
	}
	return m;
}

/* ---- writing ---- */

static void put(struct writer *w, uint64_t value, unsigned int nr)
{
	w->bits |= value << w->nr;
	w->nr += nr;
}

static void flush_bits(struct writer *w)
{
	if (likely(w->end - w->at >= 8)) {
		uint64_t le = htole64(w->bits);

		memcpy(w->at, &le, 8);
		w->at += w->nr / 8;
		w->bits >>= w->nr & ~7u;
		w->nr &= 7;
		return;
	}
	for (; w->nr >= 8; w->nr -= 8, w->bits >>= 8)
		*w->at++ = (uint8_t)w->bits;
}

static void write_symbols(struct deflate *d, struct writer *w,
			  const struct codes *c)
{
	for (unsigned int i = 0; i < d->nr; i++) {
		const struct symbol *s = &d->symbols[i];
		unsigned int code;

		if (!s->len) {
			put(w, c->litlen[s->value], c->litlen_bits[s->value]);
			flush_bits(w);
			continue;
		}
		code = d->len_code[s->len];
		put(w, c->litlen[257 + code], c->litlen_bits[257 + code]);
		put(w, (uint64_t)(s->len - len_base[code]), len_extra[code]);
		code = d->dist_code[s->value];
		put(w, c->dist[code], c->dist_bits[code]);
		put(w, (uint64_t)(s->value - dist_base[code]),
		    dist_extra[code]);
		flush_bits(w);
	}
	put(w, c->litlen[END_OF_BLOCK], c->litlen_bits[END_OF_BLOCK]);
	flush_bits(w);
}

/* ---- the description of a dynamic block: RFC 1951, 3.2.7 ---- */

struct description {
	uint8_t code[DEFLATE_LITLENS + DEFLATE_DISTS];	/* precode symbols */
	uint8_t extra[DEFLATE_LITLENS + DEFLATE_DISTS];
	unsigned int nr, litlens, dists, precodes;
	uint8_t bits[DEFLATE_PRECODES];
	uint16_t codes[DEFLATE_PRECODES];
	uint64_t size;				/* bits */
};

static const uint8_t precode_order[DEFLATE_PRECODES] = {
	16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
};
static const uint8_t precode_extra[DEFLATE_PRECODES] = {
	[16] = 2, [17] = 3, [18] = 7,
};

static void add_run(struct description *t, uint32_t *freq, uint8_t code,
		    unsigned int extra)
{
	t->code[t->nr] = code;
	t->extra[t->nr++] = (uint8_t)extra;
	freq[code]++;
}

/* `n` lengths that are the same, the first of which is not a repetition. */
static void describe_run(struct description *t, uint32_t *freq, uint8_t len,
			 unsigned int n)
{
	unsigned int k;

	if (len) {
		add_run(t, freq, len, 0);
		n--;
	}
	while (n >= 3) {
		k = min(n, len ? 6u : n > 10 ? 138u : 10u);
		add_run(t, freq, len ? 16 : k > 10 ? 18 : 17,
			k - (!len && k > 10 ? 11 : 3));
		n -= k;
	}
	while (n--)
		add_run(t, freq, len, 0);
}

static unsigned int used(const uint8_t *bits, unsigned int n, unsigned int least)
{
	while (n > least && !bits[n - 1])
		n--;
	return n;
}

static void describe_codes(struct description *t, const struct codes *c)
{
	uint8_t lens[DEFLATE_LITLENS + DEFLATE_DISTS];
	uint32_t freq[DEFLATE_PRECODES] = { 0 };
	unsigned int all, run;

	t->nr = 0;
	t->litlens = used(c->litlen_bits, 286, 257);
	t->dists = used(c->dist_bits, 30, 1);
	memcpy(lens, c->litlen_bits, t->litlens);
	memcpy(lens + t->litlens, c->dist_bits, t->dists);
	all = t->litlens + t->dists;
	for (unsigned int i = 0; i < all; i += run) {
		for (run = 1; i + run < all && lens[i + run] == lens[i];)
			run++;
		describe_run(t, freq, lens[i], run);
	}
	deflate_code_lengths(freq, DEFLATE_PRECODES, DEFLATE_PRECODE_BITS,
			     t->bits);
	deflate_codes(t->bits, DEFLATE_PRECODES, t->codes);
	t->precodes = DEFLATE_PRECODES;
	while (t->precodes > 4 && !t->bits[precode_order[t->precodes - 1]])
		t->precodes--;
	t->size = 5 + 5 + 4 + 3 * t->precodes;
	for (unsigned int i = 0; i < DEFLATE_PRECODES; i++)
		t->size += (uint64_t)freq[i] * (t->bits[i] + precode_extra[i]);
}

static void write_description(const struct description *t, struct writer *w)
{
	put(w, t->litlens - 257, 5);
	put(w, t->dists - 1, 5);
	put(w, t->precodes - 4, 4);
	for (unsigned int i = 0; i < t->precodes; i++) {
		put(w, t->bits[precode_order[i]], 3);
		flush_bits(w);
	}
	for (unsigned int i = 0; i < t->nr; i++) {
		put(w, t->codes[t->code[i]], t->bits[t->code[i]]);
		put(w, t->extra[i], precode_extra[t->code[i]]);
		flush_bits(w);
	}
}

/* ---- blocks ---- */

/* Bits that the symbols take. */
static uint64_t cost(const struct deflate *d, const struct codes *c)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < 286; i++)
		bits += (uint64_t)d->litlen_freq[i] *
			(c->litlen_bits[i] +
			 (i > END_OF_BLOCK ? len_extra[i - 257] : 0u));
	for (unsigned int i = 0; i < ARRAY_SIZE(dist_base); i++)
		bits += (uint64_t)d->dist_freq[i] *
			(c->dist_bits[i] + dist_extra[i]);
	return bits;
}

/* Bits of stored blocks, the first of which begins after `nr` bits. */
static uint64_t stored_cost(size_t len, unsigned int nr)
{
	uint64_t blocks = max(div_round_up(len, 65535), (size_t)1);

	return (8 - (nr + 3) % 8) % 8 + 3 + 32 + (blocks - 1) * 40 +
	       (uint64_t)len * 8;
}

static void write_stored(struct writer *w, const uint8_t *in, size_t len,
			 bool last)
{
	do {
		size_t n = min(len, (size_t)65535);

		put(w, last && n == len, 3);
		w->nr = (unsigned int)align_up(w->nr, 8);
		flush_bits(w);
		put(w, n | (uint64_t)(~n & 0xffff) << 16, 32);
		flush_bits(w);
		memcpy(w->at, in, n);
		w->at += n;
		in += n;
		len -= n;
	} while (len);
}

/* The symbols so far, which stand for the input from d->begin to `end`. */
static int write_block(struct deflate *d, struct writer *w, const uint8_t *in,
		       size_t end, bool last)
{
	uint64_t fixed, dynamic, stored, best;
	struct description t;
	size_t len = end - d->begin;

	d->litlen_freq[END_OF_BLOCK] = 1;
	deflate_code_lengths(d->litlen_freq, 286, DEFLATE_CODE_BITS,
			     d->dynamic.litlen_bits);
	deflate_code_lengths(d->dist_freq, 30, DEFLATE_CODE_BITS,
			     d->dynamic.dist_bits);
	describe_codes(&t, &d->dynamic);
	fixed = 3 + cost(d, &d->fixed);
	dynamic = 3 + t.size + cost(d, &d->dynamic);
	stored = stored_cost(len, w->nr);
	best = min(min(fixed, dynamic), stored);
	if (div_round_up(w->nr + best, 8) > (uint64_t)(w->end - w->at))
		return -E2BIG;
	if (best == stored) {
		write_stored(w, in + d->begin, len, last);
	} else if (best == fixed) {
		put(w, 2 | last, 3);
		write_symbols(d, w, &d->fixed);
	} else {
		deflate_codes(d->dynamic.litlen_bits, 286, d->dynamic.litlen);
		deflate_codes(d->dynamic.dist_bits, 30, d->dynamic.dist);
		put(w, 4 | last, 3);
		write_description(&t, w);
		write_symbols(d, w, &d->dynamic);
	}
	return 0;
}

static void begin_block(struct deflate *d, size_t begin)
{
	d->begin = begin;
	d->nr = 0;
	memset(d->litlen_freq, 0, sizeof(d->litlen_freq));
	memset(d->dist_freq, 0, sizeof(d->dist_freq));
}

static void add_literal(struct deflate *d, uint8_t byte)
{
	d->symbols[d->nr++] = (struct symbol){ 0, byte };
	d->litlen_freq[byte]++;
}

static void add_match(struct deflate *d, const struct match *m)
{
	d->symbols[d->nr++] = (struct symbol){ (uint16_t)m->len,
					       (uint16_t)m->dist };
	d->litlen_freq[257 + d->len_code[m->len]]++;
	d->dist_freq[d->dist_code[m->dist]]++;
}

/* ---- the input ---- */

/* Is a match one byte later worth a literal? Four bits a byte, and what the
 * distances take. */
static bool better(const struct match *next, const struct match *m)
{
	return next->len >= m->len &&
	       4 * (int)(next->len - m->len) + (int)log2_floor(m->dist) -
			       (int)log2_floor(next->dist) > 2;
}

struct input {
	const uint8_t *bytes;
	size_t len;
};

/* Matches reach to the end, but begin where four bytes can be loaded. */
static struct match find_at(struct deflate *d, const struct input *in, size_t i,
			    uint32_t least)
{
	if (i + 4 > in->len)
		return (struct match){ 0, 0 };
	return find_match(d, in->bytes, (int32_t)i,
			  (uint32_t)min(in->len - i, (size_t)MAX_MATCH), least);
}

/* The symbols for what begins at `i`; where they end. */
static size_t deflate_step(struct deflate *d, const struct input *in, size_t i)
{
	struct match m = find_at(d, in, i, 0), next;
	size_t end, at = i + 1;		/* the first that is not inserted */

	if (!m.len) {
		add_literal(d, in->bytes[i]);
		return i + 1;
	}
	while (m.len < LAZY_MATCH && d->nr < SYMBOLS_MAX - 1) {
		next = find_at(d, in, at, m.len - 1);
		at++;
		if (!next.len || !better(&next, &m))
			break;
		add_literal(d, in->bytes[i++]);
		m = next;
	}
	add_match(d, &m);
	end = i + m.len;
	for (; at < end && at + 4 <= in->len; at++)
		insert_hash(d, in->bytes, (int32_t)at);
	return end;
}

/* Where few bytes are in use, three of them are short already, and not worth a
 * distance of many bits; where hardly any are, all that helps is distances. */
static int32_t settle_near(const uint8_t *in, size_t len)
{
	bool used_bytes[256] = { false };
	unsigned int n = 0;

	for (size_t i = 0; i < len; i++)
		used_bytes[in[i]] = true;
	for (unsigned int i = 0; i < 256; i++)
		n += used_bytes[i];
	return n >= 8 && n < 40 ? 64 : (int32_t)DEFLATE_WINDOW;
}

int64_t deflate_block(struct deflate *d, const uint8_t *bytes, size_t len,
		      uint8_t *out, size_t room)
{
	struct writer w = { .at = out, .end = out + room };
	const struct input in = { bytes, len };
	size_t i = 0;
	int ret = 0;

	if (len > DEFLATE_INPUT_MAX)
		return -E2BIG;
	for (unsigned int k = 0; k < ARRAY_SIZE(d->head3); k++)
		d->head3[k] = FAR_AWAY;
	for (unsigned int k = 0; k < ARRAY_SIZE(d->head4); k++)
		d->head4[k] = FAR_AWAY;
	d->near = settle_near(bytes, len);
	begin_block(d, 0);
	while (i < len && !ret) {
		i = deflate_step(d, &in, i);
		if (d->nr >= SYMBOLS_MAX - 1 && i < len) {
			ret = write_block(d, &w, bytes, i, false);
			begin_block(d, i);
		}
	}
	if (!ret)
		ret = write_block(d, &w, bytes, len, true);
	if (ret)
		return ret;
	if (w.nr)
		*w.at++ = (uint8_t)w.bits;
	return w.at - out;
}
