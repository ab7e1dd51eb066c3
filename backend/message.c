/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* message.c: JSON objects as packets, see protocol.h. */
#include "backend/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "common/packet.h"

int message_send_fd(int fd, json_t *msg, int passed_fd)
{
	cleanup_free char *text = NULL;

	if (!msg)
		return -ENOMEM;
	text = json_dumps(msg, JSON_COMPACT);
	json_decref(msg);
	if (!text)
		return -ENOMEM;
	return packet_send(fd, &(struct iovec){ text, strlen(text) }, 1,
			   passed_fd, MSG_DONTWAIT);
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
	ssize_t n;

	*msg = NULL;
	*passed_fd = -1;
	if (!text)
		return -ENOMEM;
	n = packet_receive(fd, text, MESSAGE_MAX, passed_fd);
	return n < 0 ? (int)n : parse(text, (size_t)n, msg);
}
