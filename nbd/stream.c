/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream.c: see stream.h. */
#include "nbd/stream.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bits.h"

void stream_init(struct stream *s, struct loop *loop, int fd)
{
	*s = (struct stream){ .loop = loop, .fd = fd, .watch = LOOP_FD_INIT };
}

void stream_close(struct stream *s)
{
	loop_del_fd(s->loop, &s->watch);
	close(s->fd);
	s->fd = -1;
}

static void watch(struct stream *s);

/* A writer that goes on may end the stream, unless its reader waits: the reader
 * owns it. So nothing here looks at it after the first has been woken. */
static void ready(struct loop_fd *fd, uint32_t events)
{
	struct stream *s = container_of(fd, struct stream, watch);
	bool ended = events & (EPOLLHUP | EPOLLERR);
	struct coroutine *reader = NULL, *writer = NULL;

	if ((events & EPOLLIN) || ended) {
		reader = s->reader;
		s->reader = NULL;
	}
	if ((events & EPOLLOUT) || ended) {
		writer = s->writer;
		s->writer = NULL;
	}
	watch(s);
	if (writer)
		co_wake(writer);
	if (reader)
		co_wake(reader);
}

static void watch(struct stream *s)
{
	uint32_t events = (s->reader ? EPOLLIN : 0u) |
			  (s->writer ? EPOLLOUT : 0u);

	if (events == s->events)
		return;
	loop_del_fd(s->loop, &s->watch);
	s->events = events;
	if (events)
		loop_add_fd(s->loop, &s->watch, s->fd, events, ready);
}

static void wait_in(struct stream *s, struct coroutine **place)
{
	*place = co_self();
	watch(s);
	co_yield();
}

int stream_read(struct stream *s, void *buf, size_t len)
{
	char *p = buf;

	while (len) {
		ssize_t n = recv(s->fd, p, len, 0);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n == 0) {
			return -ECONNRESET;
		} else if (errno == EAGAIN) {
			wait_in(s, &s->reader);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int stream_skip(struct stream *s, uint64_t len)
{
	char buf[4096];
	int ret = 0;

	for (size_t n; len && !ret; len -= n) {
		n = (size_t)min(len, (uint64_t)sizeof(buf));
		ret = stream_read(s, buf, n);
	}
	return ret;
}

/* How many of the iovecs are done with after `n` bytes; the next is cut. */
static int advance(struct iovec *iov, int niov, size_t n)
{
	int i = 0;

	while (i < niov && n >= iov[i].iov_len)
		n -= iov[i++].iov_len;
	if (i < niov) {
		iov[i].iov_base = (char *)iov[i].iov_base + n;
		iov[i].iov_len -= n;
	}
	return i;
}

int stream_writev(struct stream *s, struct iovec *iov, int niov)
{
	while (niov) {
		struct msghdr msg = {
			.msg_iov = iov, .msg_iovlen = (size_t)niov,
		};
		ssize_t n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
		int done;

		if (n >= 0) {
			done = advance(iov, niov, (size_t)n);
			iov += done;
			niov -= done;
		} else if (errno == EAGAIN) {
			wait_in(s, &s->writer);
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

int stream_write(struct stream *s, const void *buf, size_t len)
{
	struct iovec iov = { (void *)buf, len };

	return stream_writev(s, &iov, 1);
}
