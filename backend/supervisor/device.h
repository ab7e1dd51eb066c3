/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device.h: one vbd of one guest, as the supervisor sees it.
 *
 * Made by a claim (claim.c), moved on by device_step() whenever something may
 * have changed (device.c), connected by its worker (link.c), gone when
 * device_gone() says so. Nothing here blocks but xenstore.
 */
#ifndef XD_BACKEND_DEVICE_H
#define XD_BACKEND_DEVICE_H

#include "backend/supervisor/child.h"
#include "backend/supervisor/supervisor.h"
#include "backend/supervisor/xenbus.h"
#include "xlcfg/disk.h"

/* What a worker has said about the image; sizes in bytes. */
struct device_limits {
	uint64_t size;
	uint64_t physical_block;
	uint64_t discard_granularity;
	bool discard;
};

struct device {
	struct list link;
	struct supervisor *sv;

	/* who */
	enum device_kind kind;
	uint32_t domid, devid;
	char name[32];			/* "vbd 3/51712" */
	char path[64];			/* "backend/qdisk/3/51712" */

	/* what the toolstack wants; read once, after the claim */
	char *params_text;
	struct xl_params params;	/* points into params_text */
	char *frontend;			/* the other end's directory */
	bool readonly, cdrom, removable, discard;

	/* what is going on */
	bool dirty;			/* to be looked at in this turn */
	bool claimed;			/* see struct xenbus_facts */
	bool contended;			/* a QEMU runs that may take it */
	uint64_t offer_ns;		/* when claimed: it is alone by then */
	bool adopted;			/* a predecessor had offered it */
	bool failed;			/* see struct xenbus_facts */
	bool published;			/* `sectors` is ours... */
	struct device_limits published_limits;	/* ...and says this */
	bool shown;			/* the last state we wrote is 4 */
	bool yielded;			/* to a QEMU that serves it, too */
	bool dead_domain;
	bool reported;			/* an error stands in xenstore */
	bool forgotten;			/* only the worker has still to end */
	struct log_limit log_limit;	/* of what a guest can cause */

	/* its worker (link.c) */
	struct child child;
	enum xenbus_link state;
	struct device_limits limits;
	uint64_t retry_ns;		/* when WAITING: the next try */
	uint64_t retry_delay_ns;
	uint64_t give_up_ns;		/* when WAITING: no more tries */
	uint64_t kill_ns;		/* closed: when patience ends, or 0 */
};

/* ---- claim.c ---- */

/*
 * Takes a device that waits for a backend, or one that a predecessor of ours
 * has left. 0 and NULL: it is not for us. Quick: what can wait until all of
 * a guest's devices are claimed is device_prepare()'s.
 */
int device_claim(struct supervisor *sv, enum device_kind kind, uint32_t domid,
		 uint32_t devid, struct device **out);
void device_prepare(struct device *dev);

/* Shows the device to its frontend, features and state 2 in one transaction. */
void device_offer(struct device *dev);
/* Undoes a claim: the device waits for a backend again. */
void device_give_back(struct device *dev);

/* Has a QEMU made the device its own, too? Then it is left to QEMU, without a
 * node of ours. */
bool device_yield_to_qemu(struct device *dev, enum xenbus_state be);

/* ---- device.c ---- */

void device_free(struct device *dev);	/* only when device_gone() */

/* Reads both states and does what they ask for. */
void device_step(struct device *dev);

/* Writes the reason to the log and to the device's nodes... */
void device_report(struct device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* ...and ends this connection. */
void device_fail(struct device *dev, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The image is there: tells a waiting hotplug script, takes errors back. */
void device_report_good(struct device *dev);

/* Does what is due; else lowers *next_ns to when something will be. */
void device_tick(struct device *dev, uint64_t now_ns, uint64_t *next_ns);

/* Nothing mapped or open, and nothing left to do in xenstore. */
bool device_parked(struct device *dev);
/* Forgotten, and its worker has ended. */
bool device_gone(const struct device *dev);

/* ---- link.c ---- */

/* Looks at the image early, so that errors show before the guest runs. */
void link_probe(struct device *dev);
/* Opens the image and maps the rings; or tries again, if it is time. */
void link_connect(struct device *dev);
void link_disconnect(struct device *dev);
/* The worker is not needed any more. */
void link_close(struct device *dev);

/* The worker has said something, or its socket has ended. */
void link_hear(struct device *dev);
/* Looks whether the worker has ended. */
void link_reap(struct device *dev);
/* Does what is due; else lowers *next_ns to when something will be. */
void link_tick(struct device *dev, uint64_t now_ns, uint64_t *next_ns);

uint64_t monotonic_ns(void);

#endif
