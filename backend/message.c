/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* message.c: JSON objects as packets, see protocol.h. */
#include "backend/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"

int message_send(int fd, json_t *msg)
{
	cleanup_free char *text = NULL;

	if (!msg)
		return -ENOMEM;
	text = json_dumps(msg, JSON_COMPACT);
	json_decref(msg);
	if (!text)
		return -ENOMEM;
	if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	return 0;
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
	if (n == 0)
		return -ECONNRESET;
	*msg = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(*msg))
		return 0;
	json_decref(*msg);
	*msg = NULL;
	return -EPROTO;
}
