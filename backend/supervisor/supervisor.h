/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor.h: what all devices of the daemon share. One thread.
 */
#ifndef XD_BACKEND_SUPERVISOR_H
#define XD_BACKEND_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include <xenstore.h>

#include "backend/supervisor/options.h"
#include "common/list.h"

struct domains;

/* Places to be looked at for new devices; `all` when there are too many to
 * remember, so that this never grows with the number of events. */
#define SCAN_MAX 64
#define SCAN_ANY UINT32_MAX		/* all devices of the domain */
struct scan {
	bool all;
	unsigned int nr;
	struct scan_place {
		uint32_t domid, devid;
	} place[SCAN_MAX];
};

struct supervisor {
	const struct options *options;
	char *worker;			/* program */
	struct xs_handle *xs;
	struct domains *domains;
	int epoll_fd;
	int signal_fd;
	int lock_fd;			/* the pid file, locked */
	struct list devices;		/* struct device */
	struct scan scan[NR_KINDS];
	bool stopping;
	bool stop_failed;		/* something had to be killed */
};

void supervisor_scan(struct supervisor *sv, enum device_kind kind,
		     uint32_t domid, uint32_t devid);

#endif
