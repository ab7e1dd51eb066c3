/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* packet.c: see packet.h. */
#include "common/packet.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The alignment leaves room for two. */
union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

int packet_send(int fd, const struct iovec *iov, size_t niov, int passed_fd,
		int flags)
{
	union fd_control control = { 0 };
	struct msghdr msg = {
		.msg_iov = (struct iovec *)iov, .msg_iovlen = niov,
	};
	struct cmsghdr *c;
	ssize_t n;

	if (passed_fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed_fd, sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* All that came is ours now. True: it was one at most, *passed_fd. */
static bool take_descriptors(struct msghdr *msg, int *passed_fd)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t n = 0;
	int fds[sizeof(union fd_control) / sizeof(int)];

	*passed_fd = -1;
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return true;
	n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	if (n == 1)
		*passed_fd = fds[0];
	for (size_t i = 0; n > 1 && i < n; i++)
		close(fds[i]);
	return n <= 1;
}

ssize_t packet_receive(int fd, void *buf, size_t size, int *passed_fd)
{
	union fd_control control;
	struct iovec iov = { buf, size };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	*passed_fd = -1;
	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!take_descriptors(&msg, passed_fd))
		return -EPROTO;
	if (n == 0)
		return -ECONNRESET;
	return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EPROTO : n;
}
