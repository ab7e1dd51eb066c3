/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * coroutine.h: functions that can wait without a thread.
 *
 * A coroutine runs on its own small stack until it waits or ends; then the one
 * that entered it goes on. All coroutines of a thread share that thread: between
 * two waiting points nothing else runs, which is the only lock most code needs.
 * Stacks (CO_STACK_SIZE with a guard page) are pooled per thread; starting and
 * switching cost a few nanoseconds and no system call. Sanitizers and valgrind
 * are told about each stack.
 *
 * "co" functions (marked in the headers) must run inside a coroutine.
 */
#ifndef XD_IO_COROUTINE_H
#define XD_IO_COROUTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

#define CO_STACK_SIZE (128 * 1024)

struct coroutine;
struct loop;

/* Starts fn(arg) at once on a pooled stack; returns when it first waits or
 * ends. -ENOMEM when no stack can be had. */
int co_start(void (*fn)(void *arg), void *arg);

/* The running one, NULL outside of any. */
struct coroutine *co_self(void);

/* Waits until somebody calls co_wake(self). Exactly one wake per yield. */
void co_yield(void);

/* Goes on with a waiting coroutine now; returns when it waits again or ends.
 * From outside coroutines or from another coroutine (nesting is allowed). */
void co_wake(struct coroutine *co);

/* Gives stacks above a small reserve back to the system. */
void co_trim(void);

/* Runs fn(arg) as a coroutine and turns the loop until it has ended.
 * Not from inside a coroutine. -ENOMEM, else fn's result. */
int co_run(struct loop *loop, int (*fn)(void *arg), void *arg);

/* ---- waiting for each other ---- */

/* First come, first served. A queue outlives those who wait in it. */
struct co_queue {
	struct list waiters;
};
void co_queue_init(struct co_queue *q);
void co_queue_wait(struct co_queue *q);			/* co */
bool co_queue_wake_one(struct co_queue *q);		/* false: nobody waited */
/* Wakes those who wait now, not those who come back meanwhile. */
void co_queue_wake_all(struct co_queue *q);

struct co_mutex {
	struct coroutine *owner;
	struct co_queue queue;
};
void co_mutex_init(struct co_mutex *m);
void co_mutex_lock(struct co_mutex *m);			/* co */
void co_mutex_unlock(struct co_mutex *m);		/* co, the owner */

/* Waits for ns nanoseconds. co */
void co_sleep(struct loop *loop, uint64_t ns);

#endif
