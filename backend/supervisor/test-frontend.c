/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What frontends write: the honest ones in all their shapes, and hostile. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "backend/supervisor/frontend.h"
#include "common/bits.h"

#define MAX_QUEUES 4

/* "node=value" strings, ended by NULL. */
static int read_table(void *arg, const char *node, char *buf, size_t size)
{
	const char *const *t = arg;
	size_t n = strlen(node);

	for (; *t; t++) {
		const char *value = *t + n + 1;

		if (strncmp(*t, node, n) || (*t)[n] != '=')
			continue;
		if (!strcmp(value, "EACCES"))
			return -EACCES;
		if (strlen(value) >= size)
			return -E2BIG;
		strcpy(buf, value);
		return (int)strlen(value);
	}
	return -ENOENT;
}

static int try(const char *const *nodes, struct rings *f, struct error *err)
{
	const struct frontend_source source = { read_table, (void *)nodes };

	err->msg[0] = 0;
	memset(f, 0xee, sizeof(*f));
	return frontend_read(&source, MAX_QUEUES, f, err);
}

#define NODES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void good(const char *const *nodes, struct rings *f)
{
	struct error err;

	if (try(nodes, f, &err) < 0)
		fail_msg("%s", err.msg);
}

/* Refused, with a sentence that names the node, and nothing in *out. */
static void bad(const char *const *nodes, const char *node)
{
	struct rings f, untouched;
	struct error err;

	memset(&untouched, 0xee, sizeof(untouched));
	assert_true(try(nodes, &f, &err) < 0);
	if (!strstr(err.msg, node))
		fail_msg("\"%s\" does not name %s", err.msg, node);
	assert_memory_equal(&f, &untouched, sizeof(f));
}

static void test_one_page(void **state)
{
	struct rings f;

	good(NODES("ring-ref=8", "event-channel=12"), &f);
	assert_true(f.abi_x86_32);	/* no protocol node: an old one */
	assert_false(f.persistent);
	assert_int_equal(f.nr_queues, 1);
	assert_int_equal(f.ring_order, 0);
	assert_int_equal(f.queues[0].refs[0], 8);
	assert_int_equal(f.queues[0].port, 12);

	good(NODES("protocol=x86_64-abi", "ring-ref=4294967295",
		   "event-channel=1", "feature-persistent=1"), &f);
	assert_false(f.abi_x86_32);
	assert_true(f.persistent);
	assert_int_equal(f.queues[0].refs[0], UINT32_MAX);

	good(NODES("protocol=x86_32-abi", "ring-ref=8", "event-channel=1",
		   "multi-queue-num-queues=1"), &f);
	assert_true(f.abi_x86_32);
}

static void test_pages(void **state)
{
	struct rings f;

	good(NODES("protocol=x86_64-abi", "ring-page-order=1", "ring-ref0=8",
		   "ring-ref1=9", "event-channel=12"), &f);
	assert_int_equal(f.ring_order, 1);
	assert_int_equal(f.queues[0].refs[1], 9);

	/* order 0, spelled out: both ways of naming the one page */
	good(NODES("ring-page-order=0", "ring-ref0=8", "event-channel=1"), &f);
	assert_int_equal(f.queues[0].refs[0], 8);
	good(NODES("ring-page-order=0", "ring-ref=8", "event-channel=1"), &f);
	assert_int_equal(f.queues[0].refs[0], 8);
}

static void test_queues(void **state)
{
	struct rings f;

	good(NODES("protocol=x86_64-abi", "multi-queue-num-queues=2",
		   "queue-0/ring-ref=8", "queue-0/event-channel=3",
		   "queue-1/ring-ref=9", "queue-1/event-channel=4"), &f);
	assert_int_equal(f.nr_queues, 2);
	assert_int_equal(f.queues[1].refs[0], 9);
	assert_int_equal(f.queues[1].port, 4);

	good(NODES("ring-page-order=1", "multi-queue-num-queues=2",
		   "queue-0/ring-ref0=1", "queue-0/ring-ref1=2",
		   "queue-0/event-channel=3", "queue-1/ring-ref0=4",
		   "queue-1/ring-ref1=5", "queue-1/event-channel=6"), &f);
	assert_int_equal(f.queues[1].refs[1], 5);
}

static void test_hostile(void **state)
{
	static const char *const numbers[] = {
		"", " 8", "8 ", "-1", "+8", "0x8", "8\n", "4294967296",
		"18446744073709551616", "99999999999999999999999999999999",
		"eight", "EACCES",
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char node[80];

		snprintf(node, sizeof(node), "ring-ref=%s", numbers[i]);
		bad(NODES(node, "event-channel=1"), "ring-ref");
		snprintf(node, sizeof(node), "event-channel=%s", numbers[i]);
		bad(NODES("ring-ref=8", node), "event-channel");
		snprintf(node, sizeof(node), "ring-page-order=%s", numbers[i]);
		if (strcmp(numbers[i], "0"))
			bad(NODES("ring-ref=8", "event-channel=1", node),
			    "ring-page-order");
		snprintf(node, sizeof(node), "multi-queue-num-queues=%s",
			 numbers[i]);
		bad(NODES("ring-ref=8", "event-channel=1", node),
		    "multi-queue-num-queues");
	}
}

static void test_ranges(void **state)
{
	bad(NODES("ring-page-order=5", "ring-ref0=8", "event-channel=1"),
	    "ring-page-order");
	bad(NODES("ring-page-order=18446744073709551615", "ring-ref=1",
		  "event-channel=1"), "ring-page-order");
	bad(NODES("multi-queue-num-queues=0", "ring-ref=8",
		  "event-channel=1"), "multi-queue-num-queues");
	bad(NODES("multi-queue-num-queues=5", "ring-ref=8",
		  "event-channel=1"), "multi-queue-num-queues");
}

static void test_missing(void **state)
{
	bad(NODES("event-channel=1"), "ring-ref");
	bad(NODES("ring-ref=8"), "event-channel");
	bad(NODES("ring-page-order=1", "ring-ref0=8", "event-channel=1"),
	    "ring-ref1");
	bad(NODES("ring-page-order=1", "ring-ref=8", "event-channel=1"),
	    "ring-ref0");
	bad(NODES("multi-queue-num-queues=2", "ring-ref=8",
		  "event-channel=1"), "queue-0/ring-ref");
	bad(NODES("multi-queue-num-queues=2", "queue-0/ring-ref=8",
		  "queue-0/event-channel=1", "queue-1/ring-ref=8"),
	    "queue-1/event-channel");
}

static void test_protocol(void **state)
{
	bad(NODES("protocol=arm-abi", "ring-ref=8", "event-channel=1"),
	    "protocol");
	bad(NODES("protocol=", "ring-ref=8", "event-channel=1"), "protocol");
	bad(NODES("protocol=x86_64-abi-and-quite-a-lot-more-than-that",
		  "ring-ref=8", "event-channel=1"), "protocol");
	bad(NODES("protocol=EACCES", "ring-ref=8", "event-channel=1"),
	    "protocol");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_page),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
