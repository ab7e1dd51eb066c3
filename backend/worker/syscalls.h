/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syscalls.h: the system calls that a confined worker may make.
 *
 * By what it is doing: opening an image, serving connected rings, or, where the
 * image is on a server, talking to that. The list of a connected worker stands in
 * SECURITY.md, too.
 */
#ifndef XD_WORKER_SYSCALLS_H
#define XD_WORKER_SYSCALLS_H

#include <stdbool.h>

#include <seccomp.h>

enum syscall_phase {
	PHASE_OPENING = 1 << 0,
	PHASE_CONNECTED = 1 << 1,
	PHASE_NETWORK = 1 << 2,		/* whatever else it is doing */
};

/* Adds the rules of these phases, by which what is on the list is allowed.
 * -errno */
int syscalls_allow(scmp_filter_ctx ctx, unsigned int phases);

/* Is it on the list? Of one that is allowed with certain arguments: not for a
 * connected worker, whose filter has found the others. */
bool syscalls_has(unsigned int phases, int nr);

#endif
