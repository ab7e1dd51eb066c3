/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * child.h: a process of the supervisor's, a worker or the opener.
 *
 * A zeroed struct with fd -1 (child_init) is "none". It ends when its socket is
 * closed; it is gone when child_reap() has said so.
 */
#ifndef XD_BACKEND_CHILD_H
#define XD_BACKEND_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "backend/protocol.h"
#include "backend/start.h"
#include "common/error.h"

struct child {
	pid_t pid;		/* 0: none */
	int fd;			/* our end of the socket, -1: closed */
};

void child_init(struct child *c);

/* Starts `program` with our environment, in a process group of its own, with
 * nothing open but 0, 1, 2, WORKER_FD and, unless it is -1, opener_fd as
 * OPENER_FD; that stays the caller's. */
int child_spawn(struct child *c, const char *program,
		const struct start *start, int opener_fd, struct error *err);

/* Tells it to finish by closing the socket; idempotent. */
void child_close(struct child *c);

/* SIGKILL; idempotent. */
void child_kill(struct child *c);

/* Has it, and will child_reap() say so? */
bool child_ended(const struct child *c);

/* True once, when the process has ended; *status as waitpid(2) has it. */
bool child_reap(struct child *c, int *status);

static inline bool child_alive(const struct child *c)
{
	return c->pid > 0;
}

/* Where the program of that name is: beside this one in a build tree, else in
 * libexec. malloc()ed; NULL and a sentence when in neither. */
char *child_find_program(const char *name, struct error *err);

#endif
