/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * confine.h: the worker gives up, for good, what it does not need.
 *
 * From then on it is a user of its own without capabilities, in namespaces of its
 * own with an empty root and no network, may open no path (Landlock) and make
 * only the system calls of a list (seccomp). Descriptors that it has, and those
 * that it is given, keep their rights. SECURITY.md tells of each.
 */
#ifndef XD_WORKER_CONFINE_H
#define XD_WORKER_CONFINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "backend/start.h"
#include "common/error.h"

struct confine {
	enum sandbox sandbox;
	uid_t uid;		/* and gid, to become; 0: stay who we are */
	uint64_t address_space;	/* bytes, 0: no limit */
	bool network;		/* the image is on a server: sockets, names of
				 * hosts and certificates have to be found */
};

/*
 * Before any thread is started and anything is read that a guest or an image
 * says. SANDBOX_LOG: nothing is given up, but each system call that would end the
 * worker is logged once, and counted. -errno and a sentence: it must not go on;
 * what the kernel of this host does not have is logged and left out, but for the
 * list of system calls.
 */
int confine(const struct confine *c, struct error *err);

/* All but the list of system calls: for tests of what stands behind it. */
int confine_but_syscalls(const struct confine *c, struct error *err);

/* The rings are mapped: what only opening an image took is given up, too. */
int confine_connected(const struct confine *c, struct error *err);

/* SANDBOX_LOG: tells how often each call would have been refused. */
void confine_report(void);

#endif
