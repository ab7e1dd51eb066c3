/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pieces.c: see pieces.h. */
#include "image/jobs/pieces.h"

#include <errno.h>
#include <stdlib.h>

int pieces_init_parts(struct pieces *p, unsigned int parts,
		      unsigned int per_piece, uint64_t size)
{
	unsigned int nr = parts * per_piece;

	co_group_init(&p->group, parts);
	p->nr_spare = 0;
	p->memory = NULL;
	p->spare = calloc(nr, sizeof(*p->spare));
	if (!p->spare || posix_memalign(&p->memory, 4096, nr * size)) {
		pieces_deinit(p);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < nr; i++)
		pieces_put(p, (char *)p->memory + i * size);
	return 0;
}

int pieces_init(struct pieces *p, unsigned int per_piece, uint64_t size)
{
	return pieces_init_parts(p, PIECES_AT_ONCE, per_piece, size);
}

void pieces_deinit(struct pieces *p)
{
	free(p->memory);
	free(p->spare);
	p->memory = NULL;
	p->spare = NULL;
	p->nr_spare = 0;
}

void *pieces_take(struct pieces *p)
{
	return p->spare[--p->nr_spare];
}

void pieces_put(struct pieces *p, void *buf)
{
	p->spare[p->nr_spare++] = buf;
}
