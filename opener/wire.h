/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wire.h: asking an opener that is another process.
 *
 * A socket of type SOCK_SEQPACKET: one packet a question, one an answer, with
 * the descriptor beside it (SCM_RIGHTS). Both ends are of one build: numbers are
 * the host's. Names are bytes, as the kernel takes them.
 *
 *	question	struct wire_ask, `by`, `name`
 *	answer		struct wire_answer, the name that was opened or a sentence
 */
#ifndef XD_OPENER_WIRE_H
#define XD_OPENER_WIRE_H

#include <limits.h>
#include <stdint.h>

#include "opener/opener.h"

#define OPENER_FD 4		/* a worker's end */

/* A name is as long as a qcow2 header's 1023 bytes behind a path of PATH_MAX. */
#define WIRE_NAME_MAX (2 * PATH_MAX)
#define WIRE_UNNAMED UINT32_MAX		/* length of a name that there is not */

struct wire_ask {
	uint32_t purpose;	/* enum opener_purpose */
	uint32_t write;		/* 0, 1 */
	uint32_t by_len;	/* bytes, or WIRE_UNNAMED */
	uint32_t name_len;
};

struct wire_answer {
	int32_t ret;		/* 0 or -errno */
	uint32_t text_len;
	struct device_limits limits;
};

/* An opener at the other end of fd, which stays the caller's. open() waits for
 * the answer, -ECONNRESET when there is nobody. */
struct wire_opener {
	struct opener opener;
	int fd;
};
void wire_opener_init(struct wire_opener *w, int fd);

/* The other end: answers one question by what `opener` says. May block. 0;
 * -ECONNRESET: nobody is there any more; -EPROTO: no question, to be answered
 * by closing the socket. */
int wire_serve(int fd, struct opener *opener);

#endif
