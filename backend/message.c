/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* message.c: JSON objects as packets, see protocol.h. */
#include "backend/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int))];
};

static int send_text(int fd, char *text, int passed_fd)
{
	union fd_control control = { 0 };
	struct iovec iov = { text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (passed_fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &passed_fd, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

int message_send_fd(int fd, json_t *msg, int passed_fd)
{
	cleanup_free char *text = NULL;

	if (!msg)
		return -ENOMEM;
	text = json_dumps(msg, JSON_COMPACT);
	json_decref(msg);
	return text ? send_text(fd, text, passed_fd) : -ENOMEM;
}

int message_send(int fd, json_t *msg)
{
	return message_send_fd(fd, msg, -1);
}

static int parse(const char *text, size_t len, json_t **msg)
{
	*msg = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*msg))
		return 0;
	json_decref(*msg);
	*msg = NULL;
	return -EPROTO;
}

int message_receive(int fd, json_t **msg)
{
	cleanup_free char *text = malloc(MESSAGE_MAX);
	ssize_t n;

	*msg = NULL;
	if (!text)
		return -ENOMEM;
	do
		n = recv(fd, text, MESSAGE_MAX, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? parse(text, (size_t)n, msg) : -ECONNRESET;
}

int message_wait_fd(int fd, json_t **msg, int *passed_fd)
{
	cleanup_free char *text = malloc(MESSAGE_MAX);
	union fd_control control;
	struct iovec iov = { text, MESSAGE_MAX };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c;
	ssize_t n;

	*msg = NULL;
	*passed_fd = -1;
	if (!text)
		return -ENOMEM;
	do
		n = recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -ECONNRESET;
	c = CMSG_FIRSTHDR(&hdr);
	if (c && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(passed_fd, CMSG_DATA(c), sizeof(int));
	return parse(text, (size_t)n, msg);
}
