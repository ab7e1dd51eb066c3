/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy.h: many grant copies in one system call.
 *
 * Pieces are collected, copied together and judged one by one: a piece that
 * failed sets its own result and nobody else's. For one direction and device.
 */
#ifndef XD_BLKIF_COPY_H
#define XD_BLKIF_COPY_H

#include <stdint.h>

#include <xengnttab.h>

#include "blkif/types.h"

/* Pieces a system call; enough for two full rings of direct requests. */
#define COPY_MAX 768

struct copy {
	xengnttab_handle *gnttab;
	struct blkif_stats *stats;
	uint16_t domid;
	unsigned int nr;
	xengnttab_grant_copy_segment_t piece[COPY_MAX];
	int *result[COPY_MAX];
};

/* *result becomes -EFAULT when the piece cannot be copied, at the latest in
 * copy_submit(); it is left alone otherwise. A full batch runs by itself. The
 * bytes lie within one page of the guest: offset + length <= 4096. */
void copy_from_guest(struct copy *c, uint32_t gref, unsigned int offset,
		     unsigned int length, void *to, int *result);
void copy_to_guest(struct copy *c, uint32_t gref, unsigned int offset,
		   unsigned int length, void *from, int *result);

void copy_submit(struct copy *c);

#endif
