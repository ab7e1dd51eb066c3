/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request.h: requests in flight, and what one of them has others wait for. */
#ifndef XD_IMAGE_QCOW2_REQUEST_H
#define XD_IMAGE_QCOW2_REQUEST_H

#include "image/qcow2/core/qcow2.h"

/* Between looking an offset up and having used it: what is freed meanwhile is not
 * given away before its end. */
static inline void qcow2_request_begin(struct qcow2 *q, struct qcow2_request *r)
{
	r->seq = q->next_seq++;
	list_add_tail(&q->requests, &r->link);
}

static inline void qcow2_request_end(struct qcow2_request *r)
{
	list_del(&r->link);
}

/* co. Waits once if the mapping of a guest cluster in [first, last] is being
 * changed; true if it did: look again. */
bool qcow2_alloc_wait(struct qcow2 *q, uint64_t first, uint64_t last);
/* Others wait for these until the end. */
void qcow2_alloc_begin(struct qcow2 *q, struct qcow2_alloc *a, uint64_t first,
		       uint64_t last);
void qcow2_alloc_end(struct qcow2_alloc *a);

#endif
