/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who waits for memory, and who goes on when. */
#include "tests/unit/unit.h"

#include <string.h>

#include "common/bits.h"
#include "io/coroutine.h"
#include "io/memory.h"

#define MAX (64 * MiB)

static struct memory memory;
static char trace[64];

static int setup(void **state)
{
	memory_init(&memory);
	memory_set_max(&memory, MAX);
	memset(trace, 0, sizeof(trace));
	return 0;
}

static int teardown(void **state)
{
	memory_trim(&memory);
	return 0;
}

static void note(char c)
{
	trace[strlen(trace)] = c;
}

struct taker {
	char name;
	enum memory_use use;
	uint64_t bytes;
};

static void takes(void *arg)
{
	struct taker t = *(struct taker *)arg;

	memory_take(&memory, t.use, t.bytes);
	note(t.name);
}

static void start(char name, enum memory_use use, uint64_t bytes)
{
	struct taker t = { name, use, bytes };

	assert_int_equal(co_start(takes, &t), 0);
}

static void test_limits(void **state)
{
	assert_int_equal(memory_limit(&memory, MEMORY_BOUNCE), MAX);
	for (int use = 1; use < MEMORY_USES; use++)
		assert_true(memory_limit(&memory, use) >
			    memory_limit(&memory, use - 1));
	memory_set_max(&memory, MiB);
	assert_int_equal(memory_limit(&memory, MEMORY_TABLES), 0);
	memory_init(&memory);
	assert_true(memory_limit(&memory, MEMORY_TABLES) > UINT64_MAX / 2);
	assert_true(memory_try(&memory, MEMORY_TABLES, UINT64_MAX / 2));
}

/* First come, first served, and what is small does not overtake. */
static void test_order(void **state)
{
	uint64_t limit = memory_limit(&memory, MEMORY_COW);

	start('a', MEMORY_COW, limit);
	start('b', MEMORY_COW, limit / 2);
	start('c', MEMORY_COW, limit / 2 + 1);
	start('d', MEMORY_COW, 1);
	assert_string_equal(trace, "a");
	assert_false(memory_try(&memory, MEMORY_COW, 1));
	memory_give(&memory, MEMORY_COW, limit);
	assert_string_equal(trace, "ab");
	memory_give(&memory, MEMORY_COW, limit / 2);
	assert_string_equal(trace, "abcd");
	memory_give(&memory, MEMORY_COW, limit / 2 + 1);
	memory_give(&memory, MEMORY_COW, 1);
	assert_int_equal(memory.used, 0);
}

/* What stands further down goes first, and has room where above it is none. */
static void test_uses(void **state)
{
	uint64_t cow = memory_limit(&memory, MEMORY_COW);
	uint64_t rest = memory_limit(&memory, MEMORY_UNPACK) - cow;

	start('a', MEMORY_COW, cow);
	start('b', MEMORY_COW, 1);
	start('c', MEMORY_UNPACK, rest);
	start('d', MEMORY_UNPACK, rest);
	assert_string_equal(trace, "ac");
	memory_give(&memory, MEMORY_COW, cow);
	assert_string_equal(trace, "acdb");
}

/* More than the whole account: when nobody else can give anything back. */
static void test_oversize(void **state)
{
	start('a', MEMORY_COW, 2 * MAX);
	assert_string_equal(trace, "a");
	start('b', MEMORY_COW, 3 * MAX);
	start('c', MEMORY_UNPACK, 1);	/* maybe for who holds a's */
	start('d', MEMORY_UNPACK, 1);
	assert_string_equal(trace, "ac");
	memory_give(&memory, MEMORY_UNPACK, 1);
	assert_string_equal(trace, "acd");
	memory_give(&memory, MEMORY_COW, 2 * MAX);
	assert_string_equal(trace, "acd");
	memory_give(&memory, MEMORY_UNPACK, 1);
	assert_string_equal(trace, "acdb");
}

/* Tables are refused instead; what they hold keeps nobody waiting for ever. */
static void test_tables(void **state)
{
	uint64_t limit = memory_limit(&memory, MEMORY_TABLES);

	assert_false(memory_try(&memory, MEMORY_TABLES, limit + 1));
	assert_true(memory_try(&memory, MEMORY_TABLES, limit));
	assert_false(memory_try(&memory, MEMORY_TABLES, 1));
	start('a', MEMORY_COW, 4 * MiB);
	assert_true(memory.used <= MAX);
	start('b', MEMORY_COW, 4 * MiB);
	assert_string_equal(trace, "a");
	memory_give(&memory, MEMORY_COW, 4 * MiB);
	assert_string_equal(trace, "ab");
}

