/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * frontend.h: what a frontend asks for, out of nodes that a guest wrote.
 *
 * Node names and meanings: Xen's public header io/blkif.h ("Frontend XenBus
 * Nodes"), and what Linux's xen-blkfront, FreeBSD, OVMF and Windows write.
 * The nodes are the guest's: each is read once, bounded, into a temporary that
 * is judged whole; only then does *out hold anything.
 */
#ifndef XD_BACKEND_FRONTEND_H
#define XD_BACKEND_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/rings.h"
#include "common/error.h"

/* Where the nodes come from: xenstore, or a table in a test. */
struct frontend_source {
	/* Length or -errno, as store_read(); node may contain one slash. */
	int (*read)(void *arg, const char *node, char *buf, size_t size);
	void *arg;
};

/* max_queues: what we have offered, up to LIMIT_QUEUES. -EINVAL,
 * -ERANGE, -ENOENT... with a sentence that names node and value. */
int frontend_read(const struct frontend_source *source,
		  unsigned int max_queues, struct rings *out,
		  struct error *err);

#endif
