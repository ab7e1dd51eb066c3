/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * loop.h: the event loop of one disk.
 *
 * One thread owns a loop and everything built on it; no function here may be
 * called from another thread, where it does not say so. A turn runs deferred
 * calls, then hands what was queued meanwhile to the AIO engine in one batch,
 * then waits for file descriptors and timers, and last gives some time to long
 * work.
 */
#ifndef XD_IO_LOOP_H
#define XD_IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

struct loop;
struct memory;

/* NULL and errno on failure (ENOMEM, EMFILE). */
struct loop *loop_new(void);
/* Nothing may be left registered. NULL is allowed. */
void loop_free(struct loop *loop);

/* What all that runs on the loop may take (memory.h); as long as the loop. */
struct memory *loop_memory(struct loop *loop);

/* ---- file descriptors ---- */

/* Level triggered; embedded in its user's struct. handle() may remove any
 * watch, its own included, and free the memory it lies in. */
struct loop_fd {
	int fd;				/* -1: not registered */
	void (*handle)(struct loop_fd *watch, uint32_t epoll_events);
};
#define LOOP_FD_INIT { .fd = -1 }

/* events: EPOLLIN, EPOLLOUT. -errno of epoll_ctl(2). */
int loop_add_fd(struct loop *loop, struct loop_fd *watch, int fd,
		uint32_t events, void (*handle)(struct loop_fd *, uint32_t));
void loop_del_fd(struct loop *loop, struct loop_fd *watch);	/* idempotent */

/* ---- calls put off to the next turn ---- */

struct loop_call {
	struct list link;		/* list_init() before first use */
	void (*run)(struct loop_call *call);
};

/* No effect when it is already waiting. */
void loop_defer(struct loop *loop, struct loop_call *call);

/* ---- timers ---- */

struct loop_timer {
	struct list link;		/* list_init() before first use */
	uint64_t expires_ns;		/* monotonic_ns() */
	void (*expire)(struct loop_timer *timer);
};

/* Armed anew when it is already running. */
void loop_set_timer(struct loop *loop, struct loop_timer *timer,
		    uint64_t expires_ns);
void loop_cancel_timer(struct loop_timer *timer);		/* idempotent */

/* ---- work for a few other threads (deflate, blocking system calls) ---- */

/* Runs work(arg) in a pool thread while the calling coroutine waits; returns
 * what work returned. Coroutine context only. At most LOOP_THREADS_MAX at once
 * per loop; the rest queue up; idle threads end after some seconds. */
#define LOOP_THREADS_MAX 16u
int64_t loop_offload(struct loop *loop, int64_t (*work)(void *arg), void *arg);

/* The same for work that computes and takes milliseconds at most, in threads of
 * its own: as many as this program has processors. */
int64_t loop_compute(struct loop *loop, int64_t (*work)(void *arg), void *arg);

/* ---- long work ---- */

/* co. Between two pieces of work that computes long: returns at once while
 * there is time for such work in this turn, which has LOOP_LONG_WORK_NS for all
 * of it, else in a later one, after those who have waited before. A piece takes
 * some ten microseconds; who holds a lock uses loop_next_turn(). */
#define LOOP_LONG_WORK_NS (500 * 1000)
void loop_give_way(struct loop *loop);
/* co. Goes on in the next turn. */
void loop_next_turn(struct loop *loop);

/* Nobody waits any more for what is under way here, nor for what is begun,
 * until this is taken back: long work ends between two pieces, and so does
 * waiting for somebody who does not answer. What was changed is kept safe. */
void loop_set_cancelled(struct loop *loop, bool cancelled);
bool loop_cancelled(const struct loop *loop);		/* in any thread */

/* Told when the loop becomes cancelled; embedded in its user's struct. */
struct loop_watcher {
	struct list link;		/* list_init() before first use */
	void (*cancelled)(struct loop_watcher *watcher);
};
void loop_add_watcher(struct loop *loop, struct loop_watcher *watcher);
void loop_del_watcher(struct loop_watcher *watcher);		/* idempotent */

/* ---- turns ---- */

/* One turn. timeout_ms: -1 waits for the next event, 0 only looks. Returns
 * true if anything ran. */
bool loop_turn(struct loop *loop, int timeout_ms);

/* For work that goes with the turns. before_wait: at the end of each turn before
 * it waits (and in loop_turn(…, 0)): the AIO engine submits here, the ring front
 * end pushes its responses here. One that gets anything going (starts or wakes a
 * coroutine) asks for another turn with loop_defer(): the hooks before it have
 * run. after_wait: when the turn has waited, before file descriptors are served;
 * true if it ran anything. Either may be NULL. */
struct loop_hook {
	struct list link;		/* list_init() before first use */
	void (*before_wait)(struct loop_hook *hook);
	bool (*after_wait)(struct loop_hook *hook);
};
void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_del_hook(struct loop_hook *hook);			/* idempotent */

#endif
