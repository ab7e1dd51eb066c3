/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * repack.h: compressed clusters given another place, for compacting.
 *
 * Several entries may name the same compressed cluster, those of snapshots; all
 * get the same new place. Whoever changes an entry frees the old one, which keeps
 * its references until then. Alone in the image.
 */
#ifndef XD_IMAGE_QCOW2_REPACK_H
#define XD_IMAGE_QCOW2_REPACK_H

#include "image/qcow2/core/qcow2.h"

struct qcow2_repack_move {
	uint64_t from, to;		/* words of L2 entries; from 0: empty */
};

struct qcow2_repack {
	struct qcow2 *q;
	uint64_t limit;			/* bytes: nothing goes behind it */
	bool full;			/* there is no room any more */
	uint64_t moved;			/* bytes, of all copies */
	uint8_t *in, *out;		/* a stream, and what is in it */
	struct qcow2_repack_move *moves;	/* a hash */
	unsigned int bits;
	uint64_t nr;
};

/* Forgets where there would be room behind the limit. -ENOMEM */
int qcow2_repack_init(struct qcow2_repack *r, struct qcow2 *q, uint64_t limit);
void qcow2_repack_deinit(struct qcow2_repack *r);	/* may be called twice */

/* co. *new: the word of an entry for the same bytes before the limit, with `refs`
 * references of its own (as many as its table has); 0: it has to stay. -EIO,
 * -ENOMEM */
int qcow2_repack(struct qcow2_repack *r, uint64_t word, uint64_t refs,
		 uint64_t *new);

#endif
