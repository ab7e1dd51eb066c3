/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pieces.h: images worked on in pieces, several side by side.
 *
 * A job walks an image, and for each piece that needs reading starts a part
 * of a co_group, which takes as many buffers as it needs and gives them back.
 * There are always enough for the parts that run at once: taking one neither
 * waits nor allocates, so a job that runs beside a guest has its memory from
 * the beginning. All of it belongs to one loop's thread.
 */
#ifndef XD_IMAGE_JOBS_PIECES_H
#define XD_IMAGE_JOBS_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "io/co-group.h"

#define PIECES_AT_ONCE 8
#define PIECE_SIZE ((uint64_t)1 << 20)

struct pieces {
	struct co_group group;
	void *memory;
	void **spare;			/* buffers that nobody uses */
	unsigned int nr_spare;
};

/* per_piece: buffers of `size` bytes that each part takes. -ENOMEM */
int pieces_init(struct pieces *p, unsigned int per_piece, uint64_t size);
/* The same for another number of parts. */
int pieces_init_parts(struct pieces *p, unsigned int parts,
		      unsigned int per_piece, uint64_t size);
void pieces_deinit(struct pieces *p);
void *pieces_take(struct pieces *p);
void pieces_put(struct pieces *p, void *buf);

static inline bool is_all_zero(const void *buf, size_t len)
{
	const char *b = buf;

	return !len || (!*b && !memcmp(b, b + 1, len - 1));
}

#endif
