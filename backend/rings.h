/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rings.h: a frontend's rings: what it asks for, and the most that it is
 * offered, which is the most that a worker is told to connect.
 */
#ifndef XD_BACKEND_RINGS_H
#define XD_BACKEND_RINGS_H

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_QUEUES 16
#define LIMIT_RING_ORDER 4	/* log2 of a ring's pages */
#define LIMIT_INDIRECT 256	/* segments of a request, as Linux's backend */

struct rings {
	bool abi_x86_32;
	bool persistent;
	unsigned int ring_order;
	unsigned int nr_queues;
	struct ring_queue {
		uint32_t port;		/* event channel of the guest */
		uint32_t refs[1 << LIMIT_RING_ORDER];	/* grants of the pages */
	} queues[LIMIT_QUEUES];
};

#endif
