/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * coroutine.c: see coroutine.h.
 *
 *	mapping  [guard page][ stack, grows down <--- ][struct coroutine][colour]
 *
 * A stack is made once and then used by one coroutine after the other: between
 * two of them it waits inside co_main(). Stacks begin at different places of
 * their page ("colour"), else the hot ends of all of them would compete for the
 * same few cache lines.
 *
 * Waking enters the woken one at once, on its own stack. However long a chain
 * of wakes gets (a mutex handed on from one to the next), each stack carries
 * one link of it, so a chain cannot overflow anything.
 *
 * Switching saves what the ABI makes the callee save. On x86-64 that is inline
 * assembly which jumps instead of returning, so that the processor's return
 * stack stays in step for a coroutine that never waits. Elsewhere ucontext
 * makes the stack and sigsetjmp switches. The signal mask and the floating
 * point control words are not switched. A shadow stack (x86 CET) would have to
 * be: this file is compiled so that the linker leaves it off.
 */
#undef _FORTIFY_SOURCE		/* its longjmp() allows only one stack */
#include "config.h"
#include "io/coroutine.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "io/loop.h"

#define POOL_MAX 1024		/* stacks kept per thread */
#define POOL_RESERVE 16		/* left by co_trim() */
#define NR_COLOURS 16
#define COLOUR_BYTES 256

/* ---- switching ---- */

#if defined(__x86_64__) && !defined(XD_COROUTINE_UCONTEXT)

struct context {
	void *sp, *bp, *ip;
};

#ifdef __AVX512F__
#define CLOBBER_AVX512 "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21",  \
	"xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28",        \
	"xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#else
#define CLOBBER_AVX512
#endif

__attribute__((always_inline))
static inline void context_switch(struct context *from, struct context *to)
{
	__asm__ volatile(
		"movq %%rsp, 0(%0)\n\t"
		"movq %%rbp, 8(%0)\n\t"
		"leaq 1f(%%rip), %%rcx\n\t"
		"movq %%rcx, 16(%0)\n\t"
		"movq 0(%1), %%rsp\n\t"
		"movq 8(%1), %%rbp\n\t"
		"jmpq *16(%1)\n"
		"1:\n\t"
		: "+a"(from), "+d"(to)
		:
		: "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
		  "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
		  "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
		  "xmm12", "xmm13", "xmm14", "xmm15", CLOBBER_AVX512
		  "memory", "cc");
}

/* A context that begins in entry() on the stack below `top`. */
static int context_make(struct context *ctx, void *stack, char *top,
			void (*entry)(void))
{
	void **sp = (void **)align_down((uintptr_t)top, 16);

	*--sp = NULL;			/* as after a call from nowhere */
	ctx->sp = sp;
	ctx->bp = NULL;
	ctx->ip = (void *)entry;
	return 0;
}

#else

#include <setjmp.h>
#include <ucontext.h>

struct context {
	sigjmp_buf env;
};

static __thread struct {
	ucontext_t creator;
	struct context *ctx;
	void (*entry)(void);
} making;

static void context_switch(struct context *from, struct context *to)
{
	if (!sigsetjmp(from->env, 0))
		siglongjmp(to->env, 1);
}

/* First run: remember this place, go back to the creator; then the entry. */
static void context_first(void)
{
	void (*entry)(void) = making.entry;

	if (!sigsetjmp(making.ctx->env, 0))
		setcontext(&making.creator);
	entry();
}

static int context_make(struct context *ctx, void *stack, char *top,
			void (*entry)(void))
{
	ucontext_t uc;

	if (getcontext(&uc))
		return -errno;
	uc.uc_stack.ss_sp = stack;
	uc.uc_stack.ss_size = (size_t)(top - (char *)stack);
	uc.uc_link = NULL;
	makecontext(&uc, context_first, 0);
	making.ctx = ctx;
	making.entry = entry;
	return swapcontext(&making.creator, &uc) ? -errno : 0;
}

#endif

struct coroutine {
	struct context ctx;		/* where it goes on */
	struct coroutine *caller;	/* who goes on after it; NULL: waiting */
	void (*fn)(void *arg);		/* NULL: it has ended */
	void *arg;
	struct list waiting;		/* in a co_queue */
	struct coroutine *next;		/* in the pool */

