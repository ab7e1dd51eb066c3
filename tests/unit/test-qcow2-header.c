/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/qcow2/core/header.h"
#include "tests/unit/unit.h"

#define CLUSTER 65536u

static uint8_t cluster[CLUSTER];
static struct error err;

/* The header of a small image with a bit of everything. */
static struct qcow2_header good(void)
{
	return (struct qcow2_header){
		.version = 3,
		.cluster_bits = 16,
		.size = GiB,
		.l1_size = 2,
		.l1_table_offset = 3 * CLUSTER,
		.refcount_table_offset = CLUSTER,
		.refcount_table_clusters = 1,
		.refcount_order = 4,
	};
}

static int parse(struct qcow2_header *h)
{
	return qcow2_header_parse(cluster, sizeof(cluster), h, &err);
}

/* ---- there and back ---- */

static void test_round_trip(void **state)
{
	uint8_t fields[16] = "newer fields", data[] = "who knows";
	struct qcow2_extension unknown = { 0x12345678, sizeof(data), data };
	struct qcow2_header h = good(), back;

	h.incompat = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_COMPRESSION;
	h.compat = QCOW2_COMPAT_LAZY_REFCOUNTS | UINT64_C(1) << 40;
	h.autoclear = QCOW2_AUTOCLEAR_BITMAPS;
	h.compression_type = QCOW2_COMPRESSION_ZSTD;
	h.nb_snapshots = 3;
	h.snapshots_offset = 9 * CLUSTER;
	h.backing_file = (char *)"base.img";
	h.backing_format = (char *)"raw";
	h.data_file = (char *)"data.raw";
	h.has_bitmaps = true;
	h.nr_bitmaps = 2;
	h.bitmap_dir_size = 100;
	h.bitmap_dir_offset = 8 * CLUSTER;
	h.unknown_fields = fields;
	h.unknown_fields_len = sizeof(fields);
	h.extensions = &unknown;
	h.nr_extensions = 1;
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	assert_int_equal(parse(&back), 0);
	assert_int_equal(back.size, GiB);
	assert_int_equal(back.incompat, h.incompat);
	assert_int_equal(back.compat, h.compat);
	assert_int_equal(back.autoclear, h.autoclear);
	assert_int_equal(back.compression_type, QCOW2_COMPRESSION_ZSTD);
	assert_int_equal(back.header_length, 128);
	assert_int_equal(back.nb_snapshots, 3);
	assert_int_equal(back.snapshots_offset, 9 * CLUSTER);
	assert_string_equal(back.backing_file, "base.img");
	assert_string_equal(back.backing_format, "raw");
	assert_string_equal(back.data_file, "data.raw");
	assert_int_equal(back.nr_bitmaps, 2);
	assert_int_equal(back.bitmap_dir_offset, 8 * CLUSTER);
	assert_int_equal(back.unknown_fields_len, 16);
	assert_memory_equal(back.unknown_fields, fields, sizeof(fields));
	/* ours and the feature names */
	assert_int_equal(back.nr_extensions, 2);
	qcow2_header_free(&back);
	qcow2_header_free(&back);
}

static void test_version_2(void **state)
{
	struct qcow2_header h = good(), back;

	h.version = 2;
	h.backing_file = (char *)"b";
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	assert_int_equal(parse(&back), 0);
	assert_int_equal(back.header_length, QCOW2_V2_HEADER_LENGTH);
	assert_int_equal(back.refcount_order, 4);
	assert_int_equal(back.incompat, 0);
	assert_int_equal(back.nr_extensions, 0);
	assert_string_equal(back.backing_file, "b");
	qcow2_header_free(&back);
}

static void test_does_not_fit(void **state)
{
	struct qcow2_header h = good();
	char name[600];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	h.cluster_bits = 9;
	h.backing_file = name;
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), -ENOSPC);
}

