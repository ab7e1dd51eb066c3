/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks of all kinds through both codecs and back; what must not be packed. */
#include "config.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include <zlib.h>
#ifdef HAVE_LIBZSTD
#include <zstd.h>
#endif

#include "common/bits.h"
#include "image/codec/codec.h"
#include "tests/unit/unit.h"

#define SIZE 65536u

static uint8_t in[SIZE], packed[2 * SIZE], out[SIZE];

static void noise(uint8_t *buf, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		buf[i] = (uint8_t)(seed >> 32);
	}
}

static int64_t pack(enum codec_type type, size_t len, size_t room, int level)
{
	struct codec_job j = {
		.type = type, .level = level, .in = in, .in_len = len,
		.out = packed, .out_len = room,
	};

	return codec_pack(&j);
}

static int64_t unpack(enum codec_type type, size_t len, size_t want)
{
	struct codec_job j = {
		.type = type, .in = packed, .in_len = len, .out = out,
		.out_len = want,
	};

	memset(out, 0xee, sizeof(out));
	return codec_unpack(&j);
}

static void round_trip(enum codec_type type, size_t len, int level)
{
	int64_t n = pack(type, len, len - 1, level);

	assert_true(n > 0 && n < (int64_t)len);
	/* What follows a block in its last sector does not matter. */
	memset(packed + n, 0xa5, 512);
	assert_int_equal(unpack(type, (size_t)n + 512, len), 0);
	assert_memory_equal(in, out, len);
}

static void test_round_trips(void **state)
{
#ifdef HAVE_LIBZSTD
	const enum codec_type last = CODEC_ZSTD;
#else
	const enum codec_type last = CODEC_DEFLATE;
#endif
	for (enum codec_type type = CODEC_DEFLATE; type <= last; type++) {
		for (int level = 0; level <= 9; level += 3) {
			memset(in, 7, SIZE);
			round_trip(type, 512, level);
			round_trip(type, SIZE, level);
			noise(in, SIZE / 2, 5);
			round_trip(type, SIZE, level);
			for (size_t i = 0; i < SIZE; i++)
				in[i] = (uint8_t)(i * i >> 7);
			round_trip(type, SIZE, level);
			round_trip(type, 4096, level);
		}
	}
}

/* QEMU's window: a reader that keeps no more than 4 KiB can unpack it. */
static void test_window(void **state)
{
	z_stream z = { .next_in = packed };
	size_t got = 0;
	int64_t n;

	for (size_t i = 0; i < SIZE; i += 3000)
		noise(in + i, SIZE - i < 3000 ? SIZE - i : 3000, 9);
	n = pack(CODEC_DEFLATE, SIZE, SIZE - 1, 0);
	assert_true(n > 0);
	assert_int_equal(inflateInit2(&z, -12), Z_OK);
	z.avail_in = (uInt)n;
	while (got < SIZE) {	/* by small pieces only the window is left */
		z.next_out = out + got;
		z.avail_out = 16;
		assert_true(inflate(&z, Z_NO_FLUSH) >= 0);
		assert_int_equal(z.avail_out, 0);
		got += 16;
	}
	inflateEnd(&z);
	assert_memory_equal(in, out, SIZE);
}

static void test_noise(void **state)
{
	noise(in, SIZE, 1);
	assert_int_equal(pack(CODEC_DEFLATE, SIZE, SIZE - 1, 0), -E2BIG);
	/* but if it repeats itself */
	memcpy(in + SIZE / 2, in + SIZE / 2 - 3000, 3000);
	assert_true(pack(CODEC_DEFLATE, SIZE, SIZE - 1, 0) > 0);
	/* or is not so even */
	noise(in, SIZE, 2);
	for (size_t i = 0; i < SIZE; i += 16)
		in[i] = 0;
	assert_true(pack(CODEC_DEFLATE, SIZE, SIZE - 1, 0) > 0);
	/* in small blocks nothing can be said beforehand */
	noise(in, 512, 3);
	assert_int_equal(pack(CODEC_DEFLATE, 512, 511, 0), -E2BIG);
}

static void test_garbage(void **state)
{
	noise(packed, sizeof(packed), 4);
	assert_int_equal(unpack(CODEC_DEFLATE, 1000, SIZE), -EIO);
	memset(in, 1, SIZE);
	assert_true(pack(CODEC_DEFLATE, 4096, 4095, 0) > 0);
	assert_int_equal(unpack(CODEC_DEFLATE, 100, SIZE), -EIO);
	assert_int_equal(unpack(CODEC_DEFLATE, 0, SIZE), -EIO);
#ifdef HAVE_LIBZSTD
	noise(packed, sizeof(packed), 4);
	assert_int_equal(unpack(CODEC_ZSTD, 1000, SIZE), -EIO);
	assert_true(pack(CODEC_ZSTD, 4096, 4095, 0) > 0);
	assert_int_equal(unpack(CODEC_ZSTD, 100, SIZE), -EIO);
#endif
}

#ifdef HAVE_LIBZSTD
/* A frame that says it wants a window of 128 MiB, with another one behind it. */
static size_t pack_wide_frame(void)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_outBuffer to = { packed, sizeof(packed), 0 };
	ZSTD_inBuffer half = { in, SIZE / 2, 0 };
	ZSTD_inBuffer rest = { in + SIZE / 2, SIZE / 4, 0 };
	size_t n;

	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27);
	while (half.pos < half.size)
		ZSTD_compressStream2(c, &to, &half, ZSTD_e_continue);
	assert_int_equal(ZSTD_compressStream2(c, &to, &rest, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	n = ZSTD_compress(packed + to.pos, sizeof(packed) - to.pos,
			  in + SIZE / 4 * 3, SIZE / 4, 3);
	assert_false(ZSTD_isError(n));
	return to.pos + n;
}

static void test_wide_frame(void **state)
{
	size_t n, mapped;

	for (size_t i = 0; i < SIZE; i++)
		in[i] = (uint8_t)(i * i >> 7);
	n = pack_wide_frame();
	mapped = mallinfo2().hblkhd;
	assert_int_equal(unpack(CODEC_ZSTD, n + 100, SIZE), 0);
	assert_memory_equal(in, out, SIZE);
	assert_true(mallinfo2().hblkhd < mapped + 4 * MiB);
	assert_int_equal(unpack(CODEC_ZSTD, n - 1, SIZE), -EIO);
	assert_int_equal(unpack(CODEC_ZSTD, n, SIZE - 1), -EIO);
}
#else
static void test_wide_frame(void **state)
{
	skip();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_wide_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