	/* the stack: NULL and unknown for a thread's own */
	void *map;
	const void *bottom;
	size_t size;
	void *fake_stack;		/* AddressSanitizer's */
	unsigned int valgrind_id;
};

/* ---- those who watch stacks ---- */

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#define NO_ASAN __attribute__((no_sanitize("address")))

NO_ASAN static inline void asan_leave(struct coroutine *from,
				      struct coroutine *to)
{
	bool ended = from->map && !from->fn;

	__sanitizer_start_switch_fiber(ended ? NULL : &from->fake_stack,
				       to->bottom, to->size);
}

/* from: the one that was left */
NO_ASAN static inline void asan_arrive(struct coroutine *self,
				       struct coroutine *from)
{
	void *fake = self->fake_stack;

	self->fake_stack = NULL;
	__sanitizer_finish_switch_fiber(fake, &from->bottom, &from->size);
}

static void asan_forget(struct coroutine *co)
{
	__asan_unpoison_memory_region(co->bottom, co->size);
}
#else
#define NO_ASAN
#define asan_leave(from, to) ((void)0)
#define asan_arrive(self, from) ((void)0)
#define asan_forget(co) ((void)0)
#endif

#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

/* ---- a thread's coroutines ---- */

static __thread struct {
	struct coroutine own;		/* the thread itself */
	struct coroutine *current;	/* NULL: nothing ran here yet */
	struct coroutine *previous;	/* left by the last switch */
	struct coroutine *pool;
	unsigned int pool_size;
	unsigned int nr_made;
} thread;

NO_ASAN __attribute__((always_inline))
static inline void switch_to(struct coroutine *from, struct coroutine *to)
{
	thread.current = to;
	thread.previous = from;
	asan_leave(from, to);
	context_switch(&from->ctx, &to->ctx);
	asan_arrive(from, thread.previous);
}

/* Back to whoever entered the running coroutine. */
NO_ASAN __attribute__((always_inline)) static inline void leave(void)
{
	struct coroutine *self = thread.current, *caller = self->caller;

	self->caller = NULL;
	switch_to(self, caller);
}

/* Each stack runs this for as long as it lives. */
NO_ASAN static void co_main(void)
{
	struct coroutine *self = thread.current;

	asan_arrive(self, thread.previous);
	for (;;) {
		self->fn(self->arg);
		self->fn = NULL;
		leave();
	}
}

static void stack_free(struct coroutine *co)
{
	void *map = co->map;

	VALGRIND_STACK_DEREGISTER(co->valgrind_id);
	asan_forget(co);
	munmap(map, CO_STACK_SIZE + (size_t)sysconf(_SC_PAGESIZE));
}

static void pool_shrink(unsigned int keep)
{
	struct coroutine *co;

	while (thread.pool_size > keep) {
		co = thread.pool;
		thread.pool = co->next;
		thread.pool_size--;
		stack_free(co);
	}
}

static void thread_ends(void *unused)
{
	pool_shrink(0);
}

static pthread_key_t thread_key;

static void make_thread_key(void)
{
	if (pthread_key_create(&thread_key, thread_ends))
		abort();
}

/* The first stack of a thread: see to it that the pool goes when it ends. */
static void thread_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_thread_key);
	pthread_setspecific(thread_key, &thread);
	thread.current = &thread.own;
}

static struct coroutine *stack_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct coroutine *co;
	char *map, *top;

	map = mmap(NULL, page + CO_STACK_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map, page, PROT_NONE))
		goto fail;
	top = map + page + CO_STACK_SIZE - sizeof(*co) -
	      thread.nr_made++ % NR_COLOURS * COLOUR_BYTES;
	co = (struct coroutine *)align_down((uintptr_t)top, 64);
	co->map = map;
	co->bottom = map + page;
	co->size = (size_t)((char *)co - (char *)co->bottom);
	if (context_make(&co->ctx, map + page, (char *)co, co_main))
		goto fail;
	co->valgrind_id = VALGRIND_STACK_REGISTER(co->bottom, co);
	return co;
