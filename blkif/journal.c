/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * journal.c: see journal.h. A head that says whose requests these are, then the
 * records of queue 0, of queue 1 and so on.
 */
#include "blkif/journal.h"

#include <errno.h>

#include "blkif/ring.h"

#define JOURNAL_MAGIC UINT64_C(0x316a66696b6c6278)	/* "xblkifj1" */

struct journal_head {
	uint64_t magic;
	uint32_t domid;
	uint32_t nr_queues;
	struct {
		uint32_t ring_order, ring_ref, port;
	} queue[BLKIF_MAX_QUEUES];
};

static size_t records_before(const struct blkif_config *config, unsigned int queue)
{
	size_t n = 0;

	for (unsigned int i = 0; i < queue; i++)
		n += RING_ENTRIES_PER_PAGE << config->queue[i].ring_order;
	return n;
}

size_t blkif_journal_size(const struct blkif_config *config)
{
	return sizeof(struct journal_head) +
	       records_before(config, config->nr_queues) *
	       sizeof(struct record);
}

struct record *journal_records(void *journal, const struct blkif_config *config,
			       unsigned int queue)
{
	struct journal_head *head = journal;

	return (struct record *)(head + 1) + records_before(config, queue);
}

static void describe(const struct blkif_config *config,
		     struct journal_head *head)
{
	memset(head, 0, sizeof(*head));
	head->magic = JOURNAL_MAGIC;
	head->domid = config->domid;
	head->nr_queues = config->nr_queues;
	for (unsigned int i = 0; i < config->nr_queues; i++) {
		head->queue[i].ring_order = config->queue[i].ring_order;
		head->queue[i].ring_ref = config->queue[i].ring_ref[0];
		head->queue[i].port = config->queue[i].port;
	}
}

int journal_open(void *journal, const struct blkif_config *config,
		 struct error *err)
{
	struct journal_head want, *head = journal;

	describe(config, &want);
	if (config->resume && head->magic) {
		if (memcmp(head, &want, sizeof(want)))
			return error_set(err, EPROTO, "the journal is of "
					 "other rings than these");
		return 0;
	}
	memset(journal, 0, blkif_journal_size(config));
	*head = want;
	return 0;
}
