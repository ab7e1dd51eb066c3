/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hash of metadata clusters: one type a cluster, through growth and holes.
 */

#include <errno.h>
#include <stdlib.h>

#include "image/qcow2/core/meta.h"
#include "tests/unit/unit.h"

#define CLUSTERS 4096

static void test_one_type(void **state)
{
	struct qcow2_meta_map m;

	assert_int_equal(qcow2_meta_init(&m), 0);
	assert_int_equal(qcow2_meta_type(&m, 0), QCOW2_META_NONE);
	assert_int_equal(qcow2_meta_add(&m, 0, QCOW2_META_HEADER), 0);
	assert_int_equal(qcow2_meta_add(&m, 0, QCOW2_META_HEADER), -EEXIST);
	assert_int_equal(qcow2_meta_add(&m, 0, QCOW2_META_L2), -EEXIST);
	assert_int_equal(qcow2_meta_type(&m, 0), QCOW2_META_HEADER);
	qcow2_meta_del(&m, 0);
	qcow2_meta_del(&m, 0);
	assert_int_equal(qcow2_meta_type(&m, 0), QCOW2_META_NONE);
	assert_int_equal(m.nr, 0);
	qcow2_meta_deinit(&m);
	qcow2_meta_deinit(&m);
}

static void compare(const struct qcow2_meta_map *m, const uint8_t *model)
{
	for (uint64_t c = 0; c < CLUSTERS; c++)
		assert_int_equal(qcow2_meta_type(m, c << 35 | c), model[c]);
}

/* Deleting out of the middle of a probe run must lose nobody behind it. */
static void test_model(void **state)
{
	uint8_t model[CLUSTERS] = { 0 };
	struct qcow2_meta_map m;
	unsigned int rnd = 1;

	assert_int_equal(qcow2_meta_init(&m), 0);
	for (int i = 0; i < 40000; i++) {
		uint64_t c = (uint64_t)rand_r(&rnd) % CLUSTERS;
		unsigned int type = (unsigned int)rand_r(&rnd) %
				    (QCOW2_META_CRYPTO + 1);

		if (!type) {
			qcow2_meta_del(&m, c << 35 | c);
			model[c] = 0;
			continue;
		}
		assert_int_equal(qcow2_meta_add(&m, c << 35 | c,
						(enum qcow2_meta)type),
				 model[c] ? -EEXIST : 0);
		if (!model[c])
			model[c] = (uint8_t)type;
	}
	compare(&m, model);
	qcow2_meta_deinit(&m);
}

static void test_names(void **state)
{
	for (unsigned int t = 0; t <= QCOW2_META_CRYPTO; t++)
		assert_non_null(qcow2_meta_name((enum qcow2_meta)t));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_type),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
