/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire.c: see wire.h. Neither end trusts the other: lengths are judged before
 * they are used, and descriptors that nobody has asked for are closed.
 */
#include "opener/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "common/packet.h"

#define QUESTION_MAX (sizeof(struct wire_ask) + 2 * WIRE_NAME_MAX)
#define ANSWER_MAX (sizeof(struct wire_answer) + WIRE_NAME_MAX)

/* To somebody who may have gone. */
static int send_to_peer(int fd, const struct iovec *iov, size_t niov, int passed_fd)
{
	int ret = packet_send(fd, iov, niov, passed_fd, 0);

	return ret == -EPIPE ? -ECONNRESET : ret;
}

/* ---- who asks ---- */

static int send_question(int fd, const struct opener_ask *ask)
{
	size_t by_len = ask->by ? strlen(ask->by) : 0;
	size_t name_len = ask->name ? strlen(ask->name) : 0;
	struct wire_ask head = {
		.purpose = ask->purpose,
		.write = ask->write,
		.by_len = ask->by ? (uint32_t)by_len : WIRE_UNNAMED,
		.name_len = ask->name ? (uint32_t)name_len : WIRE_UNNAMED,
	};
	struct iovec iov[] = {
		{ &head, sizeof(head) },
		{ (void *)ask->by, by_len },
		{ (void *)ask->name, name_len },
	};

	if (by_len > WIRE_NAME_MAX || name_len > WIRE_NAME_MAX)
		return -ENAMETOOLONG;
	return send_to_peer(fd, iov, ARRAY_SIZE(iov), -1);
}

static int receive_answer(int fd, struct opened *out, struct error *err)
{
	cleanup_free char *packet = malloc(ANSWER_MAX + 1);
	const char *text = packet + sizeof(struct wire_answer);
	struct wire_answer head;
	ssize_t n;

	if (!packet)
		return -ENOMEM;
	n = packet_receive(fd, packet, ANSWER_MAX, &out->fd);
	if (n < 0)
		return error_set_errno(err, -(int)n, "the opener of files");
	packet[n] = 0;
	if ((size_t)n < sizeof(head))
		return error_set_errno(err, EPROTO, "the opener of files");
	memcpy(&head, packet, sizeof(head));
	if (head.ret > 0 || head.text_len != (size_t)n - sizeof(head) ||
	    (head.ret == 0) != (out->fd >= 0))
		return error_set_errno(err, EPROTO, "the opener of files");
	if (head.ret && head.text_len)
		error_set(err, -head.ret, "%s", text);
	if (head.ret)
		return head.ret;
	out->limits = head.limits;
	out->name = strdup(text);
	return out->name ? 0 : -ENOMEM;
}

static int wire_open(struct opener *opener, const struct opener_ask *ask,
		     struct opened *out, struct error *err)
{
	struct wire_opener *w = container_of(opener, struct wire_opener, opener);
	int ret;

	*out = (struct opened)OPENED_INIT;
	ret = send_question(w->fd, ask);
	if (ret == 0)
		ret = receive_answer(w->fd, out, err);
	else
		error_set_errno(err, -ret, "the opener of files");
	if (ret)
		opened_clear(out);
	return ret;
}

void wire_opener_init(struct wire_opener *w, int fd)
{
	*w = (struct wire_opener){
		.opener = { .open = wire_open, .names_data = true },
		.fd = fd,
	};
}

/* ---- who answers ---- */

/* A string of `len` bytes (or none, NULL) at *at, copied into buf, which has room
 * for WIRE_NAME_MAX and its end. -EPROTO: there are not as many, or one of them is
 * 0. */
static int take_string(const char **at, size_t *left, uint32_t len, char *buf,
		       const char **out)
{
	*out = NULL;
	if (len == WIRE_UNNAMED)
		return 0;
	if (len > WIRE_NAME_MAX || len > *left || memchr(*at, 0, len))
		return -EPROTO;
	memcpy(buf, *at, len);
	buf[len] = 0;
	*out = buf;
	*at += len;
	*left -= len;
	return 0;
}

struct question {
	struct opener_ask ask;
	char packet[QUESTION_MAX];
	char by[WIRE_NAME_MAX + 1], name[WIRE_NAME_MAX + 1];
};

static int parse_question(struct question *q, size_t len)
{
	const char *at = q->packet + sizeof(struct wire_ask);
	struct wire_ask head;
	size_t left;
	int ret;

	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, q->packet, sizeof(head));
	left = len - sizeof(head);
	ret = take_string(&at, &left, head.by_len, q->by, &q->ask.by);
	if (ret == 0)
		ret = take_string(&at, &left, head.name_len, q->name,
				  &q->ask.name);
	if (ret || left || head.purpose >= OPENER_NR_PURPOSES || head.write > 1)
		return -EPROTO;
	q->ask.purpose = (enum opener_purpose)head.purpose;
	q->ask.write = head.write;
	return q->ask.name || q->ask.purpose == OPENER_DATA ? 0 : -EPROTO;
}

static int send_answer(int fd, int ret, const struct opened *o,
		       const struct error *err)
{
	const char *text = ret ? err->msg : o->name;
	struct wire_answer head = {
		.ret = ret,
		.text_len = (uint32_t)strlen(text),
		.limits = o->limits,
	};
	struct iovec iov[] = {
		{ &head, sizeof(head) }, { (void *)text, head.text_len },
	};

	return send_to_peer(fd, iov, ARRAY_SIZE(iov), o->fd);
}

static int answer(int fd, const struct opener_ask *ask, struct opener *opener)
{
	struct opened opened = OPENED_INIT;
	struct error err = ERROR_INIT;
	int ret = opener->open(opener, ask, &opened, &err);

	ret = send_answer(fd, ret, &opened, &err);
	opened_clear(&opened);
	return ret;
}

int wire_serve(int fd, struct opener *opener)
{
	cleanup_free struct question *q = calloc(1, sizeof(*q));
	cleanup_fd int unasked = -1;
	ssize_t n;
	int ret;

	if (!q)
		return -ENOMEM;
	n = packet_receive(fd, q->packet, sizeof(q->packet), &unasked);
	if (n < 0)
		return (int)n;
	ret = parse_question(q, (size_t)n);
	return ret ? ret : answer(fd, &q->ask, opener);
}
