/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which external data file a rule lets an image name, and what a refusal says.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/graph/data-rule.h"

#define WHERE "section [image x] of xdisk.conf"

static void test_parse(void **state)
{
	static const struct {
		const char *value;
		int ret;
		enum image_data_kind kind;
	} cases[] = {
		{ "none", 0, IMAGE_DATA_NONE },
		{ "beside", 0, IMAGE_DATA_BESIDE },
		{ "/", 0, IMAGE_DATA_PATH },
		{ "/srv/beside", 0, IMAGE_DATA_PATH },
		{ "", -EINVAL, 0 },
		{ "any", -EINVAL, 0 },
		{ "Beside", -EINVAL, 0 },
		{ "beside ", -EINVAL, 0 },
		{ "./data", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_data_rule rule = { .where = WHERE };

		assert_int_equal(image_parse_data_rule(cases[i].value, &rule),
				 cases[i].ret);
		if (cases[i].ret)
			continue;
		assert_int_equal(rule.kind, cases[i].kind);
		assert_str(rule.path, cases[i].kind == IMAGE_DATA_PATH ?
				      cases[i].value : NULL);
		assert_string_equal(rule.where, WHERE);
	}
}

/* A folder with an image, data and links, and a file that is none of its. */
static char *top;

static char *at(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", top, name) > 0);
	return path;
}

static int make_tree(void **state)
{
	char dir[] = "test-data-rule.XXXXXX";

	top = mkdtemp(dir) ? realpath(dir, NULL) : NULL;
	return !top || chdir(top) || mkdir("a", 0700) ||
	       mknod("a/image", S_IFREG | 0600, 0) ||
	       mknod("a/data", S_IFREG | 0600, 0) ||
	       mknod("foreign", S_IFREG | 0600, 0) ||
	       symlink("../foreign", "a/out");
}

static int remove_tree(void **state)
{
	int failed = remove("a/image") | remove("a/data") | remove("a/out") |
		     remove("a") | remove("foreign") | chdir("..") |
		     rmdir(top);

	free(top);
	return failed;
}

enum { BELOW, TOPMOST };

/* Paths are below `top`, but names as they are; "=" stands for it in them. */
static const struct {
	enum image_data_kind kind;
	const char *path;		/* of the rule */
	int topmost;
	const char *name;
	int ret;
	const char *full;		/* what is opened */
	const char *said;		/* part of what is refused with */
} cases[] = {
	{ IMAGE_DATA_NONE, NULL, TOPMOST, "data", -EACCES, NULL,
	  "\"data-file = beside\" into " WHERE },
	{ IMAGE_DATA_NONE, NULL, BELOW, "data", -EACCES, NULL, "not opened" },
	{ IMAGE_DATA_NONE, NULL, TOPMOST, "../foreign", -EACCES, NULL,
	  "a/../foreign\" into " WHERE },
	{ IMAGE_DATA_NONE, NULL, TOPMOST, "=/foreign", -EACCES, NULL,
	  "/foreign\" into " WHERE },
	{ IMAGE_DATA_NONE, NULL, TOPMOST, "/nowhere/%s%n", -EACCES, NULL,
	  "\"data-file = /nowhere/%s%n\" into " WHERE },
	{ IMAGE_DATA_NONE, NULL, TOPMOST, NULL, -EACCES, NULL,
	  "\"data-file = PATH\" into " WHERE },
	{ IMAGE_DATA_NONE, NULL, TOPMOST, "json:{}", -EINVAL, NULL,
	  "names the data file 'json:{}'" },
	{ IMAGE_DATA_NONE, NULL, TOPMOST, "", -EINVAL, NULL, "empty" },

	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "data", 0, "a/data", NULL },
	{ IMAGE_DATA_BESIDE, NULL, BELOW, "data", 0, "a/data", NULL },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "file:data", 0, "a/data", NULL },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "=/a/data", 0, "a/data", NULL },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "../foreign", -EACCES, NULL,
	  "another folder" },
	{ IMAGE_DATA_BESIDE, NULL, BELOW, "=/foreign", -EACCES, NULL,
	  "/foreign\" into " WHERE },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "out", -EACCES, NULL,
	  "a/out\" into " WHERE },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "gone", -ENOENT, NULL, "gone'" },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, NULL, -EACCES, NULL,
	  "\"data-file = PATH\" into " WHERE },
	{ IMAGE_DATA_BESIDE, NULL, TOPMOST, "nbd:x", -EINVAL, NULL, "'nbd:x'" },

	{ IMAGE_DATA_PATH, "foreign", TOPMOST, "=/foreign", 0, "foreign", NULL },
	{ IMAGE_DATA_PATH, "foreign", TOPMOST, "../foreign", 0, "foreign",
	  NULL },
	{ IMAGE_DATA_PATH, "foreign", BELOW, "out", 0, "foreign", NULL },
	{ IMAGE_DATA_PATH, "foreign", TOPMOST, NULL, 0, "foreign", NULL },
	{ IMAGE_DATA_PATH, "foreign", BELOW, NULL, -EACCES, NULL,
	  "does not record which" },
	{ IMAGE_DATA_PATH, "foreign", TOPMOST, "data", -EACCES, NULL,
	  "\"data-file = beside\" into " WHERE },
	{ IMAGE_DATA_PATH, "foreign", TOPMOST, "gone", -EACCES, NULL,
	  "/foreign' is allowed" },
	{ IMAGE_DATA_PATH, "gone", TOPMOST, "=/gone", -ENOENT, NULL, "gone'" },
	{ IMAGE_DATA_PATH, "foreign", TOPMOST, "nbd:x", -EINVAL, NULL,
	  "'nbd:x'" },
};

static void run_case(size_t i)
{
	const char *name = cases[i].name;
	cleanup_free char *image = at("a/image"), *path = NULL, *want = NULL;
	cleanup_free char *named = NULL, *full = NULL;
	struct image_data_rule rule = { .kind = cases[i].kind, .where = WHERE };
	struct error err = ERROR_INIT;
	int ret;

	rule.path = path = cases[i].path ? at(cases[i].path) : NULL;
	want = cases[i].full ? at(cases[i].full) : NULL;
	if (name && *name == '=')
		name = named = at(name + 2);
	ret = data_rule_judge(&rule, image, cases[i].topmost == TOPMOST, name,
			      &full, &err);
	if (ret != cases[i].ret)
		print_error("case %zu: %s\n", i, err.msg);
	assert_int_equal(ret, cases[i].ret);
	assert_str(full, want);
	assert_int_equal(!err.msg[0], !ret);
	if (ret)
		assert_non_null(strstr(err.msg, cases[i].said));
	if (ret == -EACCES)
		assert_non_null(strstr(err.msg, image));
}

static void test_judge(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(i);
}

/* Names as long as a header can have them leave the advice readable. */
static void test_long_names(void **state)
{
	const struct image_data_rule rule = {
		.kind = IMAGE_DATA_BESIDE, .where = WHERE,
	};
	struct error err = ERROR_INIT;
	char *full = NULL, name[1024];

	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(data_rule_judge(&rule, name, true, name, &full, &err),
			 -ENAMETOOLONG);
	assert_null(full);
	memcpy(name, "../", 3);
	assert_int_equal(data_rule_judge(&rule, "a/image", true, name, &full,
					 &err), -EACCES);
	assert_null(full);
	assert_non_null(strstr(err.msg, WHERE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_long_names),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
