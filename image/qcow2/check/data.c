/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * data.c: unpacks every compressed cluster of an image, to see
 * whether that works, several at a time.
 *
 * A stream that is broken is a corruption no repair can mend: what it held is
 * nowhere else. The entry stays, for those who can save a part of it.
 */
#include "image/qcow2/check/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"
#include "image/qcow2/compress.h"

#define PARTS 16u
/* Less of them at a time where clusters are large. */
#define PARTS_BYTES (16 * MiB)

struct part {
	struct check *ck;
	uint64_t entry;
	uint64_t guest;			/* offset, bytes; UINT64_MAX: none */
	uint8_t out[];
};

void ck_data_init(struct check *ck)
{
	uint64_t limit = min((uint64_t)PARTS, PARTS_BYTES / ck->cluster_size);

	co_group_init(&ck->unpacking, (unsigned int)limit);
}

static int unpack_cluster(void *arg)
{
	struct part *p = arg;
	struct check *ck = p->ck;
	uint64_t offset = qcow2_compressed_decode(ck->h->cluster_bits,
						  p->entry).offset;
	int ret = qcow2_unpack(ck->file, ck->h, p->entry, p->out);

	if (ret == -ENOMEM) {
		ck->ret = ret;
	} else if (ret) {
		ck->unfixable++;
		if (p->guest == UINT64_MAX)
			ck_corrupt(ck, "ERROR compressed cluster at %#" PRIx64
				   " (of a snapshot) cannot be unpacked",
				   offset);
		else
			ck_corrupt(ck, "ERROR compressed cluster at %#" PRIx64
				   " (guest offset %#" PRIx64
				   ") cannot be unpacked", offset, p->guest);
	}
	free(p);
	return 0;
}

void ck_unpack(struct check *ck, const struct l2_table *t, uint32_t index,
	       uint64_t entry)
{
	struct part *p;

	if (ck->res->data == IMAGE_CHECK_NO_DATA ||
	    (ck->res->data == IMAGE_CHECK_SNAPSHOT_DATA && t->active_refs))
		return;
	p = malloc(sizeof(*p) + ck->cluster_size);
	if (!p) {
		ck->ret = -ENOMEM;
		return;
	}
	p->ck = ck;
	p->entry = entry;
	p->guest = !t->active_refs ? UINT64_MAX :
		(((uint64_t)t->l1_index << qcow2_l2_bits(ck->h)) + index)
			<< ck->h->cluster_bits;
	if (!co_group_start(&ck->unpacking, unpack_cluster, p)) {
		free(p);
		ck->ret = -ENOMEM;
	}
}

void ck_data_finish(struct check *ck)
{
	co_group_wait(&ck->unpacking);
}
