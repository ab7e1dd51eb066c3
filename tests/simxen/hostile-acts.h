/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hostile-acts.h: what hostile frontends do in several steps, and what these
 * share.
 *
 * Each act is given a frontend that is opened and not connected, ends the
 * program where the backend is wrong, and leaves the device closed.
 */
#ifndef XD_SIMXEN_HOSTILE_ACTS_H
#define XD_SIMXEN_HOSTILE_ACTS_H

#include "tests/simxen/blkfront.h"

#define REACTION_MS 5000
#define NO_SUCH_GREF 0xfffffff0u

/* ---- hostile.c ---- */

/* Verified I/O, connected. */
void use(struct front *f);
/* From whatever state back to one that works; then closed. */
void recover(struct front *f);
/* The backend says why it does not connect, and does not. */
void expect_refusal(struct front *f);

/* Of one request. */
struct answer {
	bool came;
	int status;
};
void take_answer(void *ctx, void *cookie, int status);
/* Pushes what is in queue 0 and waits. */
void wait_answer(struct front *f, struct answer *a);

/* ---- hostile-ring.c: memory that the backend reads and writes ---- */

void ring_double_fetch(struct front *f);
void ring_double_fetch_indirect(struct front *f);
void ring_padding(struct front *f);
void ring_one_page(struct front *f);
void ring_shared_queues(struct front *f);

/* ---- hostile-grants.c ---- */

void grants_of_refused(struct front *f);
void grants_of_every_status(struct front *f);
void grants_of_half_a_ring(struct front *f);
void grants_back_with_answer(struct front *f);
void grants_persistent(struct front *f);
void grants_side_by_side(struct front *f);

/* ---- hostile-storm.c ---- */

void storm_of_kicks(struct front *f);
void storm_and_close(struct front *f);
void storm_of_nodes(struct front *f);
void events_as_asked(struct front *f);

#endif
