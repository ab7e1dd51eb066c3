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
	DEVICE_SEEN,		/* for us; xenstore has refused the claim */
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
	bool readonly, cdrom, removable, discard, direct_io_safe;

	/* progress */
	enum device_stage stage;	/* device_enter() */
	uint64_t offer_ns;		/* when claimed: it is alone by then */
	bool dirty;			/* to be looked at in this turn */
	bool failed;			/* see struct xenbus_facts */
	bool dead_domain;
	bool made_anew;			/* maybe, by its name: scan for it */

	/* what stands in xenstore of us */
	bool watched;			/* the frontend's state */
	bool published;			/* `sectors` is ours... */
	struct limits_answer published_limits;	/* ...and says this */
	bool shown;			/* the last state we wrote is 4 */
	bool reported;			/* an error */

	/* what is to stand there: the first of these */
	enum xenbus_action refused;	/* by xenstore; XENBUS_NONE: nothing */
	int refused_errnum;
	struct error trouble;		/* "": none */
	bool good;			/* its image: looked at, or served */
	bool untold;			/* it does not stand there yet */

	uint64_t retry_ns;		/* of what is refused; 0: not wanted */
	uint64_t retry_delay_ns;	/* 0: all is written */

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

/* The reason goes to the log and, unless the nodes are somebody else's, with
 * device_tell() to the device's `error` and `hotplug-error`... */
void device_report(struct device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* ...and this connection ends. */
void device_fail(struct device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* All is well, but for what xenstore refuses: a waiting hotplug script is to
 * hear of it, errors are taken back. */
void device_report_good(struct device *dev);

/*
 * How an action's writes went (0 or -errno), after each. What is refused is
 * said once, is an error until it works, and is tried again later and later:
 * false from device_may() until then. All other actions may be tried.
 */
bool device_may(const struct device *dev, enum xenbus_action action,
		uint64_t now_ns);
void device_wrote(struct device *dev, enum xenbus_action action, int ret);

/* Writes what has been reported since, if it is time. */
void device_tell(struct device *dev, uint64_t now_ns);
/* After a step that began at now_ns: what was due then is done, refused again,
 * or not wanted any more. */
void device_settle(struct device *dev, uint64_t now_ns);

#endif
