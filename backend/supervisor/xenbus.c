/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xenbus.c: the life of a device as a table.
 *
 *	backend   1 -> 7 -> 2 ------> 4 -> 5 -> 6
 *	                    ^                   |
 *	                    `-------------------'  online, frontend at 1 again
 *
 * State 7 is a claim (claim.c): QEMU takes devices in state 1 only, and no
 * frontend acts on 7.
 *
 * What frontends are known to need, and where the table has it:
 *  - OVMF, mini-os and some BSDs never show 3: RUN accepts 3 and 4 alike;
 *  - OVMF and mini-os wait for 5 and then for 6 and give up when they miss
 *    one: from 4 there is no way to 6 but through 5, and 5 stays until the
 *    frontend has moved on;
 *  - firmware hands over to a kernel, a kernel to kexec, Windows reconnects at
 *    each boot: from 6 back to 2 as soon as the frontend is at 1;
 *  - Linux refuses to close a disk in use and goes on using it while the
 *    toolstack has already written 5: HOLD keeps serving until the frontend
 *    closes or is gone;
 *  - libxl writes 6 itself for a qdisk of a dying domain: REST unmaps at once
 *    and does not connect again.
 *
 * Nothing here reads a store or keeps a state: tests/unit/test-xenbus.c walks
 * through all pairs.
 */
#include "backend/supervisor/xenbus.h"

#include <stdint.h>

/* What a pair of states asks for; turned into an action by the facts. */
enum wish {
	GONE,	/* no device: let go of everything */
	IDLE,	/* no connection wanted yet */
	RUN,	/* connect */
	SERVE,	/* connected: stay so */
	LEAVE,	/* say that we are closing */
	HOLD,	/* closing; the frontend has still to close */
	END,	/* closing, and the frontend has closed */
	REST,	/* closed */
	AGAIN,	/* closed, and the frontend starts anew, or has already */
};

/* A backend at 1 that we own was made anew under the same name: GONE. */
static const uint8_t wishes[XENBUS_NR_STATES][XENBUS_NR_STATES] = {
	/*                 0      1      2      3      4      5      6      7      8   frontend */
	/* backend 0 */ { GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE },
	/*         1 */ { GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE,  GONE },
	/*         2 */ { IDLE,  IDLE,  IDLE,  RUN,   RUN,   LEAVE, END,   IDLE,  IDLE },
	/*         3 */ { IDLE,  IDLE,  IDLE,  RUN,   RUN,   LEAVE, END,   IDLE,  IDLE },
	/*         4 */ { LEAVE, LEAVE, SERVE, SERVE, SERVE, LEAVE, LEAVE, SERVE, SERVE },
	/*         5 */ { END,   END,   END,   HOLD,  HOLD,  HOLD,  END,   HOLD,  HOLD },
	/*         6 */ { REST,  AGAIN, REST,  AGAIN, REST,  REST,  REST,  REST,  REST },
	/*         7 */ { LEAVE, LEAVE, HOLD,  HOLD,  HOLD,  LEAVE, LEAVE, HOLD,  HOLD },
	/*         8 */ { LEAVE, LEAVE, HOLD,  HOLD,  HOLD,  LEAVE, LEAVE, HOLD,  HOLD },
};

/* Whose it is shows in the claim. */
static enum xenbus_action claim_or_leave_alone(enum xenbus_state be,
					       const struct xenbus_facts *f)
{
	if (be != XENBUS_UNKNOWN && f->online && !f->stopping)
		return XENBUS_CLAIM;
	return XENBUS_FORGET;
}

static enum xenbus_action offer_when_alone(const struct xenbus_facts *f)
{
	if (f->stopping || !f->online)
		return XENBUS_GIVE_BACK;
	return f->alone ? XENBUS_OFFER : XENBUS_NONE;
}

static enum xenbus_action connect_or_leave(const struct xenbus_facts *f)
{
	bool wanted = f->online && !f->failed && !f->stopping;

	if (wanted)
		return f->link == XENBUS_LINK_UP ? XENBUS_PUBLISH :
						   XENBUS_CONNECT;
	if (f->link != XENBUS_LINK_DOWN)
		return XENBUS_DISCONNECT;
	return f->failed ? XENBUS_CLOSE : XENBUS_NONE;
}

static enum xenbus_action hold(const struct xenbus_facts *f)
{
	if (f->link == XENBUS_LINK_WAITING)
		return XENBUS_DISCONNECT;
	if (f->link == XENBUS_LINK_UP && (f->failed || f->stopping))
		return XENBUS_DISCONNECT;
	return f->stopping ? XENBUS_FINISH : XENBUS_NONE;
}

/* Nobody is left who could want what is under way: the domain, or one of the
 * two directories, is gone, or libxl has written 6 for a dying one. */
static enum xenbus_action busy(enum xenbus_state be, enum xenbus_state fe,
			       const struct xenbus_facts *f)
{
	bool gone = be <= XENBUS_INITIALISING || be == XENBUS_CLOSED ||
		    fe == XENBUS_UNKNOWN;

	return gone && !f->hurried ? XENBUS_HURRY : XENBUS_NONE;
}

static enum xenbus_action rest(const struct xenbus_facts *f, bool again)
{
	if (!f->online)
		return XENBUS_FORGET;
	return again && !f->stopping ? XENBUS_RESTART : XENBUS_NONE;
}

static enum xenbus_action next(enum xenbus_state be, enum xenbus_state fe,
			       const struct xenbus_facts *f)
{
	enum wish wish = (enum wish)wishes[be][fe];
	bool down = f->link == XENBUS_LINK_DOWN;

	if (!f->owned)
		return claim_or_leave_alone(be, f);
	if (f->claimed && be == XENBUS_RECONFIGURING)
		return offer_when_alone(f);
	if (f->link == XENBUS_LINK_BUSY)
		return busy(be, fe, f);

	switch (wish) {
	case GONE:
		return down ? XENBUS_FORGET : XENBUS_DISCONNECT;
	case IDLE:
		return down ? XENBUS_NONE : XENBUS_DISCONNECT;
	case RUN:
		return connect_or_leave(f);
	case SERVE:
		if (f->link == XENBUS_LINK_UP && !f->failed && !f->stopping)
			return XENBUS_NONE;
		return XENBUS_CLOSE;
	case LEAVE:
		return XENBUS_CLOSE;
	case HOLD:
		return hold(f);
	case END:
		return down ? XENBUS_FINISH : XENBUS_DISCONNECT;
	case REST:
	case AGAIN:
		return down ? rest(f, wish == AGAIN) : XENBUS_DISCONNECT;
	}
	return XENBUS_NONE;
}

/* To wait for a frontend, or to be there for it, is to hear of its changes. */
enum xenbus_action xenbus_next(enum xenbus_state be, enum xenbus_state fe,
			       const struct xenbus_facts *f)
{
	enum xenbus_action action = next(be, fe, f);

	if (!f->owned || !f->deaf || f->stopping)
		return action;
	switch (action) {
	case XENBUS_NONE:
	case XENBUS_OFFER:
	case XENBUS_CONNECT:
	case XENBUS_PUBLISH:
	case XENBUS_RESTART:
		return XENBUS_WATCH;
	case XENBUS_CLAIM:
	case XENBUS_WATCH:
	case XENBUS_GIVE_BACK:
	case XENBUS_CLOSE:
	case XENBUS_DISCONNECT:
	case XENBUS_HURRY:
	case XENBUS_FINISH:
	case XENBUS_FORGET:
		break;
	}
	return action;
}

const char *xenbus_state_name(enum xenbus_state state)
{
	static const char *const names[XENBUS_NR_STATES] = {
		"Unknown", "Initialising", "InitWait", "Initialised",
		"Connected", "Closing", "Closed", "Reconfiguring",
		"Reconfigured",
	};

	return names[state];
}

const char *xenbus_action_name(enum xenbus_action action)
{
	static const char *const names[] = {
		[XENBUS_NONE] = "wait", [XENBUS_CLAIM] = "claim",
		[XENBUS_WATCH] = "watch", [XENBUS_OFFER] = "offer",
		[XENBUS_GIVE_BACK] = "give back",
		[XENBUS_CONNECT] = "connect", [XENBUS_PUBLISH] = "publish",
		[XENBUS_CLOSE] = "close", [XENBUS_DISCONNECT] = "disconnect",
		[XENBUS_HURRY] = "hurry", [XENBUS_FINISH] = "finish",
		[XENBUS_RESTART] = "restart",
		[XENBUS_FORGET] = "forget",
	};

	return names[action];
}
