/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daemonize.h: the way into the background, whose end the caller's shell can
 * wait for. */
#ifndef XD_SUPERVISOR_DAEMONIZE_H
#define XD_SUPERVISOR_DAEMONIZE_H

#include <stdbool.h>

/* Forks, unless in the foreground. The parent stays until the child is done or
 * has ended, and exits with 0 or 1. Returns what daemonize_done() wants. */
int daemonize(bool foreground);

/* The child serves: the parent may go. From now on nobody reads what is
 * printed. Nothing in the foreground. */
void daemonize_done(int ready_fd);

#endif
