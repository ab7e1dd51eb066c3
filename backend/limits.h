/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* limits.h: the most that is offered to a frontend, and that a worker is told
 * to connect. */
#ifndef XD_BACKEND_LIMITS_H
#define XD_BACKEND_LIMITS_H

#define LIMIT_QUEUES 16
#define LIMIT_RING_ORDER 4	/* log2 of a ring's pages */
#define LIMIT_INDIRECT 256	/* segments of a request, as Linux's backend */

#endif
