/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* readahead.c: see readahead.h. A ring of slots; buffers stay with them. */
#include "image/readahead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bits.h"

void readahead_init(struct readahead *ra, struct image *img,
		    bool (*next)(void *arg, uint64_t *offset, uint64_t *len),
		    void *arg)
{
	*ra = (struct readahead){ .img = img, .next = next, .arg = arg };
	co_queue_init(&ra->done);
}

static void read_ahead(void *arg)
{
	struct readahead_range *r = arg;

	r->ret = image_pread(r->owner->img, r->offset, r->len, r->data);
	r->reading = false;
	co_queue_wake_all(&r->owner->done);
}

static int make_range_room(struct readahead_range *r)
{
	void *data;

	if (r->len <= r->room)
		return 0;
	free(r->data);
	r->data = NULL;
	r->room = 0;
	if (posix_memalign(&data, 4096, align_up(r->len, 4096)))
		return -ENOMEM;
	r->data = data;
	r->room = r->len;
	return 0;
}

static void start_range(struct readahead *ra, uint64_t offset, uint64_t len)
{
	struct readahead_range *r =
		&ra->slots[(ra->first + ra->nr) % READAHEAD_DEPTH];

	r->owner = ra;
	r->offset = offset;
	r->len = len;
	ra->nr++;
	ra->bytes += len;
	r->ret = make_range_room(r);
	if (r->ret)
		return;
	r->reading = true;
	if (co_start(read_ahead, r)) {
		r->reading = false;
		r->ret = -ENOMEM;
	}
}

struct readahead_range *readahead_get(struct readahead *ra)
{
	struct readahead_range *r;
	uint64_t offset, len;

	if (ra->held) {
		ra->bytes -= ra->slots[ra->first].len;
		ra->first = (ra->first + 1) % READAHEAD_DEPTH;
		ra->nr--;
	}
	while (!ra->ended && ra->nr < READAHEAD_DEPTH &&
	       ra->bytes < READAHEAD_BYTES) {
		ra->ended = !ra->next(ra->arg, &offset, &len);
		if (!ra->ended)
			start_range(ra, offset, len);
	}
	ra->held = ra->nr > 0;
	if (!ra->held)
		return NULL;
	r = &ra->slots[ra->first];
	while (r->reading)
		co_queue_wait(&ra->done);
	return r;
}

void readahead_deinit(struct readahead *ra)
{
	for (unsigned int i = 0; i < READAHEAD_DEPTH; i++) {
		while (ra->slots[i].reading)
			co_queue_wait(&ra->done);
		free(ra->slots[i].data);
		ra->slots[i].data = NULL;
		ra->slots[i].room = 0;
	}
	ra->nr = 0;
	ra->bytes = 0;
	ra->held = false;
}
