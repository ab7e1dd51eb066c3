/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.c: see loop.h.
 *
 * Whatever a turn is about to run stands in a list that the called functions
 * may change: what has been removed meanwhile is not called, what has been
 * added waits for the next turn. Timers have epoll's resolution, a millisecond,
 * and are never early.
 */
#include "config.h"
#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "io/coroutine.h"
#include "io/memory.h"
#include "io/offload.h"

#define EVENTS_MAX 64		/* per turn */

struct loop {
	int epoll_fd;
	struct list calls;		/* struct loop_call, in order */
	struct list timers;		/* struct loop_timer, soonest first */
	struct list hooks;		/* struct loop_hook, in order */
	struct list watchers;		/* struct loop_watcher */
	struct co_queue long_work;	/* waits for time in a turn */
	uint64_t long_work_end_ns;	/* of it in this turn, 0: not begun */
	bool cancelled;
	/* threads, NULL: not needed yet */
	struct offload *blocking, *computing;
	unsigned int processors;
	struct memory memory;
	bool turning;

	/* of this turn; a removed watch leaves a NULL */
	struct epoll_event events[EVENTS_MAX];
	int nr_events;
};

static unsigned int count_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (unsigned int)max(CPU_COUNT(&set), 1);
}

struct loop *loop_new(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	list_init(&loop->calls);
	list_init(&loop->timers);
	list_init(&loop->hooks);
	memory_init(&loop->memory);
	list_init(&loop->watchers);
	co_queue_init(&loop->long_work);
	loop->processors = count_processors();
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->turning);
	offload_free(loop->blocking);
	offload_free(loop->computing);
	memory_trim(&loop->memory);
	assert(list_empty(&loop->timers) && list_empty(&loop->hooks));
	assert(list_empty(&loop->long_work.waiters));
	close(loop->epoll_fd);
	free(loop);
}

struct memory *loop_memory(struct loop *loop)
{
	return &loop->memory;
}

/* ---- file descriptors ---- */

int loop_add_fd(struct loop *loop, struct loop_fd *watch, int fd,
		uint32_t events, void (*handle)(struct loop_fd *, uint32_t))
{
	struct epoll_event ev = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
		return -errno;
	watch->fd = fd;
	watch->handle = handle;
	return 0;
}

void loop_del_fd(struct loop *loop, struct loop_fd *watch)
{
	if (watch->fd < 0)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->fd = -1;
	for (int i = 0; i < loop->nr_events; i++) {
		if (loop->events[i].data.ptr == watch)
			loop->events[i].data.ptr = NULL;
	}
}

static bool run_events(struct loop *loop)
{
	struct loop_fd *watch;

	for (int i = 0; i < loop->nr_events; i++) {
		watch = loop->events[i].data.ptr;
		if (watch)
			watch->handle(watch, loop->events[i].events);
	}
	return loop->nr_events > 0;
}

/* ---- calls put off ---- */

void loop_defer(struct loop *loop, struct loop_call *call)
{
	if (list_empty(&call->link))
		list_add_tail(&loop->calls, &call->link);
}

static bool run_calls(struct loop *loop)
{
	struct loop_call *call;
	struct list now;

	if (list_empty(&loop->calls))
		return false;
	list_init(&now);
	list_splice_tail(&now, &loop->calls);
	while (!list_empty(&now)) {
		call = list_first(&now, struct loop_call, link);
		list_del(&call->link);
		call->run(call);
	}
	return true;
}

/* ---- timers ---- */

void loop_set_timer(struct loop *loop, struct loop_timer *timer,
		    uint64_t expires_ns)
{
	struct list *pos;

	list_del(&timer->link);
	timer->expires_ns = expires_ns;
	for (pos = loop->timers.prev; pos != &loop->timers; pos = pos->prev) {
		if (list_entry(pos, struct loop_timer, link)->expires_ns <=
		    expires_ns)
			break;
	}
	list_add_after(pos, &timer->link);
}

void loop_cancel_timer(struct loop_timer *timer)
{
	list_del(&timer->link);
}

static bool run_timers(struct loop *loop)
{
	struct loop_timer *timer, *next;
	struct list expired;
	uint64_t now;

	if (list_empty(&loop->timers))
		return false;
	list_init(&expired);
	now = monotonic_ns();
	list_for_each_safe(timer, next, &loop->timers, link) {
		if (timer->expires_ns > now)
			break;
		list_del(&timer->link);
		list_add_tail(&expired, &timer->link);
	}
	if (list_empty(&expired))
		return false;
	while (!list_empty(&expired)) {
		timer = list_first(&expired, struct loop_timer, link);
		list_del(&timer->link);
		timer->expire(timer);
	}
	return true;
}

/* Is there something to do in the next turn, whatever happens? */
static bool work_waits(const struct loop *loop)
{
	return !list_empty(&loop->calls) ||
	       !list_empty(&loop->long_work.waiters);
}

