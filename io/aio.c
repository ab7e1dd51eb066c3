/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio.c: see aio.h: the choice of an engine, the inline path, short transfers.
 *
 * One engine serves all files of a loop that need the same; a thread keeps its
 * engines in a list. What takes part in a transfer lies on the stack of the
 * coroutine: nothing is allocated per request.
 */
#include "config.h"
#include "io/aio-engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "io/loop.h"

#define TRANSFER_MAX (1 * GiB)	/* per system call; the kernel stops at 2 */
#define INLINE_IOV 16
#define TRANSFER_IOV 256

/* ---- engines ---- */

/* In the order AIO_AUTO tries them. */
static const struct aio_engine *const engines[] = {
	&aio_engine_uring, &aio_engine_libaio, &aio_engine_threads,
};

static __thread struct aio *open_engines;
static __thread bool no_new_ring;	/* aio_new_confined() */

static void keep_engine(struct aio *aio, const struct aio_engine *engine,
			struct loop *loop)
{
	aio->engine = engine;
	aio->loop = loop;
	aio->users = 1;
	aio->next = open_engines;
	open_engines = aio;
}

static int engine_open(struct loop *loop, const struct aio_engine *engine,
		       bool direct, struct aio **out, struct error *err)
{
	struct aio *aio;
	int ret;

	if (engine->direct_only && !direct)
		return error_set(err, ENOTSUP,
				 "aio=%s needs O_DIRECT (cache=none or "
				 "directsync)", engine->name);
	for (aio = open_engines; aio; aio = aio->next) {
		if (aio->loop == loop && aio->engine == engine) {
			aio->users++;
			*out = aio;
			return 0;
		}
	}
	if (no_new_ring && engine->kind == AIO_IO_URING)
		return error_set(err, ENOTSUP, "io_uring cannot be used here");
	ret = engine->open(loop, &aio, err);
	if (ret)
		return ret;
	keep_engine(aio, engine, loop);
	*out = aio;
	return 0;
}

/* What others need, libaio and threads, can be made at any time. */
int aio_new_confined(struct loop *loop, struct aio **out, struct error *err)
{
	struct aio *aio;
	int ret = aio_uring_open_confined(loop, &aio, err);

	*out = NULL;
	no_new_ring = true;
	if (ret)
		return ret == -ENOTSUP ? 0 : ret;
	keep_engine(aio, &aio_engine_uring, loop);
	*out = aio;
	return 0;
}

int aio_new(struct loop *loop, enum aio_kind kind, bool direct,
	    struct aio **out, struct error *err)
{
	int ret = -ENOTSUP;

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		if (kind != AIO_AUTO && kind != engines[i]->kind)
			continue;
		ret = engine_open(loop, engines[i], direct, out, err);
		if (!ret)
			break;
	}
	return ret;
}

static void let_loop_turn(struct aio *aio)
{
	if (co_self())
		co_sleep(aio->loop, 0);
	else
		loop_turn(aio->loop, -1);
}

static void wait_engine_idle(struct aio *aio)
{
	while (aio->in_flight || aio->reaping)
		let_loop_turn(aio);
}

void aio_free(struct aio *aio)
{
	struct aio **link = &open_engines;

	if (!aio || --aio->users)
		return;
	while (*link != aio)
		link = &(*link)->next;
	*link = aio->next;
	wait_engine_idle(aio);
	aio->engine->close(aio);
}

enum aio_kind aio_kind(const struct aio *aio)
{
	return aio->engine->kind;
}

/* ---- files ---- */

/* A device node in /dev lies in tmpfs too, but its pages do not. */
bool aio_in_memory(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs))
		return false;
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC ||
	       fs.f_type == HUGETLBFS_MAGIC;
}

static bool refuses_nowait(int fd)
{
	char byte;
	struct iovec iov = { &byte, 1 };

	return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP;
}

void aio_file_init(struct aio_file *f, struct aio *aio, int fd, bool direct)
{
	*f = (struct aio_file){ .aio = aio, .fd = fd, .slot = -1 };
	f->in_memory = aio_in_memory(fd);
	f->direct = direct && !f->in_memory;
	f->no_nowait = !f->direct && !f->in_memory && refuses_nowait(fd);
	if (aio && aio->engine->add_file)
		f->slot = aio->engine->add_file(aio, fd);
}

void aio_file_done(struct aio_file *f)
{
	while (f->in_flight)
		let_loop_turn(f->aio);
	if (f->aio && f->slot >= 0 && f->aio->engine->del_file)
		f->aio->engine->del_file(f->aio, f->slot);
	f->slot = -1;
}

/* ---- requests ---- */

/* Through the engine; what it has no resources for goes to a thread. */
static int64_t run_on_engine(struct aio_file *f, struct aio_request *req)
{
	struct aio *aio = f->aio;
	int64_t ret;

	req->fd = f->fd;
	req->slot = f->slot;
	req->co = co_self();
	aio->in_flight++;
	f->in_flight++;
	ret = aio->engine->run(aio, req);
	while (ret == -EINTR || ret == -EAGAIN)
		ret = loop_offload(aio->loop, aio_blocking_call, req);
	f->in_flight--;
	aio->in_flight--;
	return ret;
}

