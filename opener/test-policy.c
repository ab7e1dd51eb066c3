/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy's decisions: each rule, and what none of them stops. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/stat.h>

#include "common/bits.h"
#include "opener/policy.h"

static void test_data_file(void **state)
{
	static const struct {
		const char *value;
		int ret;
		enum data_rule rule;
	} values[] = {
		{ "none", 0, DATA_NONE },
		{ "beside", 0, DATA_BESIDE },
		{ "/", 0, DATA_PATH },
		{ "/srv/beside", 0, DATA_PATH },
		{ "", -EINVAL, 0 },
		{ "any", -EINVAL, 0 },
		{ "Beside", -EINVAL, 0 },
		{ "beside ", -EINVAL, 0 },
		{ "./data", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct policy p = { 0 };

		assert_int_equal(policy_parse_data_file(values[i].value, &p),
				 values[i].ret);
		if (values[i].ret)
			continue;
		assert_int_equal(p.data_rule, values[i].rule);
		assert_str(p.data_path, values[i].rule == DATA_PATH ?
					values[i].value : NULL);
	}
}

static void test_dirs(void **state)
{
	static const struct {
		const char *value;
		int ret;
	} values[] = {
		{ "/", 0 },
		{ "/srv/images", 0 },
		{ "/srv/images:/dev", 0 },
		{ "", -EINVAL },
		{ "images", -EINVAL },
		{ "/srv:", -EINVAL },
		{ ":/srv", -EINVAL },
		{ "/srv::/dev", -EINVAL },
		{ "/srv:dev", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct error err = ERROR_INIT;

		assert_int_equal(policy_judge_dirs(values[i].value, &err),
				 values[i].ret);
		assert_int_equal(!err.msg[0], !values[i].ret);
	}
}

/* What all facts are that a case does not change: a regular file, named by the
 * topmost image, which its owner may open. */
enum change {
	WRITTEN = 1 << 0, PERSON = 1 << 1, BELOW = 1 << 2, UNNAMED = 1 << 3,
	NOT_OWNERS = 1 << 4, OUTSIDE = 1 << 5, BESIDE = 1 << 6, THE_PATH = 1 << 7,
	BACKING_WRITABLE = 1 << 8,
};

static const struct {
	enum opener_purpose purpose;
	enum data_rule rule;
	unsigned int changes;
	mode_t mode;
	enum policy_verdict verdict;
} cases[] = {
	/* a person's word */
	{ OPENER_IMAGE, DATA_NONE, PERSON, S_IFREG, POLICY_ALLOWED },
	{ OPENER_IMAGE, DATA_NONE, PERSON | WRITTEN, S_IFBLK, POLICY_ALLOWED },
	{ OPENER_IMAGE, DATA_NONE, PERSON | OUTSIDE | NOT_OWNERS | WRITTEN,
	  S_IFREG | S_ISUID, POLICY_ALLOWED },
	{ OPENER_SECRET, DATA_NONE, PERSON | OUTSIDE, S_IFREG, POLICY_ALLOWED },
	{ OPENER_IMAGE, DATA_NONE, PERSON, S_IFIFO, POLICY_NOT_A_FILE },
	{ OPENER_IMAGE, DATA_NONE, PERSON, S_IFCHR, POLICY_NOT_A_FILE },
	{ OPENER_IMAGE, DATA_NONE, PERSON, S_IFDIR, POLICY_NOT_A_FILE },
	{ OPENER_IMAGE, DATA_NONE, PERSON, S_IFSOCK, POLICY_NOT_A_FILE },

	/* backing images: anywhere, read, with the owner's rights */
	{ OPENER_BACKING, DATA_NONE, 0, S_IFREG, POLICY_ALLOWED },
	{ OPENER_BACKING, DATA_NONE, BELOW, S_IFBLK, POLICY_ALLOWED },
	{ OPENER_BACKING, DATA_NONE, WRITTEN, S_IFREG, POLICY_READ_ONLY },
	{ OPENER_BACKING, DATA_ANY, WRITTEN | BACKING_WRITABLE, S_IFREG,
	  POLICY_ALLOWED },
	{ OPENER_BACKING, DATA_NONE, NOT_OWNERS, S_IFREG,
	  POLICY_NOT_THE_OWNERS },
	{ OPENER_BACKING, DATA_NONE, OUTSIDE, S_IFREG, POLICY_OUTSIDE },
	{ OPENER_BACKING, DATA_NONE, OUTSIDE | NOT_OWNERS, S_IFREG,
	  POLICY_OUTSIDE },
	{ OPENER_BACKING, DATA_NONE, 0, S_IFCHR, POLICY_NOT_A_FILE },
	{ OPENER_BACKING, DATA_NONE, 0, S_IFREG | S_ISUID, POLICY_SET_ID },
	{ OPENER_BACKING, DATA_NONE, 0, S_IFREG | S_ISGID, POLICY_SET_ID },
	/* data-file says nothing of them */
	{ OPENER_BACKING, DATA_BESIDE, 0, S_IFREG, POLICY_ALLOWED },
	{ OPENER_BACKING, DATA_PATH, OUTSIDE, S_IFREG, POLICY_OUTSIDE },

	/* parts: beside */
	{ OPENER_PART, DATA_NONE, BESIDE, S_IFREG, POLICY_ALLOWED },
	{ OPENER_PART, DATA_NONE, 0, S_IFREG, POLICY_PART_ELSEWHERE },
	{ OPENER_PART, DATA_NONE, BESIDE | NOT_OWNERS, S_IFREG,
	  POLICY_NOT_THE_OWNERS },
	{ OPENER_PART, DATA_NONE, BESIDE | OUTSIDE, S_IFREG, POLICY_OUTSIDE },

	/* data files: where the configuration says */
	{ OPENER_DATA, DATA_NONE, WRITTEN | BESIDE, S_IFREG, POLICY_DATA_NONE },
	{ OPENER_DATA, DATA_BESIDE, WRITTEN | BESIDE, S_IFREG, POLICY_ALLOWED },
	{ OPENER_DATA, DATA_BESIDE, BESIDE | BELOW, S_IFREG, POLICY_ALLOWED },
	{ OPENER_DATA, DATA_BESIDE, WRITTEN, S_IFREG, POLICY_DATA_ELSEWHERE },
	{ OPENER_DATA, DATA_BESIDE, WRITTEN | BESIDE | NOT_OWNERS, S_IFREG,
	  POLICY_NOT_THE_OWNERS },
	{ OPENER_DATA, DATA_BESIDE, BESIDE | OUTSIDE, S_IFREG, POLICY_OUTSIDE },
	{ OPENER_DATA, DATA_BESIDE, BESIDE | UNNAMED, S_IFREG,
	  POLICY_DATA_UNNAMED },
	{ OPENER_DATA, DATA_PATH, WRITTEN | THE_PATH, S_IFREG, POLICY_ALLOWED },
	{ OPENER_DATA, DATA_PATH, WRITTEN | THE_PATH | OUTSIDE | NOT_OWNERS,
	  S_IFREG, POLICY_ALLOWED },
	{ OPENER_DATA, DATA_PATH, WRITTEN | BESIDE, S_IFREG,
	  POLICY_DATA_OTHER },
	{ OPENER_DATA, DATA_PATH, WRITTEN | UNNAMED | THE_PATH, S_IFREG,
	  POLICY_ALLOWED },
	{ OPENER_DATA, DATA_PATH, UNNAMED | BELOW, S_IFREG,
	  POLICY_DATA_UNNAMED_BELOW },
	{ OPENER_DATA, DATA_PATH, THE_PATH, S_IFCHR, POLICY_NOT_A_FILE },
	{ OPENER_DATA, DATA_ANY, WRITTEN, S_IFREG, POLICY_ALLOWED },
	{ OPENER_DATA, DATA_ANY, WRITTEN | OUTSIDE, S_IFREG, POLICY_OUTSIDE },
};

static void test_judge(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned int c = cases[i].changes;
		const struct policy p = {
			.data_rule = cases[i].rule,
			.backing_writable = c & BACKING_WRITABLE,
		};
		const struct policy_facts f = {
			.purpose = cases[i].purpose,
			.write = c & WRITTEN,
			.by_image = !(c & PERSON),
			.topmost = !(c & BELOW),
			.named = !(c & UNNAMED),
			.mode = cases[i].mode,
			.owner_may = !(c & NOT_OWNERS),
			.in_dirs = !(c & OUTSIDE),
			.beside = c & BESIDE,
			.data_path = c & THE_PATH,
		};

		if (policy_judge(&p, &f) != cases[i].verdict)
			print_error("case %zu\n", i);
		assert_int_equal(policy_judge(&p, &f), cases[i].verdict);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_file),
		cmocka_unit_test(test_dirs),
		cmocka_unit_test(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