/* How long may this turn sleep, given that the caller allows `wanted` ms? */
static int wait_ms(struct loop *loop, int wanted)
{
	uint64_t now, first, ms;

	if (work_waits(loop))
		return 0;
	if (!wanted || list_empty(&loop->timers))
		return wanted;
	now = monotonic_ns();
	first = list_first(&loop->timers, struct loop_timer, link)->expires_ns;
	if (first <= now)
		return 0;
	ms = div_round_up(first - now, NS_PER_MS);
	return (int)min(ms, wanted < 0 ? (uint64_t)INT32_MAX
				       : (uint64_t)wanted);
}

/* ---- other threads ---- */

static int64_t run_in(struct loop *loop, struct offload **pool,
		      unsigned int max_threads, int64_t (*work)(void *arg),
		      void *arg)
{
	if (!*pool)
		*pool = offload_new(loop, max_threads);
	return *pool ? offload_run(*pool, work, arg) : work(arg);
}

int64_t loop_offload(struct loop *loop, int64_t (*work)(void *arg), void *arg)
{
	return run_in(loop, &loop->blocking, LOOP_THREADS_MAX, work, arg);
}

int64_t loop_compute(struct loop *loop, int64_t (*work)(void *arg), void *arg)
{
	return run_in(loop, &loop->computing, loop->processors, work, arg);
}

/* ---- long work ---- */

static bool has_time(struct loop *loop)
{
	uint64_t now = monotonic_ns();

	if (!loop->long_work_end_ns)
		loop->long_work_end_ns = now + LOOP_LONG_WORK_NS;
	return now < loop->long_work_end_ns;
}

void loop_give_way(struct loop *loop)
{
	if (!has_time(loop))
		co_queue_wait(&loop->long_work);
}

/* Who has been woken uses the time up, or ends. */
static bool run_long_work(struct loop *loop)
{
	bool ran = false;

	while (!list_empty(&loop->long_work.waiters) && has_time(loop))
		ran |= co_queue_wake_one(&loop->long_work);
	return ran;
}

struct next_turn {
	struct loop_call call;
	struct coroutine *co;
};

static void turn_has_come(struct loop_call *call)
{
	co_wake(container_of(call, struct next_turn, call)->co);
}

void loop_next_turn(struct loop *loop)
{
	struct next_turn n = { .call.run = turn_has_come, .co = co_self() };

	list_init(&n.call.link);
	loop_defer(loop, &n.call);
	co_yield();
}

void loop_set_cancelled(struct loop *loop, bool cancelled)
{
	bool before = loop->cancelled;
	struct loop_watcher *w;
	struct list now;

	__atomic_store_n(&loop->cancelled, cancelled, __ATOMIC_RELAXED);
	if (before || !cancelled)
		return;
	list_init(&now);
	list_splice_tail(&now, &loop->watchers);
	while (!list_empty(&now)) {
		w = list_first(&now, struct loop_watcher, link);
		list_del(&w->link);
		list_add_tail(&loop->watchers, &w->link);
		w->cancelled(w);
	}
}

/* Pairs with nothing: who reads it in another thread asks again soon. */
bool loop_cancelled(const struct loop *loop)
{
	return __atomic_load_n(&loop->cancelled, __ATOMIC_RELAXED);
}

void loop_add_watcher(struct loop *loop, struct loop_watcher *watcher)
{
	list_add_tail(&loop->watchers, &watcher->link);
}

void loop_del_watcher(struct loop_watcher *watcher)
{
	list_del(&watcher->link);
}

/* ---- turns ---- */

void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
	list_add_tail(&loop->hooks, &hook->link);
}

void loop_del_hook(struct loop_hook *hook)
{
	list_del(&hook->link);
}

enum when { BEFORE_WAIT, AFTER_WAIT };

static bool run_hook(struct loop_hook *hook, enum when when)
{
	if (when == AFTER_WAIT)
		return hook->after_wait && hook->after_wait(hook);
	if (hook->before_wait)
		hook->before_wait(hook);
	return false;
}

static bool run_hooks(struct loop *loop, enum when when)
{
	struct loop_hook *hook;
	struct list now;
	bool ran = false;

	list_init(&now);
	list_splice_tail(&now, &loop->hooks);
	while (!list_empty(&now)) {
		hook = list_first(&now, struct loop_hook, link);
		list_del(&hook->link);
		list_add_tail(&loop->hooks, &hook->link);
		ran |= run_hook(hook, when);
	}
	return ran;
}

bool loop_turn(struct loop *loop, int timeout_ms)
{
	bool ran;
	int n;

	assert(!loop->turning);
	loop->turning = true;
	loop->long_work_end_ns = 0;
	ran = run_calls(loop);
	run_hooks(loop, BEFORE_WAIT);
	n = epoll_wait(loop->epoll_fd, loop->events, EVENTS_MAX,
		       wait_ms(loop, ran ? 0 : timeout_ms));
	loop->nr_events = max(n, 0);		/* EINTR: nothing happened */
	ran |= run_hooks(loop, AFTER_WAIT);
	ran |= run_events(loop);
	loop->nr_events = 0;
	ran |= run_timers(loop);
	ran |= run_long_work(loop);
	loop->turning = false;
	return ran || work_waits(loop);
}
