/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus.h: what to do next with a device, decided from what xenstore says.
 *
 * States: enum xenbus_state of Xen's public header io/xenbus.h. The decision is
 * one pure function; its caller (life.c) reads the two states,
 * carries out the action, and asks again until the answer is XENBUS_NONE.
 */
#ifndef XD_BACKEND_XENBUS_H
#define XD_BACKEND_XENBUS_H

#include <stdbool.h>

/* The numbers are the protocol's: they stand in the `state` nodes. */
enum xenbus_state {
	XENBUS_UNKNOWN = 0,	/* no node, no number, or the domain is gone */
	XENBUS_INITIALISING = 1,
	XENBUS_INIT_WAIT = 2,
	XENBUS_INITIALISED = 3,
	XENBUS_CONNECTED = 4,
	XENBUS_CLOSING = 5,
	XENBUS_CLOSED = 6,
	XENBUS_RECONFIGURING = 7,
	XENBUS_RECONFIGURED = 8,
};
#define XENBUS_NR_STATES 9

/* How far our worker is with the frontend's rings and the image. */
enum xenbus_link {
	XENBUS_LINK_DOWN,	/* nothing is mapped, the image is closed */
	XENBUS_LINK_WAITING,	/* the image was locked: another try is due */
	XENBUS_LINK_BUSY,	/* a command is under way: ask again after it */
	XENBUS_LINK_UP,		/* image open, rings mapped, being served */
};

struct xenbus_facts {
	enum xenbus_link link;
	bool owned;		/* we claimed this device */
	bool online;		/* the toolstack wants to keep it */
	bool failed;		/* this connection cannot go on */
	bool stopping;		/* the daemon is going down */
	bool claimed;		/* by state 7; not yet offered to the frontend */
	bool alone;		/* no other backend came while it was claimed */
	bool deaf;		/* the frontend's state is not watched yet */
	bool hurried;		/* the link, since it became busy */
};

enum xenbus_action {
	XENBUS_NONE,		/* wait for something to change */
	XENBUS_CLAIM,		/* write 7: no other backend takes it now */
	XENBUS_WATCH,		/* the frontend's state */
	XENBUS_OFFER,		/* write the features and 2 */
	XENBUS_GIVE_BACK,	/* write 1: another backend may have it */
	XENBUS_CONNECT,		/* read the frontend's nodes, open, map */
	XENBUS_PUBLISH,		/* write size, limits and 4 */
	XENBUS_CLOSE,		/* write 5 and show it */
	XENBUS_DISCONNECT,	/* drain, unmap, flush, close the image */
	XENBUS_HURRY,		/* end what the link is busy with, or kill it */
	XENBUS_FINISH,		/* write 6 */
	XENBUS_RESTART,		/* write 2 again for the next driver */
	XENBUS_FORGET,		/* the device is no more */
};

enum xenbus_action xenbus_next(enum xenbus_state be, enum xenbus_state fe,
			       const struct xenbus_facts *facts);

/* For the log: "InitWait", "Connected"... and "offer", "publish"... */
const char *xenbus_state_name(enum xenbus_state state);
const char *xenbus_action_name(enum xenbus_action action);

#endif
