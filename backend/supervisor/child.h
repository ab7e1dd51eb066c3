/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * child.h: a worker process as the supervisor holds it.
 *
 * A zeroed struct with fd -1 (child_init) is "no worker". A worker ends when
 * its socket is closed; it is gone when child_reap() has said so.
 */
#ifndef XD_BACKEND_CHILD_H
#define XD_BACKEND_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "backend/protocol.h"
#include "common/error.h"

struct child {
	pid_t pid;		/* 0: none */
	int fd;			/* our end of the socket, -1: closed */
};

void child_init(struct child *c);

/* Starts `program` for the object named `name` with our environment, in a
 * process group of its own, with nothing open but 0, 1, 2 and WORKER_FD. */
int child_spawn(struct child *c, const char *program, const char *name,
		const char *log_level, bool log_to_stderr, struct error *err);

/* Tells it to finish by closing the socket; idempotent. */
void child_close(struct child *c);

/* SIGKILL; idempotent. */
void child_kill(struct child *c);

/* True once, when the process has ended; *status as waitpid(2) has it. */
bool child_reap(struct child *c, int *status);

static inline bool child_alive(const struct child *c)
{
	return c->pid > 0;
}

/* Where xdisk-worker is: beside this program in a build tree, else in
 * libexec. malloc()ed; NULL and a sentence when in neither. */
char *child_find_worker(struct error *err);

#endif
