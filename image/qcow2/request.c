/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* request.c: guest clusters whose mapping a request is changing. */
#include "image/qcow2/request.h"

bool qcow2_alloc_wait(struct qcow2 *q, uint64_t first, uint64_t last)
{
	struct qcow2_alloc *a;

	list_for_each(a, &q->allocs, link) {
		if (a->first <= last && first <= a->last) {
			co_queue_wait(&a->waiters);
			return true;
		}
	}
	return false;
}

void qcow2_alloc_begin(struct qcow2 *q, struct qcow2_alloc *a, uint64_t first,
		       uint64_t last)
{
	a->first = first;
	a->last = last;
	co_queue_init(&a->waiters);
	list_add_tail(&q->allocs, &a->link);
}

void qcow2_alloc_end(struct qcow2_alloc *a)
{
	list_del(&a->link);
	co_queue_wake_all(&a->waiters);
}
