/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parts side by side, up to a limit of the group and one of the thread. */
#include "tests/unit/unit.h"

#include <errno.h>

#include "common/bits.h"
#include "io/co-group.h"

#define GROUPS 40u
#define PARTS 20u

static struct co_queue ticks;
static unsigned int running, most, done, ended;
static int result;

static int part(void *arg)
{
	unsigned int n = *(unsigned int *)arg;

	most = max(most, ++running);
	co_queue_wait(&ticks);
	running--;
	done++;
	return n == 7 ? result : 0;
}

static void group(void *arg)
{
	unsigned int limit = (unsigned int)(uintptr_t)arg;
	struct co_group g;

	co_group_init(&g, limit);
	for (unsigned int n = 0; n < PARTS; n++)
		if (!co_group_start(&g, part, &n))
			break;
	assert_int_equal(co_group_wait(&g), result);
	ended++;
}

static void run(unsigned int groups, unsigned int limit, int ret)
{
	running = most = done = ended = 0;
	result = ret;
	co_queue_init(&ticks);
	for (unsigned int i = 0; i < groups; i++)
		assert_int_equal(co_start(group, (void *)(uintptr_t)limit), 0);
	while (co_queue_wake_one(&ticks))
		;
	assert_int_equal(ended, groups);
	assert_int_equal(running, 0);
}

static void test_limit(void **state)
{
	run(1, 4, 0);
	assert_int_equal(most, 4);
	assert_int_equal(done, PARTS);
}

static void test_error(void **state)
{
	run(1, 4, -EDOM);
	assert_in_range(done, 8, 12);
}

/* Each group runs one part more at most, by itself. */
static void test_many(void **state)
{
	run(GROUPS, PARTS, 0);
	assert_int_equal(done, GROUPS * PARTS);
	assert_in_range(most, CO_GROUP_PARTS, CO_GROUP_PARTS + GROUPS);
	run(GROUPS, PARTS, -EDOM);
	run(1, 4, 0);
	assert_int_equal(most, 4);
	co_trim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
