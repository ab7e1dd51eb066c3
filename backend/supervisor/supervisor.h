/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.h: the daemon's loop over all devices. One thread.
 */
#ifndef XD_SUPERVISOR_SUPERVISOR_H
#define XD_SUPERVISOR_SUPERVISOR_H

#include "backend/supervisor/device.h"
#include "backend/supervisor/opening.h"
#include "backend/supervisor/scan.h"
#include "backend/supervisor/watch.h"

struct supervisor {
	struct host host;
	struct opening opener;
	struct list devices;		/* struct device */
	struct scan scan;
	struct watch watch;
	int signal_fd;
	bool stop_failed;		/* something had to be killed */
};

/* Nothing is open yet; conf stays the caller's. */
void supervisor_init(struct supervisor *sv, const struct conf *conf,
		     bool foreground);
/* xenstore, signals and the worker's program; before any thread is made. */
int supervisor_open(struct supervisor *sv, struct error *err);
/* Until SIGTERM or SIGINT, and then until all workers have ended. */
void supervisor_run(struct supervisor *sv);
void supervisor_close(struct supervisor *sv);

#endif