/* ---- many at once, each with all uses within each other ---- */

#define STEPS 8

static struct co_queue ticks;
static unsigned int done, running;
static uint64_t most;
static unsigned int seed;

static unsigned int below(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static void nests(enum memory_use use)
{
	uint64_t bytes = (1 + below(use == MEMORY_COW ? 8 : 2)) * MiB / 2;

	memory_take(&memory, use, bytes);
	most = max(most, memory.used);
	co_queue_wait(&ticks);
	if (use + 1 < MEMORY_USES && below(4))
		nests((enum memory_use)(use + 1));
	memory_give(&memory, use, bytes);
}

static void requests(void *arg)
{
	running++;
	for (unsigned int i = 0; i < STEPS; i++) {
		nests((enum memory_use)(MEMORY_COW + below(4)));
		done++;
	}
	running--;
}

static void many(uint64_t bytes, uint64_t passed)
{
	const unsigned int nr = 500;

	memory_set_max(&memory, bytes);
	co_queue_init(&ticks);
	done = 0;
	most = 0;
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(co_start(requests, NULL), 0);
	while (running && co_queue_wake_one(&ticks))
		;
	assert_int_equal(running, 0);
	assert_int_equal(done, nr * STEPS);
	assert_int_equal(memory.used, 0);
	assert_true(most <= bytes + passed);
}

static void test_many(void **state)
{
	many(MAX, 0);
	many(16 * MiB, 0);
	many(1, 7 * MiB);		/* one for each use */
}

/* ---- buffers ---- */

static void gets_buffer(void *arg)
{
	cleanup_buffer struct memory_buffer b = { 0 };

	assert_int_equal(memory_buffer_get(&b, &memory, MEMORY_BOUNCE, 8192,
					   4096), 0);
	assert_true(is_aligned((uintptr_t)b.data, 4096));
	memset(b.data, 1, 8192);
	assert_int_equal(memory.used, 8192);
	memory_buffer_put(&b);
	assert_int_equal(memory.used, 0);
}

/* Large ones are kept for those of their size, and make room for others. */
static void gets_large(void *arg)
{
	cleanup_buffer struct memory_buffer a = { 0 }, b = { 0 };
	void *first;

	memory_set_max(&memory, 16 * MiB);
	memory_buffer_get(&a, &memory, MEMORY_BOUNCE, 6 * MiB, 4096);
	memset(a.data, 1, 6 * MiB);
	first = a.data;
	memory_buffer_put(&a);
	assert_int_equal(memory.spare_bytes, 6 * MiB);
	memory_buffer_get(&a, &memory, MEMORY_BOUNCE, 6 * MiB - 1, 4096);
	assert_ptr_equal(a.data, first);
	assert_int_equal(memory.spare_bytes, 0);
	assert_int_equal(memory.used, 6 * MiB);
	memory_buffer_put(&a);
	memory_buffer_get(&b, &memory, MEMORY_BOUNCE, 9 * MiB, 4096);
	assert_int_equal(memory.spare_bytes, 6 * MiB);
	memory_take(&memory, MEMORY_BOUNCE, 2 * MiB);
	assert_int_equal(memory.spare_bytes, 0);
	memory_give(&memory, MEMORY_BOUNCE, 2 * MiB);
	memory_buffer_put(&b);
	memory_buffer_get(&a, &memory, MEMORY_BOUNCE, MiB, 65536);
	assert_true(is_aligned((uintptr_t)a.data, 65536));
	memory_buffer_put(&a);
	assert_int_equal(memory.spare_bytes, 9 * MiB);
}

static void test_buffers(void **state)
{
	co_start(gets_buffer, NULL);
	assert_int_equal(memory.used, 0);
	co_start(gets_large, NULL);
	assert_int_equal(memory.used, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_limits),
		TEST(test_order),
		TEST(test_uses),
		TEST(test_oversize),
		TEST(test_tables),
		TEST(test_many),
		TEST(test_buffers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