/* Beside the old tail and back: nothing is lost, nothing piles up. */
static void test_tail(void **state)
{
	struct qcow2_header h = good(), back;
	char name[700];
	uint32_t end;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	h.backing_file = name;
	h.backing_format = (char *)"qcow2";
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	assert_int_equal(parse(&back), 0);
	assert_in_range(back.tail_start, 0, 520);
	assert_in_range(back.used_end, 112 + 400 + 699, 1300);
	for (uint32_t tail = 4096; tail >= 512; tail -= 512) {
		assert_int_equal(qcow2_header_encode_tail(&back, tail, cluster,
							  &end), 0);
		qcow2_header_free(&back);
		assert_int_equal(parse(&back), 0);
		assert_int_equal(back.tail_start, tail == 512 ? 0 : tail);
		assert_int_equal(back.used_end, end);
		assert_int_equal(back.nr_extensions, 1);
		assert_int_equal(back.extensions[0].len, 8 * 48);
		assert_string_equal(back.backing_file, name);
		assert_string_equal(back.backing_format, "qcow2");
	}
	assert_int_equal(qcow2_header_encode_tail(&back, 504, cluster, &end),
			 -ENOSPC);
	assert_int_equal(qcow2_header_encode_tail(&back, CLUSTER - 64, cluster,
						  &end), -ENOSPC);
	qcow2_header_free(&back);
}

/* ---- what is refused ---- */

static void test_bad_fields(void **state)
{
	static const struct {
		unsigned int off, bytes;
		uint64_t value;
		int ret;
		const char *says;
	} bad[] = {
		{ 0, 4, 0x514649fc, -EINVAL, "magic" },
		{ 4, 4, 1, -ENOTSUP, "version 1" },
		{ 4, 4, 4, -ENOTSUP, "version 4" },
		{ 8, 8, CLUSTER + 8, -EINVAL, "backing file offset" },
		{ 20, 4, 8, -EINVAL, "cluster size: 2^8" },
		{ 20, 4, 22, -EINVAL, "cluster size: 2^22" },
		{ 24, 8, UINT64_C(1) << 63, -EFBIG, "too big" },
		{ 24, 8, UINT64_C(1) << 40, -EINVAL, "too small" },
		{ 32, 4, 7, -ENOTSUP, "encryption method 7" },
		{ 36, 4, 0, -EINVAL, "too small: 0 entries" },
		{ 36, 4, 0x400001, -EFBIG, "L1 table too large" },
		{ 40, 8, 3 * CLUSTER + 512, -EINVAL, "L1 table offset" },
		{ 40, 8, UINT64_C(1) << 56, -EINVAL, "L1 table offset" },
		{ 48, 8, CLUSTER + 1, -EINVAL, "refcount table offset" },
		{ 56, 4, 129, -EFBIG, "refcount table too large" },
		{ 60, 4, 65537, -EFBIG, "65537 snapshots" },
		{ 72, 8, 1 << 5, -ENOTSUP, "incompatible feature: 20" },
		{ 72, 8, 8, -EINVAL, "compression type" },
		{ 96, 4, 7, -EINVAL, "2^7 bits" },
		{ 100, 4, 96, -EINVAL, "at least 104" },
		{ 100, 4, 0x7fffffff, -EINVAL, "exceeds" },
		{ 104, 1, 1, -EINVAL, "compression type" },
		{ 104, 1, 9, -ENOTSUP, "compression type 9" },
	};
	struct qcow2_header h = good(), back;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t *at = cluster + bad[i].off;

		assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
		if (bad[i].bytes == 8)
			store_be64(at, bad[i].value);
		else if (bad[i].bytes == 4)
			store_be32(at, (uint32_t)bad[i].value);
		else
			*at = (uint8_t)bad[i].value;
		assert_int_equal(parse(&back), bad[i].ret);
		if (!strstr(err.msg, bad[i].says))
			fail_msg("field %u: \"%s\" lacks \"%s\"", bad[i].off,
				 err.msg, bad[i].says);
	}
}

/* However much of it there is: nothing is read behind the end (ASan). */
static void test_cut(void **state)
{
	struct qcow2_header h = good(), back;
	uint8_t *part;

	h.backing_file = (char *)"base.img";
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	for (size_t len = 0; len < 700; len++) {
		part = malloc(len + 1);
		assert_non_null(part);
		memcpy(part, cluster, len);
		if (!qcow2_header_parse(part, len, &back, &err)) {
			assert_true(len >= QCOW2_OUR_HEADER_LENGTH);
			qcow2_header_free(&back);
		}
		free(part);
	}
}

