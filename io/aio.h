/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio.h: file I/O for coroutines, whatever the kernel offers for it.
 *
 * Engines: "io_uring", "libaio" (O_DIRECT only), "threads". What coroutines
 * queue in one turn of the loop goes to the kernel in one system call before
 * the loop waits, and completions are reaped in batches.
 *
 * A buffered file (no O_DIRECT) whose pages are in memory is not worth a
 * queue: its reads are tried inline with RWF_NOWAIT, and its writes go inline
 * as long as they are quick (a file system that refuses RWF_NOWAIT gets
 * neither, unless it lives in memory). Writes that take longer than
 * AIO_INLINE_SLOW_NS because the kernel makes us wait for its dirty pages send
 * the next ones through the engine for AIO_INLINE_PAUSE_NS.
 */
#ifndef XD_IO_AIO_H
#define XD_IO_AIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/error.h"
#include "common/io-modes.h"
#include "io/coroutine.h"
#include "io/iow.h"

#define AIO_INLINE_SLOW_NS (2 * 1000 * 1000)
#define AIO_INLINE_PAUSE_NS (100 * 1000 * 1000)
#define AIO_BESIDE_MIN (256u * 1024)	/* bytes, see aio_read_beside() */

struct loop;
struct aio;

/* One engine per loop and kind of need, shared by those who ask for the same;
 * each calls aio_free(). AIO_AUTO takes the best that works here for such files
 * and never fails for lack of one. -ENOTSUP with the reason when the one asked
 * for does not work. */
int aio_new(struct loop *loop, enum aio_kind kind, bool direct,
	    struct aio **out, struct error *err);
/* The last one waits for what is in flight: call it from a coroutine, or while
 * the loop is not turning. NULL is allowed. */
void aio_free(struct aio *aio);
enum aio_kind aio_kind(const struct aio *aio);

/* For a process that is about to give its rights up: makes the engine that
 * AIO_AUTO would take and keeps it, for aio_free(). A ring of io_uring is made
 * such that it can do nothing but what is in enum aio_op, with the files of
 * aio_file_init(), whoever fills it; no other ring is made afterwards. *out is
 * NULL where there is nothing to make. */
int aio_new_confined(struct loop *loop, struct aio **out, struct error *err);

/* A file as an engine sees it. The fd stays the owner's. */
struct aio_file {
	struct aio *aio;
	int fd;
	int slot;			/* in the engine's table of files, or -1 */
	unsigned int in_flight;
	bool direct;			/* opened with O_DIRECT */
	bool in_memory;			/* tmpfs and the like: never waits */
	bool no_nowait;			/* RWF_NOWAIT is refused here */
	bool beside;			/* see aio_read_beside() */
	uint64_t engine_until_ns;	/* inline writes pause until then */
	uint64_t watch_until_ns;	/* one was slow: find out why */
};
/* direct has no meaning, and is false, for a file that is in memory. */
void aio_file_init(struct aio_file *f, struct aio *aio, int fd, bool direct);
/* Before the engine is let go of and the file is closed: waits for what is in
 * flight on it, as aio_free() does. Idempotent, also for one that is zeroed. */
void aio_file_done(struct aio_file *f);

/* From now on large reads of a buffered file are copied out of the page cache by
 * other threads: for programs that have something else to do meanwhile. */
void aio_read_beside(struct aio_file *f);

/* Is this a file whose pages are all there is of it (tmpfs and the like)? */
bool aio_in_memory(int fd);

/*
 * All co. Reads and writes are complete or fail: short transfers go on, a read
 * beyond the end of file gives zeroes. `off` and `len` are bytes; with O_DIRECT
 * the caller sees to alignment. Return 0 or -errno (-EIO, -ENOSPC, ...).
 */
int aio_preadv(struct aio_file *f, uint64_t off, uint64_t len, struct iow w);
int aio_pwritev(struct aio_file *f, uint64_t off, uint64_t len, struct iow w);
int aio_fdatasync(struct aio_file *f);
/* fallocate(2) with that mode; -EOPNOTSUPP where the file system has none. */
int aio_fallocate(struct aio_file *f, int mode, uint64_t off, uint64_t len);

#endif
