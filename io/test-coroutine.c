/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/clock.h"
#include "io/coroutine.h"
#include "io/loop.h"

static char trace[256];

static void note(char c)
{
	size_t n = strlen(trace);

	assert_true(n < sizeof(trace) - 1);
	trace[n] = c;
}

static int setup(void **state)
{
	memset(trace, 0, sizeof(trace));
	return 0;
}

/* ---- start, yield, wake ---- */

static struct coroutine *waiting[100];
static unsigned int nr_ended;

static void waits_twice(void *arg)
{
	struct coroutine **me = arg;

	*me = co_self();
	note('a');
	co_yield();
	note('b');
	co_yield();
	note('c');
}

static void test_yield(void **state)
{
	assert_null(co_self());
	assert_int_equal(co_start(waits_twice, &waiting[0]), 0);
	assert_null(co_self());
	assert_non_null(waiting[0]);
	note('1');
	co_wake(waiting[0]);
	note('2');
	co_wake(waiting[0]);
	assert_string_equal(trace, "a1b2c");
}

/* A stack used before does not remember who used it. */
static void waits_once(void *arg)
{
	intptr_t n = (intptr_t)arg;
	char fill[4096];

	memset(fill, (int)n, sizeof(fill));
	waiting[n] = co_self();
	co_yield();
	for (size_t i = 0; i < sizeof(fill); i++)
		assert(fill[i] == (char)n);
	nr_ended++;
}

static void test_many(void **state)
{
	nr_ended = 0;
	for (int round = 0; round < 3; round++) {
		for (intptr_t i = 0; i < 100; i++)
			assert_int_equal(co_start(waits_once, (void *)i), 0);
		for (int i = 0; i < 100; i++)
			co_wake(waiting[(i * 37) % 100]);
		co_trim();
	}
	assert_int_equal(nr_ended, 300);
}

static void nested_inner(void *arg)
{
	note('(');
	co_yield();
	note(')');
}

static struct coroutine *outer;

static void nested_wakes_outer(void *arg)
{
	waiting[1] = co_self();
	nested_inner(NULL);
	co_wake(outer);		/* it waits meanwhile */
	note('>');
}

static void nested_outer(void *arg)
{
	outer = co_self();
	note('<');
	co_start(nested_wakes_outer, NULL);
	note('|');
	co_yield();
	note('.');
}

static void test_nested(void **state)
{
	co_start(nested_outer, NULL);
	co_wake(waiting[1]);
	assert_string_equal(trace, "<(|).>");
}

/* Callee-saved registers and floating point survive a switch. */
static void computes(void *arg)
{
	volatile double *out = arg;
	double sum = 0;

	waiting[0] = co_self();
	for (int i = 1; i <= 10; i++) {
		sum += 1.0 / i;
		co_yield();
	}
	*out = sum;
}

static void test_registers(void **state)
{
	double out = 0, other = 1;

	co_start(computes, &out);
	for (int i = 0; i < 10; i++) {
		other *= 1.5;
		co_wake(waiting[0]);
	}
	assert_true(out > 2.92896 && out < 2.92897);
	assert_true(other > 57.66 && other < 57.67);
}

/* ---- queues ---- */

static struct co_queue queue;

static void queues_twice(void *arg)
{
	co_queue_wait(&queue);
	note(*(char *)arg);
	co_queue_wait(&queue);
	note((char)(*(char *)arg - 'a' + 'A'));
}

static void test_queue(void **state)
{
	char letters[] = "abc";

	co_queue_init(&queue);
	assert_false(co_queue_wake_one(&queue));
	for (char *c = letters; *c; c++)
		co_start(queues_twice, c);
	assert_true(co_queue_wake_one(&queue));
	assert_string_equal(trace, "a");
	co_queue_wake_all(&queue);	/* b, c, and a's second wait */
	assert_string_equal(trace, "abcA");
	co_queue_wake_all(&queue);
	assert_string_equal(trace, "abcABC");
	assert_false(co_queue_wake_one(&queue));
}

/* ---- mutex: handed on in order through a long chain ---- */

static struct co_mutex mutex;
static unsigned int counter;

static void locks(void *arg)
{
	unsigned int before;

	co_mutex_lock(&mutex);
	before = counter;
	assert(before == (uintptr_t)arg);
	counter = before + 1;
	co_mutex_unlock(&mutex);
}

static void locks_and_waits(void *arg)
{
	co_mutex_lock(&mutex);
	waiting[0] = co_self();
	co_yield();
	co_mutex_unlock(&mutex);
}

static void test_mutex(void **state)
{
	counter = 0;
	co_mutex_init(&mutex);
	co_start(locks_and_waits, NULL);
	for (uintptr_t i = 0; i < 3000; i++)
		assert_int_equal(co_start(locks, (void *)i), 0);
	assert_int_equal(counter, 0);
	co_wake(waiting[0]);
	assert_int_equal(counter, 3000);
	assert_null(mutex.owner);
	co_start(locks, (void *)3000);
	assert_int_equal(counter, 3001);
	co_trim();
}

/* ---- with a loop ---- */

static int sleeps(void *arg)
{
	struct loop *loop = arg;
	uint64_t start = monotonic_ns();

	co_sleep(loop, 20 * 1000 * 1000);
	return monotonic_ns() - start >= 20 * 1000 * 1000 ? -EDOM : 0;
}

static void test_run(void **state)
{
	struct loop *loop = loop_new();

	assert_int_equal(co_run(loop, sleeps, loop), -EDOM);
	loop_free(loop);
}

/* ---- threads have coroutines of their own, and clean up ---- */

static void empty(void *arg)
{
	++*(unsigned int *)arg;
}

static void *thread_starts(void *arg)
{
	static __thread unsigned int n;

	for (int i = 0; i < 50; i++)
		co_start(empty, &n);
	assert(!co_self());
	return (void *)(uintptr_t)n;
}

static void test_threads(void **state)
{
	pthread_t t[4];
	void *n;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread_starts,
						NULL), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &n), 0);
		assert_int_equal((uintptr_t)n, 50);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_yield, setup),
		cmocka_unit_test_setup(test_many, setup),
		cmocka_unit_test_setup(test_nested, setup),
		cmocka_unit_test_setup(test_registers, setup),
		cmocka_unit_test_setup(test_queue, setup),
		cmocka_unit_test_setup(test_mutex, setup),
		cmocka_unit_test_setup(test_run, setup),
		cmocka_unit_test_setup(test_threads, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
