/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * journal.h: the requests in flight, in memory that outlives the process.
 *
 * Responses go where requests came from and in another order, so after a crash
 * the ring alone cannot tell which requests are still unanswered. Each request
 * is therefore copied off the ring into a record, and lives there:
 *
 *	free --copied--> taken --response written--> answered --pushed--> free
 *
 * A successor takes again what is `taken`, and what is `answered` with a
 * response that the ring's rsp_prod does not show yet. As many as there are of
 * them lie between rsp_prod and the next request to take. To do one again is
 * harmless: its data still lies with the guest, which has no answer.
 *
 * The memory belongs to us or our supervisor; the guest cannot reach it.
 */
#ifndef XD_BLKIF_JOURNAL_H
#define XD_BLKIF_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "blkif/abi.h"
#include "common/error.h"

enum record_state { RECORD_FREE, RECORD_TAKEN, RECORD_ANSWERED };

struct record {
	uint32_t state;		/* enum record_state; written last */
	uint32_t rsp;		/* answered: index of the response */
	uint64_t seq;		/* order in which requests were taken */
	struct blkif_request raw;
};

/* Stores in program order are all that a dead process needs to have done; the
 * release keeps the compiler from moving what stands before it. */
static inline void record_set(struct record *r, enum record_state state)
{
	__atomic_store_n(&r->state, state, __ATOMIC_RELEASE);
}

/* Has the frontend not been shown an answer, with the ring at rsp_prod? */
static inline bool record_pending(const struct record *r, uint32_t rsp_prod)
{
	return r->state == RECORD_TAKEN ||
	       (r->state == RECORD_ANSWERED && (int32_t)(r->rsp - rsp_prod) >= 0);
}

/* Clears it, or with `resume` checks that it is of these rings (or empty).
 * -EPROTO: it is of others. */
int journal_open(void *journal, const struct blkif_config *config,
		 struct error *err);

/* Of one queue: as many as its ring has entries. */
struct record *journal_records(void *journal, const struct blkif_config *config,
			       unsigned int queue);

#endif
