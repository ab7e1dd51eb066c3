/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "io/coroutine.h"
#include "io/loop.h"

#define MS ((uint64_t)1000 * 1000)

static struct loop *loop;
static char trace[64];

static void note(char c)
{
	size_t n = strlen(trace);

	assert_true(n < sizeof(trace) - 1);
	trace[n] = c;
}

static int setup(void **state)
{
	loop = loop_new();
	memset(trace, 0, sizeof(trace));
	return !loop;
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

/* ---- deferred calls ---- */

struct letter {
	struct loop_call call;
	struct loop_timer timer;
	struct loop_hook hook;
	char c;
	struct letter *removes, *defers;
};

static void letter_call(struct loop_call *call)
{
	struct letter *l = container_of(call, struct letter, call);

	note(l->c);
	if (l->removes)
		list_del(&l->removes->call.link);
	if (l->defers)
		loop_defer(loop, &l->defers->call);
}

static void letter_timer(struct loop_timer *timer)
{
	note(container_of(timer, struct letter, timer)->c);
}

static void letter_hook(struct loop_hook *hook)
{
	struct letter *l = container_of(hook, struct letter, hook);

	note(l->c);
	if (l->removes)
		loop_del_hook(&l->removes->hook);
}

static bool letter_after(struct loop_hook *hook)
{
	note('-');
	return true;
}

static void letter_init(struct letter *l, char c)
{
	memset(l, 0, sizeof(*l));
	l->c = c;
	list_init(&l->call.link);
	l->call.run = letter_call;
	list_init(&l->timer.link);
	l->timer.expire = letter_timer;
	list_init(&l->hook.link);
	l->hook.before_wait = letter_hook;
}

static void test_defer(void **state)
{
	struct letter a, b, c;

	letter_init(&a, 'a');
	letter_init(&b, 'b');
	letter_init(&c, 'c');
	a.removes = &b;
	c.defers = &a;
	loop_defer(loop, &a.call);
	loop_defer(loop, &b.call);
	loop_defer(loop, &c.call);
	loop_defer(loop, &a.call);
	assert_true(loop_turn(loop, -1));
	assert_string_equal(trace, "ac");
	assert_true(loop_turn(loop, -1));
	assert_string_equal(trace, "aca");
	assert_false(loop_turn(loop, 0));
}

static void test_hooks(void **state)
{
	struct letter a, b, c;

	letter_init(&a, 'a');
	letter_init(&b, 'b');
	letter_init(&c, 'c');
	loop_add_hook(loop, &a.hook);
	loop_add_hook(loop, &b.hook);
	loop_add_hook(loop, &c.hook);
	assert_false(loop_turn(loop, 0));
	assert_string_equal(trace, "abc");
	a.removes = &b;
	c.removes = &c;
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	assert_string_equal(trace, "abcaca");
	loop_add_hook(loop, &b.hook);
	a.hook.after_wait = b.hook.after_wait = letter_after;
	a.removes = NULL;
	assert_true(loop_turn(loop, 0));
	assert_string_equal(trace, "abcacaab--");
	loop_del_hook(&b.hook);
	loop_del_hook(&a.hook);
	loop_del_hook(&a.hook);
}

/* ---- timers ---- */

static void test_timers(void **state)
{
	struct letter a, b, c, d;
	uint64_t start = monotonic_ns();

	letter_init(&a, 'a');
	letter_init(&b, 'b');
	letter_init(&c, 'c');
	letter_init(&d, 'd');
	loop_set_timer(loop, &c.timer, start + 200 * MS);
	loop_set_timer(loop, &a.timer, start + 10 * MS);
	loop_set_timer(loop, &b.timer, start + 10 * MS);
	loop_set_timer(loop, &d.timer, start);
	loop_set_timer(loop, &d.timer, start + 60000 * MS);	/* anew */
	while (!trace[0])
		loop_turn(loop, -1);
	assert_true(monotonic_ns() >= start + 10 * MS);
	assert_string_equal(trace, "ab");
	while (!trace[2])
		loop_turn(loop, -1);
	assert_true(monotonic_ns() >= start + 200 * MS);
	assert_string_equal(trace, "abc");
	loop_cancel_timer(&d.timer);
	loop_cancel_timer(&d.timer);
	assert_false(loop_turn(loop, 20));
	assert_string_equal(trace, "abc");
}

/* ---- file descriptors ---- */

struct source {
	struct loop_fd watch;
	struct source *kills;
};

/* The first one to run frees both. */
static void source_handle(struct loop_fd *watch, uint32_t events)
{
	struct source *s = container_of(watch, struct source, watch);

	assert_true(events & EPOLLIN);
	note('x');
	loop_del_fd(loop, &s->kills->watch);
	free(s->kills);
	loop_del_fd(loop, watch);
	loop_del_fd(loop, watch);
	free(s);
}

static void test_fd_removed_by_another(void **state)
{
	int fd[2] = { eventfd(1, 0), eventfd(1, 0) };
	struct source *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	a->kills = b;
	b->kills = a;
	assert_int_equal(loop_add_fd(loop, &a->watch, fd[0], EPOLLIN,
				     source_handle), 0);
	assert_int_equal(loop_add_fd(loop, &b->watch, fd[1], EPOLLIN,
				     source_handle), 0);
	assert_true(loop_turn(loop, -1));
	assert_string_equal(trace, "x");
	assert_false(loop_turn(loop, 0));
	close(fd[0]);
	close(fd[1]);
}

static void test_fd_bad(void **state)
{
	struct loop_fd watch = LOOP_FD_INIT;

	assert_int_equal(loop_add_fd(loop, &watch, 9999, EPOLLIN, NULL),
			 -EBADF);
	assert_int_equal(watch.fd, -1);
	loop_del_fd(loop, &watch);
}

/* ---- other threads ---- */

#define NR_JOBS 200

static pthread_t jobs_thread[NR_JOBS];
static unsigned int nr_ended;

static int64_t square(void *arg)
{
	intptr_t n = (intptr_t)arg;

	jobs_thread[n] = pthread_self();
	usleep(100);
	return n * n;
}

static void offloads(void *arg)
{
	intptr_t n = (intptr_t)arg;

	nr_ended += loop_offload(loop, square, arg) == n * n;
}

static void test_offload(void **state)
{
	nr_ended = 0;
	for (intptr_t i = 0; i < NR_JOBS; i++)
		assert_int_equal(co_start(offloads, (void *)i), 0);
	assert_int_equal(nr_ended, 0);
	while (nr_ended < NR_JOBS)
		loop_turn(loop, -1);
	for (int i = 0; i < NR_JOBS; i++)
		assert_false(pthread_equal(jobs_thread[i], pthread_self()));
}

/* ---- long work ---- */

struct worker {
	char c;
	unsigned int pieces;
};

static void work_long(void *arg)
{
	struct worker *w = arg;

	for (; w->pieces; w->pieces--) {
		uint64_t end = monotonic_ns() + LOOP_LONG_WORK_NS;

		note(w->c);
		while (monotonic_ns() < end)
			;
		loop_give_way(loop);
	}
}

/* Pieces that take all of a turn: each turn has one, and other calls. The time
 * of the first begins with the first question. */
static void test_give_way(void **state)
{
	struct worker a = { 'a', 3 }, b = { 'b', 3 };
	struct letter d;

	letter_init(&d, '-');
	assert_int_equal(co_start(work_long, &a), 0);
	assert_int_equal(co_start(work_long, &b), 0);
	while (a.pieces || b.pieces) {
		loop_defer(loop, &d.call);
		loop_turn(loop, -1);
	}
	assert_memory_equal(trace, "aab-", 4);
	for (const char *p = trace + 4; *p; p++)
		assert_true(p[-1] == '-' || *p == '-');
}

static void work_in_turns(void *arg)
{
	struct worker *w = arg;

	for (; w->pieces; w->pieces--) {
		note(w->c);
		loop_next_turn(loop);
	}
}

static void test_next_turn(void **state)
{
	struct worker a = { 'a', 3 }, b = { 'b', 2 };

	assert_int_equal(co_start(work_in_turns, &a), 0);
	assert_int_equal(co_start(work_in_turns, &b), 0);
	while (loop_turn(loop, 0))
		note('-');
	assert_string_equal(trace, "abab-a--");
}

/* ---- giving up ---- */

struct waiter {
	struct loop_watcher watcher;
	struct waiter *removes;
	char c;
};

static void waiter_told(struct loop_watcher *watcher)
{
	struct waiter *w = container_of(watcher, struct waiter, watcher);

	assert_true(loop_cancelled(loop));
	note(w->c);
	if (w->removes)
		loop_del_watcher(&w->removes->watcher);
}

static void test_watchers(void **state)
{
	struct waiter c = { .c = 'c' }, b = { .c = 'b' };
	struct waiter a = { .c = 'a', .removes = &b };
	struct waiter *all[] = { &a, &b, &c };

	assert_false(loop_cancelled(loop));
	for (int i = 0; i < 3; i++) {
		list_init(&all[i]->watcher.link);
		all[i]->watcher.cancelled = waiter_told;
		loop_add_watcher(loop, &all[i]->watcher);
	}
	loop_set_cancelled(loop, true);
	loop_set_cancelled(loop, true);
	assert_string_equal(trace, "ac");
	loop_set_cancelled(loop, false);
	assert_false(loop_cancelled(loop));
	loop_set_cancelled(loop, true);
	assert_string_equal(trace, "acac");
	for (int i = 0; i < 3; i++)
		loop_del_watcher(&all[i]->watcher);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_defer),
		TEST(test_hooks),
		TEST(test_timers),
		TEST(test_fd_removed_by_another),
		TEST(test_fd_bad),
		TEST(test_offload),
		TEST(test_give_way),
		TEST(test_next_turn),
		TEST(test_watchers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
