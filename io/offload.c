/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * offload.c: see offload.h.
 *
 *	coroutine --> todo --> a thread --> done --eventfd--> loop --> coroutine
 *
 * Threads are started when there is more to do than there are idle ones, and
 * end after IDLE_SECONDS without work. A job lies on the stack of the coroutine
 * that waits for it. Threads take no signals.
 */
#include "config.h"
#include "io/offload.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "io/coroutine.h"
#include "io/loop.h"

#define IDLE_SECONDS 5

struct job {
	struct list link;
	int64_t (*work)(void *arg);
	void *arg;
	int64_t result;
	struct coroutine *co;
};

enum slot_state {
	SLOT_FREE,
	SLOT_RUNNING,
	SLOT_ENDED,			/* to be joined */
};

struct slot {
	struct offload *offload;
	pthread_t thread;
	enum slot_state state;
};

struct offload {
	struct loop *loop;
	struct loop_fd watch;		/* the eventfd: `done` has jobs */
	int eventfd;

	pthread_mutex_t lock;		/* of everything below */
	pthread_cond_t wake;		/* `todo` has jobs, or stop */
	struct list todo, done;
	unsigned int nr_todo, nr_idle, nr_running;
	bool stop;
	unsigned int max_threads;
	struct slot slots[OFFLOAD_THREADS_MAX];
};

/* Waits for a job with the lock held. NULL: the thread is to end. */
static struct job *next_job(struct offload *o)
{
	struct timespec until;
	struct job *job;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	while (list_empty(&o->todo)) {
		if (o->stop || ret == ETIMEDOUT)
			return NULL;
		o->nr_idle++;
		ret = pthread_cond_timedwait(&o->wake, &o->lock, &until);
		o->nr_idle--;
	}
	job = list_first(&o->todo, struct job, link);
	list_del(&job->link);
	o->nr_todo--;
	return job;
}

static void *thread_main(void *arg)
{
	struct slot *slot = arg;
	struct offload *o = slot->offload;
	struct job *job;
	bool first;

	pthread_mutex_lock(&o->lock);
	while ((job = next_job(o))) {
		pthread_mutex_unlock(&o->lock);
		job->result = job->work(job->arg);
		pthread_mutex_lock(&o->lock);
		first = list_empty(&o->done);
		list_add_tail(&o->done, &job->link);
		if (first)
			eventfd_write(o->eventfd, 1);
	}
	slot->state = SLOT_ENDED;
	o->nr_running--;
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

/* With the lock held. */
static void start_thread(struct offload *o)
{
	sigset_t all, before;
	struct slot *slot = o->slots;

	while (slot->state == SLOT_RUNNING)
		slot++;
	assert(slot < o->slots + o->max_threads);
	if (slot->state == SLOT_ENDED)
		pthread_join(slot->thread, NULL);
	slot->state = SLOT_FREE;
	slot->offload = o;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (!pthread_create(&slot->thread, NULL, thread_main, slot)) {
		slot->state = SLOT_RUNNING;
		o->nr_running++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Gives the job to the threads; false: there is none. */
static bool queue_job(struct offload *o, struct job *job)
{
	bool queued;

	pthread_mutex_lock(&o->lock);
	if (o->nr_todo >= o->nr_idle && o->nr_running < o->max_threads)
		start_thread(o);
	queued = o->nr_running > 0;
	if (queued) {
		list_add_tail(&o->todo, &job->link);
		o->nr_todo++;
		pthread_cond_signal(&o->wake);
	}
	pthread_mutex_unlock(&o->lock);
	return queued;
}

int64_t offload_run(struct offload *o, int64_t (*work)(void *arg), void *arg)
{
	struct job job = { .work = work, .arg = arg, .co = co_self() };

	assert(job.co);
	if (!queue_job(o, &job))
		return work(arg);
	co_yield();
	return job.result;
}

static void jobs_done(struct loop_fd *watch, uint32_t events)
{
	struct offload *o = container_of(watch, struct offload, watch);
	struct list done;
	struct job *job;
	eventfd_t count;

	list_init(&done);
	pthread_mutex_lock(&o->lock);
	eventfd_read(o->eventfd, &count);
	list_splice_tail(&done, &o->done);
	pthread_mutex_unlock(&o->lock);
	while (!list_empty(&done)) {
		job = list_first(&done, struct job, link);
		list_del(&job->link);
		co_wake(job->co);
	}
}

struct offload *offload_new(struct loop *loop, unsigned int max_threads)
{
	struct offload *o = calloc(1, sizeof(*o));
	pthread_condattr_t attr;

	if (!o)
		return NULL;
	o->loop = loop;
	o->max_threads = min(max_threads, OFFLOAD_THREADS_MAX);
	list_init(&o->todo);
	list_init(&o->done);
	o->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->eventfd < 0 ||
	    loop_add_fd(loop, &o->watch, o->eventfd, EPOLLIN, jobs_done)) {
		if (o->eventfd >= 0)
			close(o->eventfd);
		free(o);
		return NULL;
	}
	pthread_mutex_init(&o->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->wake, &attr);
	pthread_condattr_destroy(&attr);
	return o;
}

void offload_free(struct offload *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	assert(list_empty(&o->todo) && list_empty(&o->done));
	o->stop = true;
	pthread_cond_broadcast(&o->wake);
	pthread_mutex_unlock(&o->lock);
	for (struct slot *s = o->slots; s < o->slots + o->max_threads; s++) {
		if (s->offload && s->state != SLOT_FREE)
			pthread_join(s->thread, NULL);
	}
	loop_del_fd(o->loop, &o->watch);
	close(o->eventfd);
	pthread_cond_destroy(&o->wake);
	pthread_mutex_destroy(&o->lock);
	free(o);
}
