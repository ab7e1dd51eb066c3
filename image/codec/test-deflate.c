/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What deflate.c makes of all kinds of bytes is unpacked by zlib, with no more
 * than the window, to the same bytes; it is about as small as what zlib makes; and
 * it is never more than there is room for.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "image/codec/deflate-codes.h"
#include "image/codec/deflate.h"
#include "tests/unit/unit.h"

#define MAX 400000u

static uint8_t in[MAX], back[MAX];
static uint64_t seed = 1;

static uint64_t draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * UINT64_C(2685821657736338717) >> 16;
}

/* The output ends with its buffer, for a sanitizer or valgrind to see. */
static int64_t pack(struct deflate *d, size_t len, size_t room, uint8_t **out)
{
	uint8_t *copy = malloc(len ? len : 1);
	int64_t n;

	memcpy(copy, in, len);
	*out = malloc(room ? room : 1);
	n = deflate_block(d, copy, len, *out, room);
	free(copy);
	return n;
}

static void unpack(const uint8_t *packed, size_t n, size_t len)
{
	z_stream z = { .next_in = (Bytef *)packed, .avail_in = (uInt)n };
	size_t got = 0;
	int ret = Z_OK;

	assert_int_equal(inflateInit2(&z, -12), Z_OK);
	while (ret == Z_OK) {	/* by small pieces: only the window is left */
		z.next_out = back + got;
		z.avail_out = got < len ? 64 : 0;
		ret = inflate(&z, Z_SYNC_FLUSH);
		got = (size_t)(z.next_out - back);
		if (got > len)
			break;
	}
	assert_int_equal(ret, Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	assert_int_equal(got, len);
	assert_memory_equal(in, back, len);
	inflateEnd(&z);
}

static size_t with_zlib(size_t len)
{
	static uint8_t out[MAX + 1000];
	z_stream z = { .next_in = in, .avail_in = (uInt)len, .next_out = out,
		       .avail_out = sizeof(out) };

	assert_int_equal(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
				      -12, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return sizeof(out) - z.avail_out;
}

static void one(struct deflate *d, size_t len)
{
	size_t zlib = with_zlib(len);
	uint8_t *out;
	int64_t n = pack(d, len, len + 100, &out);

	assert_true(n > 0);
	unpack(out, (size_t)n, len);
	assert_true((size_t)n <= zlib + zlib / 16 + 8);
	free(out);
	/* exactly as much room as it takes, and a byte less */
	assert_int_equal(pack(d, len, (size_t)n, &out), n);
	unpack(out, (size_t)n, len);
	free(out);
	assert_int_equal(pack(d, len, (size_t)n - 1, &out), -E2BIG);
	free(out);
}

static void each_length(struct deflate *d)
{
	static const size_t lens[] = { 1, 2, 3, 4, 5, 7, 8, 9, 100, 511, 512,
				       4096, 4097, 65535, 65536, 70000, MAX };

	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
		one(d, lens[i]);
}

static void test_kinds(void **state)
{
	struct deflate *d = deflate_new();

	assert_non_null(d);
	memset(in, 0, MAX);
	each_length(d);
	for (size_t i = 0; i < MAX; i++)
		in[i] = (uint8_t)i;
	each_length(d);
	for (size_t i = 0; i < MAX; i++)
		in[i] = (uint8_t)draw();
	each_length(d);
	for (size_t i = 0; i < MAX; i++)
		in[i] = (uint8_t)(i * i >> 8);
	each_length(d);
	for (unsigned int letters = 2; letters < 100; letters += 19) {
		for (size_t i = 0; i < MAX; i++)
			in[i] = (uint8_t)(' ' + draw() % letters);
		each_length(d);
	}
	/* half noise, half not: blocks of different kinds */
	for (size_t i = 0; i < MAX; i++)
		in[i] = i / 100000 % 2 ? (uint8_t)draw() : (uint8_t)(i / 40);
	each_length(d);
	deflate_free(d);
}

/* Copies of what came before, from all distances and of all lengths. */
static void test_copies(void **state)
{
	struct deflate *d = deflate_new();

	for (int round = 0; round < 60; round++) {
		size_t len = 1 + draw() % (round % 4 ? 70000 : MAX);
		size_t most = 1 + draw() % 5000, i = 0;

		while (i < len) {
			size_t n = 1 + draw() % 400, dist = 1 + draw() % most;

			for (; n-- && i < len; i++)
				in[i] = draw() % 500 && dist <= i ?
					in[i - dist] : (uint8_t)draw();
		}
		one(d, len);
	}
	deflate_free(d);
}

/* Frequencies like Fibonacci numbers make the longest codes there are. */
static void test_code_lengths(void **state)
{
	uint32_t freq[DEFLATE_LITLENS] = { 1, 1 };
	uint8_t lens[DEFLATE_LITLENS];

	for (unsigned int n = 0; n <= 40; n++) {
		for (unsigned int bits = 7; bits <= 15; bits += 8) {
			unsigned int nr = n < 19 || bits == 15 ? n : 19;
			uint64_t sum = 0;

			for (unsigned int i = 2; i < n; i++)
				freq[i] = freq[i - 1] + freq[i - 2];
			if (nr < 2)
				continue;
			deflate_code_lengths(freq, nr, bits, lens);
			for (unsigned int i = 0; i < nr; i++) {
				assert_in_range(lens[i], 1, bits);
				sum += UINT64_C(1) << (bits - lens[i]);
			}
			assert_int_equal(sum, UINT64_C(1) << bits);
		}
	}
	/* one symbol or none: two codes all the same */
	memset(freq, 0, sizeof(freq));
	deflate_code_lengths(freq, 30, 15, lens);
	assert_int_equal(lens[0] + lens[1], 2);
	freq[17] = 5;
	deflate_code_lengths(freq, 30, 15, lens);
	assert_int_equal(lens[0] + lens[17], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_code_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
