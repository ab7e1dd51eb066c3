/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * L2 entries: what their words and bitmaps say, and where they lie.
 */

#include <stdlib.h>

#include "image/qcow2/core/entry.h"
#include "tests/unit/unit.h"

#define PLACE (UINT64_C(5) << 16)
#define ZERO(sub) (UINT64_C(1) << (32 + (sub)))
#define ALLOC(sub) (UINT64_C(1) << (sub))

static const struct qcow2_header plain = { .version = 3, .cluster_bits = 16 };
static const struct qcow2_header extended = {
	.version = 3, .cluster_bits = 16,
	.incompat = QCOW2_INCOMPAT_EXTENDED_L2,
};
static const struct qcow2_header external = {
	.version = 3, .cluster_bits = 16,
	.incompat = QCOW2_INCOMPAT_DATA_FILE,
};

static enum qcow2_kind kind(const struct qcow2_header *h, uint64_t word,
			    uint64_t bitmap, unsigned int sub)
{
	return qcow2_entry_kind(h, (struct qcow2_entry){ word, bitmap }, sub);
}

static void test_plain(void **state)
{
	assert_int_equal(kind(&plain, 0, 0, 0), QCOW2_UNALLOCATED);
	assert_int_equal(kind(&plain, PLACE, 0, 0), QCOW2_NORMAL);
	assert_int_equal(kind(&plain, QCOW2_ZERO, 0, 0), QCOW2_ZERO_PLAIN);
	assert_int_equal(kind(&plain, PLACE | QCOW2_ZERO, 0, 0),
			 QCOW2_ZERO_ALLOC);
	assert_int_equal(kind(&plain, PLACE | QCOW2_COMPRESSED, 0, 0),
			 QCOW2_COMPRESSED_CLUSTER);
	assert_int_equal(qcow2_sub_bits(&plain), 16);
	assert_int_equal(qcow2_entry_bits(&plain), 3);
}

/* Offset 0 is a place in a data file, if the flag says so. */
static void test_external(void **state)
{
	assert_int_equal(kind(&external, 0, 0, 0), QCOW2_UNALLOCATED);
	assert_int_equal(kind(&external, QCOW2_COPIED, 0, 0), QCOW2_NORMAL);
	assert_int_equal(kind(&external, QCOW2_COPIED | QCOW2_ZERO, 0, 0),
			 QCOW2_ZERO_ALLOC);
	assert_int_equal(kind(&plain, QCOW2_COPIED, 0, 0), QCOW2_UNALLOCATED);
}

static void test_extended(void **state)
{
	const uint64_t bitmap = ALLOC(0) | ZERO(31);

	assert_int_equal(kind(&extended, PLACE, bitmap, 0), QCOW2_NORMAL);
	assert_int_equal(kind(&extended, PLACE, bitmap, 1),
			 QCOW2_UNALLOCATED_ALLOC);
	assert_int_equal(kind(&extended, PLACE, bitmap, 31), QCOW2_ZERO_ALLOC);
	assert_int_equal(kind(&extended, 0, ZERO(7), 7), QCOW2_ZERO_PLAIN);
	assert_int_equal(kind(&extended, 0, ZERO(7), 8), QCOW2_UNALLOCATED);
	assert_int_equal(kind(&extended, PLACE | QCOW2_COMPRESSED, 0, 9),
			 QCOW2_COMPRESSED_CLUSTER);
	/* The flag of plain entries means nothing. */
	assert_int_equal(kind(&extended, PLACE | QCOW2_ZERO, ALLOC(3), 3),
			 QCOW2_NORMAL);
	assert_int_equal(qcow2_sub_bits(&extended), 11);
	assert_int_equal(qcow2_entry_bits(&extended), 4);
}

static unsigned int alike_slowly(struct qcow2_entry e, unsigned int sub)
{
	unsigned int n = 1;

	while (sub + n < QCOW2_SUBCLUSTERS &&
	       kind(&extended, PLACE, e.bitmap, sub + n) ==
		       kind(&extended, PLACE, e.bitmap, sub))
		n++;
	return n;
}

static void test_alike(void **state)
{
	unsigned int rnd = 1;

	for (int i = 0; i < 20000; i++) {
		uint64_t all = (uint64_t)rand_r(&rnd) << 31 ^
			       (uint64_t)rand_r(&rnd);
		/* Long runs now and then. */
		uint64_t alloc = i % 3 ? all & QCOW2_SUBS_ALLOCATED :
				 qcow2_subs(all % 20, 20 + all % 13);
		uint64_t zero = all >> 32 & ~alloc;
		struct qcow2_entry e = { PLACE, zero << 32 | alloc };

		for (unsigned int sub = 0; sub < QCOW2_SUBCLUSTERS; sub++)
			assert_int_equal(qcow2_subs_alike(e, sub),
					 alike_slowly(e, sub));
	}
	for (unsigned int sub = 0; sub < QCOW2_SUBCLUSTERS; sub++)
		assert_int_equal(qcow2_subs_alike((struct qcow2_entry){ 0, 0 },
						  sub),
				 QCOW2_SUBCLUSTERS - sub);
}

static void test_subs(void **state)
{
	assert_int_equal(qcow2_subs(0, 32), QCOW2_SUBS_ALLOCATED);
	assert_int_equal(qcow2_subs(0, 1), 1);
	assert_int_equal(qcow2_subs(31, 32), UINT64_C(1) << 31);
	assert_int_equal(qcow2_subs(4, 8), 0xf0);
	assert_int_equal(qcow2_subs(8, 8), 0);
	assert_int_equal(qcow2_subs(0, 32) << 32, QCOW2_SUBS_ZERO);
}

static void test_layout(void **state)
{
	const struct qcow2_entry a = { PLACE | QCOW2_COPIED, 0x1122334455667788 };
	uint8_t table[64];

	memset(table, 0, sizeof(table));
	qcow2_entry_store(&plain, table, 2, a);
	assert_int_equal(load_be64(table + 16), a.word);
	assert_int_equal(load_be64(table + 24), 0);
	assert_int_equal(qcow2_entry_load(&plain, table, 2).bitmap, 0);
	memset(table, 0, sizeof(table));
	qcow2_entry_store(&extended, table, 2, a);
	assert_int_equal(load_be64(table + 32), a.word);
	assert_int_equal(load_be64(table + 40), a.bitmap);
	assert_int_equal(load_be64(table + 48), 0);
	assert_true(qcow2_entry_equal(qcow2_entry_load(&extended, table, 2), a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_external),
		cmocka_unit_test(test_extended),
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_subs),
		cmocka_unit_test(test_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