fail:
	munmap(map, page + CO_STACK_SIZE);
	return NULL;
}

static struct coroutine *pool_get(void)
{
	struct coroutine *co = thread.pool;

	if (!co) {
		if (!thread.current)
			thread_init();
		return stack_new();
	}
	thread.pool = co->next;
	thread.pool_size--;
	return co;
}

static void pool_put(struct coroutine *co)
{
	if (thread.pool_size == POOL_MAX) {
		stack_free(co);
		return;
	}
	co->next = thread.pool;
	thread.pool = co;
	thread.pool_size++;
}

void co_trim(void)
{
	pool_shrink(POOL_RESERVE);
}

/* ---- running ---- */

NO_ASAN static void enter(struct coroutine *co)
{
	struct coroutine *self = thread.current;

	assert(!co->caller);
	co->caller = self;
	switch_to(self, co);
	if (!co->fn)
		pool_put(co);
}

int co_start(void (*fn)(void *arg), void *arg)
{
	struct coroutine *co = pool_get();

	if (!co)
		return -ENOMEM;
	co->fn = fn;
	co->arg = arg;
	enter(co);
	return 0;
}

struct coroutine *co_self(void)
{
	return thread.current == &thread.own ? NULL : thread.current;
}

void co_yield(void)
{
	assert(co_self());
	leave();
}

void co_wake(struct coroutine *co)
{
	enter(co);
}

struct co_run {
	int (*fn)(void *arg);
	void *arg;
	int result;
	bool ended;
};

static void co_run_main(void *arg)
{
	struct co_run *run = arg;

	run->result = run->fn(run->arg);
	run->ended = true;
}

int co_run(struct loop *loop, int (*fn)(void *arg), void *arg)
{
	struct co_run run = { .fn = fn, .arg = arg };
	int ret;

	assert(!co_self());
	ret = co_start(co_run_main, &run);
	if (ret)
		return ret;
	while (!run.ended)
		loop_turn(loop, -1);
	return run.result;
}

/* ---- waiting for each other ---- */

void co_queue_init(struct co_queue *q)
{
	list_init(&q->waiters);
}

void co_queue_wait(struct co_queue *q)
{
	struct coroutine *self = co_self();

	assert(self);
	list_add_tail(&q->waiters, &self->waiting);
	co_yield();
}

static void wake_first(struct list *waiters)
{
	struct coroutine *co = list_first(waiters, struct coroutine, waiting);

	list_del(&co->waiting);
	co_wake(co);
}

bool co_queue_wake_one(struct co_queue *q)
{
	if (list_empty(&q->waiters))
		return false;
	wake_first(&q->waiters);
	return true;
}

void co_queue_wake_all(struct co_queue *q)
{
	struct list now;

	list_init(&now);
	list_splice_tail(&now, &q->waiters);
	while (!list_empty(&now))
		wake_first(&now);
}

void co_mutex_init(struct co_mutex *m)
{
	m->owner = NULL;
	co_queue_init(&m->queue);
}

void co_mutex_lock(struct co_mutex *m)
{
	assert(co_self() && m->owner != co_self());
	if (!m->owner)
		m->owner = co_self();
	else
		co_queue_wait(&m->queue);	/* unlock makes us the owner */
}

void co_mutex_unlock(struct co_mutex *m)
{
	struct list *waiters = &m->queue.waiters;

	assert(m->owner == co_self());
	m->owner = NULL;
	if (list_empty(waiters))
		return;
	m->owner = list_first(waiters, struct coroutine, waiting);
	wake_first(waiters);
}

struct sleeper {
	struct loop_timer timer;
	struct coroutine *co;
};

static void sleep_ends(struct loop_timer *timer)
{
	co_wake(container_of(timer, struct sleeper, timer)->co);
}

void co_sleep(struct loop *loop, uint64_t ns)
{
	struct sleeper s = { .timer.expire = sleep_ends, .co = co_self() };

	list_init(&s.timer.link);
	loop_set_timer(loop, &s.timer, monotonic_ns() + ns);
	co_yield();
}
