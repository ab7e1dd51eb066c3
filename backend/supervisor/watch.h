/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.h: what happens in xenstore.
 *
 * An event only marks a device as dirty, or a place to be scanned; however many
 * there are, each turn of the supervisor looks once. So a guest that writes its
 * nodes in a loop costs a bounded amount of work and no memory.
 */
#ifndef XD_SUPERVISOR_WATCH_H
#define XD_SUPERVISOR_WATCH_H

#include "backend/supervisor/device.h"
#include "backend/supervisor/domains.h"
#include "backend/supervisor/scan.h"

struct watch {
	const struct host *host;
	struct domains *domains;	/* NULL: we may not ask */
	struct list *devices;
	struct scan *scan;
};

/* All kinds that are served, and the ends of domains; what is there already
 * is noted at once. */
int watch_start(struct watch *w, struct error *err);

/* Takes some of the events there are; xenstore's descriptor stays readable
 * while there are more. -errno: xenstore has gone away. */
int watch_hear(struct watch *w);

#endif
