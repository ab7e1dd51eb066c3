/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * local.h: an opener in this process: finds facts, judges by policy.h, opens.
 */
#ifndef XD_OPENER_LOCAL_H
#define XD_OPENER_LOCAL_H

#include <sys/types.h>

#include "opener/opener.h"
#include "opener/policy.h"

struct layer;

struct local_opener {
	struct opener opener;
	const struct policy *policy;	/* the caller's */
	/* An image's word is its owner's; else this process's. Then images are
	 * those that were opened here, by those names. */
	bool owners;
	struct layer *layers;		/* what was opened */
	size_t nr_layers;
};

void local_opener_init(struct local_opener *l, const struct policy *policy,
		       bool owners);
void local_opener_clear(struct local_opener *l);

/* As one whose policy allows what is recorded. opener may be NULL: that one. */
int opener_open(struct opener *opener, const struct opener_ask *ask,
		struct opened *out, struct error *err);

#endif
