/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"

/* ---- what is written to stderr ---- */

static int saved = -1;
static char logged[64 * 1024];

static void begin_log(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	saved = dup(STDERR_FILENO);
	assert_true(fd >= 0 && saved >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

/* The number of lines; they are in `logged`. */
static unsigned int end_log(void)
{
	ssize_t n = pread(STDERR_FILENO, logged, sizeof(logged) - 1, 0);
	unsigned int lines = 0;

	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(n >= 0);
	logged[n] = 0;
	for (const char *p = logged; (p = strchr(p, '\n')); p++)
		lines++;
	return lines;
}

static void flood(struct log_object *o, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		log_write(o, LOG_LEVEL_WARN, "cluster %u is lost", i);
}

static void settle(struct log_object *o)
{
	uint64_t next = UINT64_MAX;

	log_settle(o, UINT64_MAX, &next);
	assert_true(next == UINT64_MAX);
}

/* ---- lines ---- */

static void test_one_line(void **state)
{
	begin_log();
	log_error("%s", "/a\n<0>xdiskd: all is well\033[2J");
	assert_int_equal(end_log(), 1);
	assert_non_null(strstr(logged, "error: vbd 3/51712: /a\\n<0>xdiskd: "
				       "all is well\\033[2J\n"));
}

/* Cut, but with its end of line. */
static void test_long(void **state)
{
	char text[8192];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	begin_log();
	log_error("%s", text);
	assert_int_equal(end_log(), 1);
	assert_non_null(strstr(logged, "\\n\\n\n"));
}

/* ---- limits ---- */

static void test_person_reads_all(void **state)
{
	begin_log();
	flood(NULL, 100);
	assert_int_equal(end_log(), 100);
}

static void test_flood(void **state)
{
	log_limit();
	begin_log();
	flood(NULL, 16384);
	assert_int_equal(end_log(), LOG_LINES);
	begin_log();
	settle(NULL);
	settle(NULL);
	assert_int_equal(end_log(), 1);
	assert_non_null(strstr(logged, "warn: vbd 3/51712: ... 16374 more "
			       "lines left out, the last: cluster 16383 is "
			       "lost\n"));
}

static void test_others_are_heard(void **state)
{
	struct log_object other;

	log_object_init(&other, "vbd 4/51712");
	begin_log();
	flood(NULL, 100);
	log_warn("the header is lost");
	log_error("the image is corrupt");
	flood(&other, 2);
	assert_int_equal(end_log(), LOG_LINES + 4);
	assert_non_null(strstr(logged, "vbd 3/51712: the header is lost\n"));
	assert_non_null(strstr(logged, "vbd 3/51712: the image is corrupt\n"));
	assert_non_null(strstr(logged, "vbd 4/51712: cluster 1 is lost\n"));
	settle(NULL);
	settle(&other);
}

/* What comes after the interval finds room, and says what went before. */
static void test_interval(void **state)
{
	uint64_t now = monotonic_ns(), next = UINT64_MAX;
	struct log_object o;

	log_object_init(&o, "vbd 4/51712");
	begin_log();
	flood(&o, LOG_LINES + 3);
	log_settle(&o, now, &next);
	assert_in_range(next, now, monotonic_ns() + LOG_INTERVAL_NS);
	assert_int_equal(end_log(), LOG_LINES);
	o.kinds[0].since_ns = now - LOG_INTERVAL_NS;
	begin_log();
	flood(&o, 1);
	assert_int_equal(end_log(), 2);
	assert_non_null(strstr(logged, "... 3 more lines left out"));
	assert_non_null(strstr(logged, "cluster 0 is lost"));
}

static void test_many_kinds(void **state)
{
	struct log_object o;
	unsigned int lines;
	char fmt[] = "%u of kind A";

	log_object_init(&o, "vbd 4/51712");
	begin_log();
	for (unsigned int i = 0; i < 2 * LOG_KINDS; i++, fmt[11]++) {
		for (unsigned int j = 0; j < 100; j++) {
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			log_write(&o, LOG_LEVEL_INFO, fmt, j);
		}
	}
	lines = end_log();
	assert_int_equal(lines, LOG_KINDS * LOG_LINES);
	begin_log();
	settle(&o);
	assert_int_equal(end_log(), LOG_KINDS);
}

static struct {
	unsigned int calls;
	uint32_t sentence;
	bool listens;
} other;

static bool hear(enum log_level level, uint32_t sentence, const char *text)
{
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_string_equal(text, "a\\nb");
	other.calls++;
	other.sentence = sentence;
	return other.listens;
}

/* As one process says it, so another one's limit counts it. */
static void test_handed_over(void **state)
{
	struct log_object o;

	log_hand_over(hear);
	other.listens = true;
	begin_log();
	log_error("a\n%s", "b");
	assert_int_equal(end_log(), 0);
	other.listens = false;
	begin_log();
	log_error("a\n%s", "b");
	assert_int_equal(end_log(), 1);
	assert_int_equal(other.calls, 2);
	log_hand_over(NULL);
	settle(NULL);

	log_object_init(&o, "vbd 1/1");
	begin_log();
	for (int i = 0; i < 3 * LOG_LINES; i++)
		log_handed(&o, LOG_LEVEL_ERROR, other.sentence, "x");
	log_handed(&o, LOG_LEVEL_ERROR, other.sentence + 1, "y");
	assert_int_equal(end_log(), LOG_LINES + 1);
}

static void test_debug_reads_all(void **state)
{
	log_init("test-log", LOG_LEVEL_DEBUG, true);
	begin_log();
	for (unsigned int i = 0; i < 100; i++)
		log_debug("turn %u", i);
	assert_int_equal(end_log(), 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_line),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_person_reads_all),
		/* from here on with limits */
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_others_are_heard),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_many_kinds),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_debug_reads_all),
	};

	log_init("test-log", LOG_LEVEL_INFO, true);
	log_set_object("vbd 3/51712");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
