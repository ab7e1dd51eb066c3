/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an opener hears of workers that are not ours any more, and a worker of an
 * opener that is not: packets, with a descriptor beside them or without. The
 * first byte says which; each packet is its length in two bytes, a byte of what
 * goes beside it, and its bytes.
 *
 * What must hold: nothing is asked for but what the packet says, with names that
 * end; each question has one answer, and what is no question none; no descriptor
 * is left open.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/bits.h"
#include "common/packet.h"
#include "opener/wire.h"

#define MAX_PACKETS 16

static unsigned int asked;

/* Refuses every other one, with a sentence or without. */
static int say(struct opener *opener, const struct opener_ask *ask,
	       struct opened *out, struct error *err)
{
	MUST(ask->purpose < OPENER_NR_PURPOSES);
	MUST(!ask->by || strlen(ask->by) <= WIRE_NAME_MAX);
	MUST(ask->name ? strlen(ask->name) <= WIRE_NAME_MAX :
			 ask->purpose == OPENER_DATA);
	*out = (struct opened)OPENED_INIT;
	switch (asked++ % 3) {
	case 0:
		return error_set(err, EACCES, "%.900s", ask->name ?: "nothing");
	case 1:
		return -ENOENT;
	}
	out->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	out->name = strdup(ask->name ?: "a name");
	MUST(out->fd >= 0 && out->name);
	return 0;
}

static void send_packet(int fd, const uint8_t *data, size_t size, bool with_fd)
{
	const struct iovec iov = { (void *)data, size };

	MUST(!packet_send(fd, &iov, 1, with_fd ? fd : -1, MSG_DONTWAIT));
}

/* An opener. */
static void answer(const int ends[2])
{
	static struct opener opener = { .open = say };
	char reply[WIRE_NAME_MAX + 2000];
	unsigned int before = asked;
	int ret = wire_serve(ends[1], &opener);

	MUST(ret == 0 || ret == -EPROTO || ret == -ECONNRESET);
	MUST(asked - before == (ret == 0));
	MUST((recv(ends[0], reply, sizeof(reply), MSG_DONTWAIT) > 0) ==
	     (ret == 0));
}

/* A worker. */
static void ask(const int ends[2])
{
	const struct opener_ask question = { OPENER_IMAGE, .name = "/image" };
	char heard[64];
	struct error err = ERROR_INIT;
	struct wire_opener w;
	struct opened opened;

	wire_opener_init(&w, ends[1]);
	if (w.opener.open(&w.opener, &question, &opened, &err) == 0) {
		MUST(opened.fd >= 0 && opened.name);
		opened_clear(&opened);
	}
	MUST(opened.fd == -1 && !opened.name);
	MUST(recv(ends[0], heard, sizeof(heard), MSG_DONTWAIT) > 0);
}

static int lowest_free(void)
{
	int fd = dup(0);

	MUST(fd >= 0);
	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void (*hear)(const int ends[2]) = size && (data[0] & 1) ? ask : answer;
	int ends[2], before = lowest_free();
	size_t at = 1;

	MUST(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	for (int i = 0; i < MAX_PACKETS && at + 3 <= size; i++) {
		size_t len = min((size_t)(data[at] << 8 | data[at + 1]),
				 size - at - 3);

		if (len)
			send_packet(ends[0], data + at + 3, len,
				    data[at + 2] & 1);
		if (len)
			hear(ends);
		at += 3 + len;
	}
	close(ends[0]);
	close(ends[1]);
	MUST(lowest_free() == before);
	return 0;
}
