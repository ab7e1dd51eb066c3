/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream.h: a connected socket that coroutines read from and write to.
 *
 * One coroutine may read while another writes; more of a kind take turns by
 * themselves (a mutex of theirs). All in the loop's thread.
 */
#ifndef XD_NBD_STREAM_H
#define XD_NBD_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "io/coroutine.h"
#include "io/loop.h"

struct stream {
	struct loop *loop;
	int fd;				/* owned, non-blocking */
	struct loop_fd watch;
	uint32_t events;		/* of watch */
	struct coroutine *reader, *writer;	/* waiting ones */
};

void stream_init(struct stream *s, struct loop *loop, int fd);
void stream_close(struct stream *s);

/* co. Exactly `len` bytes. -ECONNRESET: it ended before; -errno. */
int stream_read(struct stream *s, void *buf, size_t len);
/* co. Reads and throws away. */
int stream_skip(struct stream *s, uint64_t len);
/* co. All of the vector, which is used up. -errno */
int stream_writev(struct stream *s, struct iovec *iov, int niov);
int stream_write(struct stream *s, const void *buf, size_t len);

#endif
