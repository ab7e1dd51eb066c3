/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * aio-engine.h: between aio.c and its engines; nobody else includes it.
 */
#ifndef XD_IO_AIO_ENGINE_H
#define XD_IO_AIO_ENGINE_H

#include "io/aio.h"
#include "io/coroutine.h"

enum aio_op { AIO_READ, AIO_WRITE, AIO_FDATASYNC, AIO_FALLOCATE };

/* Lies on the stack of the coroutine that waits for it. */
struct aio_request {
	enum aio_op op;
	int fd;
	int slot;			/* of the file, engine->add_file() */
	int niov;
	const struct iovec *iov;	/* reads and writes */
	int mode;			/* fallocate(2) */
	uint64_t off, len;		/* bytes; len: of fallocate(2) */
	struct coroutine *co;
	int64_t result;
};

struct aio_engine {
	const char *name;
	enum aio_kind kind;
	bool direct_only;		/* would block on buffered files */
	int (*open)(struct loop *loop, struct aio **out, struct error *err);
	/* Nothing is in flight. */
	void (*close)(struct aio *aio);
	/* Only of an engine that makes files known to the kernel beforehand: the
	 * file's slot, or -errno, and then it is served by threads. NULL: files
	 * need not be known. */
	int (*add_file)(struct aio *aio, int fd);
	void (*del_file)(struct aio *aio, int slot);
	/* co. What the system call returns, or -errno. */
	int64_t (*run)(struct aio *aio, struct aio_request *req);
};

/* Embedded in each engine's own struct; open() returns it zeroed. */
struct aio {
	const struct aio_engine *engine;
	struct loop *loop;
	struct aio *next;		/* this thread's engines */
	unsigned int users;
	unsigned int in_flight;
	bool reaping;			/* the engine is waking coroutines */
};

/* aio-threads.c: the plain system call, for threads. arg: struct aio_request. */
int64_t aio_blocking_call(void *arg);

/* aio-uring.c: see aio_new_confined(). -ENOTSUP where there is none. */
int aio_uring_open_confined(struct loop *loop, struct aio **out,
			    struct error *err);

extern const struct aio_engine aio_engine_uring;
extern const struct aio_engine aio_engine_libaio;
extern const struct aio_engine aio_engine_threads;

#endif
