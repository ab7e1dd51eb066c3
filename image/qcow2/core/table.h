/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.h: a table that is in memory as a whole: an L1 table, the refcount table.
 *
 * Entries are 8 bytes, big-endian in the file and in host order here. What has
 * changed is known by the sector, which reaches the disk whole or not at all; a
 * commit writes those.
 */
#ifndef XD_IMAGE_QCOW2_TABLE_H
#define XD_IMAGE_QCOW2_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bits.h"

struct image;

#define QCOW2_SECTOR_ENTRIES (SECTOR_SIZE / 8)

struct qcow2_table {
	uint64_t *v;			/* nr entries; NULL: not loaded */
	uint32_t nr;
	uint8_t *dirty;			/* by sector */
	bool any_dirty;
};

static inline uint64_t qcow2_table_sectors(uint64_t nr)
{
	return div_round_up(nr, QCOW2_SECTOR_ENTRIES);
}

/* Zeroes, nothing dirty. -ENOMEM */
int qcow2_table_init(struct qcow2_table *t, uint64_t nr);
void qcow2_table_free(struct qcow2_table *t);	/* may be called twice */
/* What is new is zero, and not dirty. -ENOMEM: it stays as it is. */
int qcow2_table_grow(struct qcow2_table *t, uint64_t nr);

static inline void qcow2_table_set(struct qcow2_table *t, uint64_t i,
				   uint64_t entry)
{
	t->v[i] = entry;
	t->dirty[i / QCOW2_SECTOR_ENTRIES] = 1;
	t->any_dirty = true;
}

void qcow2_table_set_dirty(struct qcow2_table *t);
void qcow2_table_set_clean(struct qcow2_table *t);
/* The entries of a sector as they are in the file; zeroes behind the last. */
void qcow2_table_encode_sector(const struct qcow2_table *t, uint64_t sector,
			       uint8_t *out);

/* co. All entries from the file. */
int qcow2_table_read(struct qcow2_table *t, struct image *file, uint64_t offset);
/* co. All entries, and zeroes up to `bytes`, a multiple of 512. */
int qcow2_table_write(const struct qcow2_table *t, struct image *file,
		      uint64_t offset, uint64_t bytes);

#endif
