/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * link.h: the talk with the worker of one device (backend/protocol.h).
 *
 * A link knows the process, the image's arguments and the rings that it is
 * given, and when to try again or to lose patience: each command has a
 * deadline, after which the worker is killed (LINK_ENDED). It knows neither
 * xenstore nor the device: that hears of everything by `told`. Nothing here
 * blocks.
 */
#ifndef XD_SUPERVISOR_LINK_H
#define XD_SUPERVISOR_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/arguments.h"
#include "backend/supervisor/child.h"
#include "backend/supervisor/host.h"
#include "backend/supervisor/xenbus.h"
#include "common/log.h"

/* Strings are the caller's, for the length of the call. */
struct link_image {
	const char *path;		/* "": a drive without a medium */
	const char *format;
	bool readonly;
	bool unmap;			/* discards reach the file */
	bool direct_io_safe;		/* without the host's page cache */
};

enum link_event {
	LINK_PROBED,		/* errnum tells how it went */
	LINK_OPENED,		/* then link_connect() or link_disconnect() */
	LINK_CONNECTED,		/* UP; with errnum it is disconnecting */
	LINK_DISCONNECTED,	/* DOWN; errnum: of closing the image */
	LINK_FAILED,		/* serving cannot go on: disconnect */
	LINK_ENDED,		/* the process, unasked; errnum: it was in use */
};

enum link_command {
	LINK_COMMAND_PROBE,
	LINK_COMMAND_OPEN,
	LINK_COMMAND_CONNECT,
	LINK_COMMAND_DISCONNECT,
	LINK_NR_COMMANDS,
};

struct link_news {
	enum link_event event;
	int errnum;		/* 0: good */
	const char *why;	/* a sentence, where errnum is set */
};

/* A process: for one connection, or for one look at the image. */
struct worker {
	struct link *link;
	struct child child;
	unsigned int awaited[LINK_NR_COMMANDS];	/* answers still to come */
	bool broken;			/* has not kept to its protocol */
	bool cancelled;			/* has been told so */
	bool may_fail;			/* connected, and has not said so yet */
	bool closed;			/* it is to end */
	uint64_t lines_since_ns;	/* of the log, in this second */
	unsigned int lines;
	const char *task;		/* what it has to do, or NULL... */
	uint64_t since_ns, deadline_ns;	/* ...since when, and by when */
	uint64_t killed_ns;		/* its time was over; 0: it was not */
};

struct link {
	const struct host *host;
	struct log_object *log;		/* the device's */
	uint32_t domid;			/* of the guest */
	/* From within link_...() calls; must not free the link. */
	void (*told)(struct link *l, const struct link_news *news);

	struct worker serving, probing;
	bool probes_locks;		/* that of `probing` looks for locks */
	enum xenbus_link state;		/* changed by link.c alone */
	struct limits_answer limits;	/* since LINK_OPENED */
	uint64_t retry_ns;		/* when WAITING: the next try */
	uint64_t retry_delay_ns;
	uint64_t give_up_ns;		/* when WAITING: no more tries */
	uint64_t end_ns;		/* all of it by then; 0: not hurried */
};

/* host and log stay the caller's. */
void link_init(struct link *l, const struct host *host, struct log_object *log,
	       uint32_t domid,
	       void (*told)(struct link *l, const struct link_news *news));

/* Looks at the image early, so that errors show before the guest runs; with
 * `locks`, whether it could be opened now. */
void link_probe(struct link *l, const struct link_image *image, bool locks);

/* Opens the image; while its locks are held by others, tries again when it is
 * called after retry_ns. */
void link_open(struct link *l, const struct link_image *image);

/* After LINK_OPENED. discard: it was advertised. */
void link_connect(struct link *l, bool discard, const struct rings *rings);
void link_disconnect(struct link *l);
/* Nobody waits for it any more: what is under way is given up, and it is DOWN
 * within 10 s, or killed. */
void link_hurry(struct link *l);

/* The worker is not needed any more. */
void link_close(struct link *l);

/* The worker has said something, or its socket has ended (epoll's data is the
 * worker). Takes some of what there is; one that does not keep to the protocol is
 * killed. */
void link_hear(struct worker *w);
/* Looks whether workers have ended. */
void link_reap(struct link *l);
/* Is any process of it left? */
bool link_lives(const struct link *l);
/* Does what is due; else lowers *next_ns to when something will be. True when
 * it is time for link_open(). */
bool link_tick(struct link *l, uint64_t now_ns, uint64_t *next_ns);

#endif
