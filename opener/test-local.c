/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is opened on an image's word, whose word it is, and what a refusal says.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "opener/local.h"

#define WHERE "section [image x] of xdisk.conf"

/* A folder with an image, data and links, and a file that is none of its. */
static char *top;

static char *at(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", top, name) > 0);
	return path;
}

static const char *const all[] = {
	"a/image", "a/below", "a/data", "a/out", "a", "aa", "foreign", "fifo",
	"secret", "set-id", "hidden/file", "hidden",
};

static int make_tree(void **state)
{
	char dir[] = "/tmp/test-local.XXXXXX";

	top = mkdtemp(dir) ? realpath(dir, NULL) : NULL;
	return !top || chdir(top) || mkdir("a", 0755) || mkdir("hidden", 0700) ||
	       mknod("a/image", S_IFREG | 0644, 0) ||
	       mknod("a/below", S_IFREG | 0644, 0) ||
	       mknod("a/data", S_IFREG | 0644, 0) ||
	       mknod("aa", S_IFREG | 0644, 0) ||
	       mknod("foreign", S_IFREG | 0644, 0) ||
	       mknod("secret", S_IFREG | 0640, 0) ||
	       mknod("hidden/file", S_IFREG | 0644, 0) ||
	       mknod("set-id", S_IFREG | 0755, 0) || chmod("set-id", 04755) ||
	       mkfifo("fifo", 0644) || symlink("../foreign", "a/out");
}

static int remove_tree(void **state)
{
	int failed = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		failed |= remove(all[i]);
	failed |= chdir("/") || rmdir(top);
	free(top);
	return failed;
}

enum { BELOW, TOPMOST };

/* Paths are below `top`, but names as they are; "=" stands for it in them. */
static const struct {
	enum data_rule rule;
	const char *path;		/* of the rule */
	int topmost;
	const char *name;
	int ret;
	const char *full;		/* what is opened */
	const char *said;		/* part of what is refused with */
} cases[] = {
	{ DATA_NONE, NULL, TOPMOST, "data", -EACCES, NULL,
	  "\"data-file = beside\" into " WHERE },
	{ DATA_NONE, NULL, BELOW, "data", -EACCES, NULL, "not opened" },
	{ DATA_NONE, NULL, TOPMOST, "../foreign", -EACCES, NULL,
	  "a/../foreign\" into " WHERE },
	{ DATA_NONE, NULL, TOPMOST, "=/foreign", -EACCES, NULL,
	  "/foreign\" into " WHERE },
	{ DATA_NONE, NULL, TOPMOST, "/nowhere/%s%n", -EACCES, NULL,
	  "\"data-file = /nowhere/%s%n\" into " WHERE },
	{ DATA_NONE, NULL, TOPMOST, NULL, -EACCES, NULL,
	  "\"data-file = PATH\" into " WHERE },

	{ DATA_BESIDE, NULL, TOPMOST, "data", 0, "a/data", NULL },
	{ DATA_BESIDE, NULL, BELOW, "data", 0, "a/data", NULL },
	{ DATA_BESIDE, NULL, TOPMOST, "=/a/data", 0, "a/data", NULL },
	{ DATA_BESIDE, NULL, TOPMOST, "../foreign", -EACCES, NULL,
	  "another folder" },
	{ DATA_BESIDE, NULL, BELOW, "=/foreign", -EACCES, NULL,
	  "/foreign\" into " WHERE },
	{ DATA_BESIDE, NULL, TOPMOST, "out", -EACCES, NULL,
	  "a/out\" into " WHERE },
	{ DATA_BESIDE, NULL, TOPMOST, "gone", -ENOENT, NULL, "gone'" },
	{ DATA_BESIDE, NULL, TOPMOST, NULL, -EACCES, NULL,
	  "\"data-file = PATH\" into " WHERE },

	{ DATA_PATH, "foreign", TOPMOST, "=/foreign", 0, "foreign", NULL },
	{ DATA_PATH, "foreign", TOPMOST, "../foreign", 0, "foreign",
	  NULL },
	{ DATA_PATH, "foreign", BELOW, "out", 0, "foreign", NULL },
	{ DATA_PATH, "foreign", TOPMOST, NULL, 0, "foreign", NULL },
	{ DATA_PATH, "foreign", BELOW, NULL, -EACCES, NULL,
	  "does not record which" },
	{ DATA_PATH, "foreign", TOPMOST, "data", -EACCES, NULL,
	  "\"data-file = beside\" into " WHERE },
	{ DATA_PATH, "foreign", TOPMOST, "gone", -EACCES, NULL,
	  "/foreign' is allowed" },
	{ DATA_PATH, "gone", TOPMOST, "=/gone", -ENOENT, NULL, "gone'" },
};

