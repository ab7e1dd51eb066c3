/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: one vbd of one guest, as the supervisor has it, and what its
 * administrator is told of it.
 *
 *	claim.c		is it ours?
 *	connect.c	its worker: what is asked of it, what it answers
 *	life.c		what its states ask for
 */
#ifndef XD_SUPERVISOR_DEVICE_H
#define XD_SUPERVISOR_DEVICE_H

#include "backend/supervisor/host.h"
#include "backend/supervisor/link.h"
#include "common/list.h"
#include "common/log.h"
#include "xlcfg/disk.h"

enum device_stage {
	DEVICE_CLAIMED,		/* in state 7, not yet shown to the frontend */
	DEVICE_OFFERED,		/* ours */
	DEVICE_YIELDED,		/* a QEMU serves it, too: its nodes are QEMU's */
	DEVICE_FORGOTTEN,	/* only the worker has still to end */
};

struct device {
	struct list link;
	const struct host *host;

	/* identity */
	enum device_kind kind;
	uint32_t domid, devid;
	struct log_object log;		/* "vbd 3/51712" */
	char path[64];			/* "backend/qdisk/3/51712" */

	/* the toolstack's nodes; read once, after the claim */
	char *params_text;
	struct xl_params params;	/* points into params_text */
	char *frontend;			/* the other end's directory */
	bool readonly, cdrom, removable, discard;

	/* progress */
	enum device_stage stage;	/* device_enter() */
	uint64_t offer_ns;		/* when claimed: it is alone by then */
	bool dirty;			/* to be looked at in this turn */
	bool failed;			/* see struct xenbus_facts */
	bool dead_domain;
	bool made_anew;			/* maybe, by its name: scan for it */

	/* what stands in xenstore of us */
	bool published;			/* `sectors` is ours... */
	struct limits_answer published_limits;	/* ...and says this */
	bool shown;			/* the last state we wrote is 4 */
	bool reported;			/* an error */

	struct link worker;
};

/* NULL: no memory. Frees params_text, frontend and itself. */
struct device *device_new(const struct host *host, enum device_kind kind,
			  uint32_t domid, uint32_t devid);
void device_free(struct device *dev);

/* NULL: it is not among them, or forgotten. */
struct device *device_find(struct list *devices, enum device_kind kind,
			   uint32_t domid, uint32_t devid);

void device_enter(struct device *dev, enum device_stage stage);

/* Writes the reason to the log and, unless the nodes are somebody else's, to
 * the device's `error` and `hotplug-error`... */
void device_report(struct device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* ...and ends this connection. */
void device_fail(struct device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* All is well: tells a waiting hotplug script, takes errors back. */
void device_report_good(struct device *dev);

#endif
