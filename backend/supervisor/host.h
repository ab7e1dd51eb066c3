/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* host.h: what all devices of the daemon share. The supervisor's; devices and
 * links only read it. */
#ifndef XD_SUPERVISOR_HOST_H
#define XD_SUPERVISOR_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <xenstore.h>

#include "backend/conf.h"

struct host {
	const struct conf *conf;
	bool foreground;		/* log to stderr, workers, too */
	char *worker;			/* the program */
	struct opening *opener;		/* of files, for all workers */
	struct xs_handle *xs;
	int epoll_fd;			/* wakes the supervisor */
	bool stopping;			/* nothing new is begun */
	uint64_t stop_ns;		/* then: no worker is left by then */
};

#endif