static __attribute__((noinline)) int64_t
transfer(struct aio_file *f, enum aio_op op, uint64_t off, uint64_t len,
	 struct iow w)
{
	struct iovec iov[TRANSFER_IOV];
	struct aio_request req = { .op = op, .iov = iov, .off = off };
	size_t part = min(len, TRANSFER_MAX);

	req.niov = iow_fill_some(w, &part, iov, TRANSFER_IOV);
	return run_on_engine(f, &req);
}

/* What the kernel can give without waiting; < 0: ask the engine. */
static ssize_t read_inline(struct aio_file *f, uint64_t off, uint64_t len,
			   struct iow w)
{
	struct iovec iov[INLINE_IOV];
	size_t part = min(len, TRANSFER_MAX);
	int n;

	if (f->direct || f->no_nowait)
		return -1;
	n = iow_fill_some(w, &part, iov, INLINE_IOV);
	return preadv2(f->fd, iov, n, (off_t)off,
		       f->in_memory ? 0 : RWF_NOWAIT);
}

void aio_read_beside(struct aio_file *f)
{
	f->beside = !f->direct && !f->no_nowait;
}

struct cached_read {
	struct aio_file *f;
	uint64_t off, len;
	struct iow w;
};

static int64_t read_cached(void *arg)
{
	struct cached_read *r = arg;

	return read_inline(r->f, r->off, r->len, r->w);
}

/* As read_inline(), while this thread does something else. */
static int64_t read_beside(struct aio_file *f, uint64_t off, uint64_t len,
			   struct iow w)
{
	struct cached_read r = { f, off, len, w };

	return loop_compute(f->aio->loop, read_cached, &r);
}

/* A direct read that ends within a block can only have met the end of file; it
 * must not go on there, misaligned. */
static bool at_end(struct aio_file *f, uint64_t off)
{
	struct stat st;

	return f->direct && !fstat(f->fd, &st) && S_ISREG(st.st_mode) &&
	       off >= (uint64_t)st.st_size;
}

int aio_preadv(struct aio_file *f, uint64_t off, uint64_t len, struct iow w)
{
	int64_t n;

	for (;;) {
		n = f->beside && len >= AIO_BESIDE_MIN ?
			read_beside(f, off, len, w) :
			read_inline(f, off, len, w);
		if (n < 0)
			n = transfer(f, AIO_READ, off, len, w);
		if (n < 0)
			return (int)n;
		if (likely((uint64_t)n == len))
			return 0;
		off += (uint64_t)n;
		len -= (uint64_t)n;
		w = iow_advance(w, (size_t)n);
		if (!n || at_end(f, off)) {
			iow_zero(w, len);
			return 0;
		}
	}
}

static long times_waited(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw;
}

/* One slow write may only mean that we were preempted: for a while, check
 * whether the write itself blocked. */
static __attribute__((noinline)) void
slow_write(struct aio_file *f, uint64_t now, bool watched, long waited)
{
	f->watch_until_ns = now + AIO_INLINE_PAUSE_NS;
	if (watched && times_waited() != waited) {
		f->engine_until_ns = now + AIO_INLINE_PAUSE_NS;
		f->watch_until_ns += AIO_INLINE_PAUSE_NS;
	}
}

/* Into the page cache, unless the kernel has made us wait there lately; < 0:
 * ask the engine. */
static ssize_t write_inline(struct aio_file *f, uint64_t off, uint64_t len,
			    struct iow w)
{
	struct iovec iov[INLINE_IOV];
	size_t part = min(len, TRANSFER_MAX);
	uint64_t start, end;
	bool watched;
	long waited;
	ssize_t ret;
	int n;

	if (f->direct || f->no_nowait)
		return -1;
	start = monotonic_ns();
	if (start < f->engine_until_ns)
		return -1;
	watched = unlikely(start < f->watch_until_ns);
	waited = watched ? times_waited() : 0;
	n = iow_fill_some(w, &part, iov, INLINE_IOV);
	ret = pwritev(f->fd, iov, n, (off_t)off);
	end = monotonic_ns();
	if (unlikely(end - start > AIO_INLINE_SLOW_NS))
		slow_write(f, end, watched, waited);
	return ret;
}

int aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len, struct iow w)
{
	int64_t n;

	for (;;) {
		n = write_inline(f, off, len, w);
		if (n < 0)
			n = transfer(f, AIO_WRITE, off, len, w);
		if (n <= 0)
			return n ? (int)n : -EIO;
		if (likely((uint64_t)n == len))
			return 0;
		off += (uint64_t)n;
		len -= (uint64_t)n;
		w = iow_advance(w, (size_t)n);
	}
}

int aio_fdatasync(struct aio_file *f)
{
	struct aio_request req = { .op = AIO_FDATASYNC };

	return (int)run_on_engine(f, &req);
}

int aio_fallocate(struct aio_file *f, int mode, uint64_t off, uint64_t len)
{
	struct aio_request req = {
		.op = AIO_FALLOCATE, .mode = mode, .off = off, .len = len,
	};

	return (int)run_on_engine(f, &req);
}