static void test_extensions(void **state)
{
	struct qcow2_header h = good(), back;
	uint8_t *at = cluster + QCOW2_OUR_HEADER_LENGTH;

	h.backing_format = (char *)"raw";
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	store_be32(at + 4, 16);
	assert_int_equal(parse(&back), -EINVAL);
	assert_non_null(strstr(err.msg, "backing format"));
	store_be32(at + 4, CLUSTER);
	assert_int_equal(parse(&back), -EINVAL);
	assert_non_null(strstr(err.msg, "too large"));
	/* of two format names the last one counts, another twice is wrong */
	store_be32(at + 4, 3);
	memcpy(at + 16, at, 16);
	memcpy(at + 24, "qed", 3);
	assert_int_equal(parse(&back), 0);
	assert_string_equal(back.backing_format, "qed");
	qcow2_header_free(&back);
	store_be32(at, QCOW2_EXT_DATA_FILE);
	memcpy(at + 16, at, 16);
	assert_int_equal(parse(&back), -EINVAL);
	assert_non_null(strstr(err.msg, "twice"));
	/* a zero in a name */
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	at[9] = 0;
	assert_int_equal(parse(&back), -EINVAL);
	assert_non_null(strstr(err.msg, "zero byte"));
}

/* The image may name the feature that nobody here knows. */
static void test_feature_name(void **state)
{
	uint8_t row[48] = { 0, 7, 'w', 'a', 'r', 'p' };
	struct qcow2_extension names = { QCOW2_EXT_FEATURE_NAMES, 48, row };
	struct qcow2_header h = good(), back;

	h.incompat = 1 << 7;
	h.extensions = &names;
	h.nr_extensions = 1;
	assert_int_equal(qcow2_header_encode(&h, cluster, &err), 0);
	assert_int_equal(parse(&back), -ENOTSUP);
	assert_non_null(strstr(err.msg, "warp"));
}

/* ---- refcounts, compressed entries ---- */

static void test_refcounts(void **state)
{
	uint8_t block[512];

	for (uint32_t order = 0; order <= 6; order++) {
		uint64_t top = qcow2_refcount_max(order);
		uint64_t n = sizeof(block) * 8 >> order;

		memset(block, 0, sizeof(block));
		for (uint64_t i = 0; i < n; i++)
			qcow2_refcount_set(block, order, i, (i * 7) & top);
		for (uint64_t i = 0; i < n; i++)
			assert_int_equal(qcow2_refcount_get(block, order, i),
					 (i * 7) & top);
		qcow2_refcount_set(block, order, 3, top);
		assert_true(qcow2_refcount_get(block, order, 3) == top);
		assert_int_equal(qcow2_refcount_get(block, order, 2), 14 & top);
		assert_int_equal(qcow2_refcount_get(block, order, 4), 28 & top);
	}
	/* sub-byte ones begin at the least significant bit */
	memset(block, 0, sizeof(block));
	qcow2_refcount_set(block, 0, 0, 1);
	qcow2_refcount_set(block, 1, 5, 2);
	assert_int_equal(block[0], 1);
	assert_int_equal(block[1], 2 << 2);
}

static void test_compressed(void **state)
{
	uint64_t e = QCOW2_COMPRESSED | UINT64_C(3) << 54 | 0x50123;
	struct qcow2_compressed c = qcow2_compressed_decode(16, e);

	assert_int_equal(c.offset, 0x50123);
	assert_int_equal(c.len, 4 * 512 - 0x123);
	c = qcow2_compressed_decode(9, QCOW2_COMPRESSED | UINT64_C(1) << 61);
	assert_int_equal(c.offset, 0);
	assert_int_equal(c.len, 1024);
	c = qcow2_compressed_decode(21, UINT64_MAX);
	assert_int_equal(c.len, 8192 * 512 - 511);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_version_2),
		cmocka_unit_test(test_does_not_fit),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_feature_name),
		cmocka_unit_test(test_refcounts),
		cmocka_unit_test(test_compressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
