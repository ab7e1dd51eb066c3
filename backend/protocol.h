/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * protocol.h: what the supervisor and its processes say to each other.
 *
 * A socket of type SOCK_SEQPACKET, one JSON object a packet. The worker finds
 * its end at WORKER_FD. It does one command after the other, in order, and
 * answers each but cancel; when the socket ends it drains, closes and exits.
 *
 * supervisor to worker: {"execute": NAME, "arguments": {...}}
 *   probe       IMAGE -> LIMITS. Looks at the header without writes, and
 *               with `locks` whether an open would get them; none is taken.
 *   open        IMAGE -> LIMITS. Under image locks; they last until disconnect.
 *               An empty path is a drive without a medium: LIMITS of size 0.
 *   connect     CONNECT -> {}. Maps the rings and begins to serve.
 *   disconnect  {} -> STATS. Answers what is in flight, unmaps, flushes and
 *               closes the image. Also after an open without a connect.
 *   stats       {} -> STATS
 *   cancel      {}, heard while another command runs, too; has no answer.
 *               Nobody waits any more for the commands before it, nor for
 *               answers on the rings: all but disconnect end as soon as they
 *               can, with any error, and no server that is silent is waited
 *               for. What requests have changed is written down. Until the end
 *               of disconnect.
 *
 * worker to supervisor: {"return": {...}, "command": NAME}
 *   or {"error": {"errno": N, "desc": SENTENCE}, "command": NAME}
 *   or {"event": "failed", "desc": SENTENCE}: serving cannot go on; nothing
 *   more is answered on the rings until disconnect. Once a connect.
 *   or {"event": "log", "level": N, "sentence": N, "desc": LINE}: for the log
 *   (log_handed()).
 *
 * supervisor to opener (its end is at WORKER_FD, too): IMAGE, and beside it the
 * end of a socket on which a worker asks for the files of that image
 * (opener/wire.h), which the worker has at OPENER_FD. No answer.
 *
 * IMAGE, LIMITS, CONNECT: arguments.h.
 * STATS: reads, writes, flushes, discards, bytes-read, bytes-written, errors.
 */
#ifndef XD_BACKEND_PROTOCOL_H
#define XD_BACKEND_PROTOCOL_H

#include <jansson.h>

#define WORKER_FD 3
#define MESSAGE_MAX (64 * 1024)		/* 16 queues of 16 pages take 4 KiB */

/* Takes msg over, NULL included (-ENOMEM). -errno of send(2); -EAGAIN: the
 * other side does not read. */
int message_send(int fd, json_t *msg);
/* The same with a descriptor beside it, which stays the caller's. */
int message_send_fd(int fd, json_t *msg, int passed_fd);

/* 0 and *msg; -EAGAIN: nothing there; -ECONNRESET: the other side is gone;
 * -EPROTO: not one JSON object. */
int message_receive(int fd, json_t **msg);
/* The same, but waits for it, and *passed_fd is what came beside it, the caller's,
 * or -1. */
int message_wait_fd(int fd, json_t **msg, int *passed_fd);

#endif