/* A name as image/graph hands it on: relative to the folder of the image. */
static char *full_name(const char *name)
{
	char *full;

	if (!name || *name == '/')
		return name ? strdup(name) : NULL;
	if (*name == '=')
		return at(name + 2);
	assert_true(asprintf(&full, "%s/a/%s", top, name) > 0);
	return full;
}

/* Opens a/image, and a/data as one below it. */
static void open_images(struct local_opener *l, const char *image,
			const char *below)
{
	struct opener_ask ask = { .purpose = OPENER_IMAGE, .name = image };
	struct opened opened;

	assert_int_equal(opener_open(&l->opener, &ask, &opened, NULL), 0);
	assert_string_equal(opened.name, image);
	opened_clear(&opened);
	ask = (struct opener_ask){ OPENER_BACKING, .by = image, .name = below };
	assert_int_equal(opener_open(&l->opener, &ask, &opened, NULL), 0);
	opened_clear(&opened);
}

static bool same_open_file(int fd, const char *path)
{
	struct stat a, b;

	return !fstat(fd, &a) && !stat(path, &b) && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static void run_case(size_t i)
{
	cleanup_free char *image = at("a/image"), *below = at("a/below");
	cleanup_free char *path = cases[i].path ? at(cases[i].path) : NULL;
	cleanup_free char *want = cases[i].full ? at(cases[i].full) : NULL;
	cleanup_free char *name = full_name(cases[i].name);
	const struct policy p = {
		.data_rule = cases[i].rule, .data_path = path, .where = WHERE,
	};
	const char *by = cases[i].topmost == TOPMOST ? image : below;
	const struct opener_ask ask = {
		.purpose = OPENER_DATA, .write = true, .by = by, .name = name,
	};
	struct error err = ERROR_INIT;
	struct opened opened;
	struct local_opener l;
	int ret;

	local_opener_init(&l, &p, true);
	open_images(&l, image, below);
	ret = opener_open(&l.opener, &ask, &opened, &err);
	if (ret != cases[i].ret)
		print_error("case %zu: %s\n", i, err.msg);
	assert_int_equal(ret, cases[i].ret);
	assert_int_equal(opened.fd >= 0, !ret);
	if (!ret)
		assert_true(same_open_file(opened.fd, want));
	if (ret && ret != -ENOENT)
		assert_non_null(strstr(err.msg, cases[i].said));
	if (ret == -EACCES)
		assert_non_null(strstr(err.msg, by));
	opened_clear(&opened);
	local_opener_clear(&l);
}

static void test_data(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		run_case(i);
}

/* Names as long as a header can have them leave the advice readable. */
static void test_long_names(void **state)
{
	const struct policy p = { .data_rule = DATA_BESIDE, .where = WHERE };
	cleanup_free char *image = at("a/image"), *below = at("a/below");
	struct error err = ERROR_INIT;
	char name[1024];
	const struct opener_ask ask = {
		.purpose = OPENER_DATA, .by = image, .name = name,
	};
	struct opened opened;
	struct local_opener l;

	memset(name, 'x', sizeof(name) - 1);
	memcpy(name, "../", 3);
	name[sizeof(name) - 1] = '\0';
	local_opener_init(&l, &p, true);
	open_images(&l, image, below);
	assert_int_equal(opener_open(&l.opener, &ask, &opened, &err), -EACCES);
	assert_non_null(strstr(err.msg, WHERE));
	local_opener_clear(&l);
}

/* ask(): as an image does, with policy `p`. */
static int ask(const struct policy *p, const char *name, struct error *err)
{
	cleanup_free char *image = at("a/image"), *below = at("a/below");
	const struct opener_ask a = { OPENER_BACKING, .by = image, .name = name };
	struct opened opened;
	struct local_opener l;
	int ret;

	local_opener_init(&l, p, true);
	open_images(&l, image, below);
	ret = opener_open(&l.opener, &a, &opened, err);
	if (ret == 0)
		assert_int_equal(fcntl(opened.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	opened_clear(&opened);
	local_opener_clear(&l);
	return ret;
}

static void test_dirs(void **state)
{
	cleanup_free char *a = at("a"), *foreign = at("foreign");
	cleanup_free char *out = at("a/out"), *data = at("a/data");
	cleanup_free char *up = at("a/../foreign"), *aa = at("aa");
	struct policy p = { .image_dirs = a, .where = WHERE };
	cleanup_free char *both = NULL;
	struct error err = ERROR_INIT;

	assert_int_equal(ask(&p, data, NULL), 0);
	assert_int_equal(ask(&p, foreign, &err), -EACCES);
	assert_non_null(strstr(err.msg, a));
	assert_non_null(strstr(err.msg, foreign));
	assert_non_null(strstr(err.msg, "\"image-dirs = "));
	assert_non_null(strstr(err.msg, WHERE));
	assert_int_equal(ask(&p, out, NULL), -EACCES);	/* a link */
	assert_int_equal(ask(&p, up, NULL), -EACCES);
	assert_int_equal(ask(&p, aa, NULL), -EACCES);	/* "a" is not its folder */
	assert_true(asprintf(&both, "/nowhere:%s:%s", a, top) > 0);
	p.image_dirs = both;
	assert_int_equal(ask(&p, foreign, NULL), 0);
	assert_int_equal(ask(&p, "/dev/null", NULL), -EINVAL);
}

/* A name is judged as what it leads to, without opening it. */
static void test_special(void **state)
{
	const struct policy p = { .where = WHERE };
	cleanup_free char *fifo = at("fifo"), *id = at("set-id");
	struct error err = ERROR_INIT;

	assert_int_equal(ask(&p, fifo, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "a FIFO"));
	assert_int_equal(ask(&p, "/dev/zero", &err), -EINVAL);
	assert_non_null(strstr(err.msg, "a character device"));
	assert_int_equal(ask(&p, id, &err), -EACCES);
	assert_non_null(strstr(err.msg, "set-user-ID"));
	assert_int_equal(ask(&p, "/proc/self/fd/0", NULL), -ELOOP);
}

/* Root's word opens what its owner's does not. */
static void test_owner(void **state)
{
	const struct policy p = { .where = WHERE };
	cleanup_free char *image = at("a/image"), *secret = at("secret");
	cleanup_free char *hidden = at("hidden/file");
	struct error err = ERROR_INIT;

	if (geteuid() != 0)
		skip();
	assert_int_equal(ask(&p, secret, NULL), 0);
	assert_int_equal(ask(&p, hidden, NULL), 0);
	assert_int_equal(chmod(top, 0711), 0);
	assert_int_equal(chown(image, 4711, 4711), 0);
	assert_int_equal(ask(&p, secret, &err), -EACCES);
	assert_non_null(strstr(err.msg, "user 4711"));
	assert_non_null(strstr(err.msg, secret));
	assert_int_equal(ask(&p, hidden, NULL), -EACCES);
	assert_int_equal(chown(secret, 4711, 0), 0);
	assert_int_equal(ask(&p, secret, NULL), 0);
	assert_int_equal(chown(secret, 0, 4711), 0);	/* mode 0640 */
	assert_int_equal(ask(&p, secret, NULL), 0);
	assert_int_equal(chown(image, 0, 0), 0);
	assert_int_equal(ask(&p, hidden, NULL), 0);	/* and back */
}

/* A worker that asks and asks takes no more of the opener than that. */
static void test_most(void **state)
{
	const struct policy p = { .where = WHERE };
	cleanup_free char *image = at("a/image"), *below = at("a/below");
	char slashes[2000];
	struct local_opener l;
	int ret = 0, opened_nr = 0;

	memset(slashes, '/', sizeof(slashes));
	local_opener_init(&l, &p, true);
	open_images(&l, image, below);
	for (int i = 0; !ret && i < 2000; i++, opened_nr++) {
		cleanup_free char *name = NULL;
		struct opener_ask a = { OPENER_BACKING, .by = image };
		struct opened opened;

		assert_true(asprintf(&name, "%s/a/%.*sdata", top, i, slashes) > 0);
		a.name = name;
		ret = opener_open(&l.opener, &a, &opened, NULL);
		opened_clear(&opened);
	}
	assert_int_equal(ret, -ENFILE);
	assert_true(opened_nr > 256 && opened_nr < 600);
	local_opener_clear(&l);
}

/* Only images that were opened can name anything. */
static void test_unknown(void **state)
{
	const struct policy p = { .where = WHERE };
	const struct opener_ask a = {
		OPENER_BACKING, .by = "/never/opened", .name = "/etc/passwd",
	};
	struct opened opened;
	struct local_opener l;

	local_opener_init(&l, &p, true);
	assert_int_equal(opener_open(&l.opener, &a, &opened, NULL), -EPERM);
	assert_int_equal(opened.fd, -1);
	local_opener_clear(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_dirs),
		cmocka_unit_test(test_special),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
