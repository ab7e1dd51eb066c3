/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* packed.c: see packed.h. */
#include "image/formats/packed.h"

#include <errno.h>
#include <stdlib.h>

#include "common/bits.h"
#include "common/cleanup.h"
#include "image/codec/unpack.h"
#include "io/loop.h"
#include "io/memory.h"

#define MAX_PACKED (128 * MiB)
#define OFFLOAD_MIN (32 * KiB)
#define PART_OF_ACCOUNT 4	/* that one block may want, both ways */

struct unpack_job {
	int64_t (*work)(void *job);
	const void *in;
	void *out;
	size_t in_len, len;
	int window_bits;
	bool may_end;
};

static int64_t inflate_work(void *arg)
{
	const struct unpack_job *j = arg;

	return unpack_inflate(j->in, j->in_len, j->out, j->len, j->window_bits,
			      j->may_end);
}

static int64_t bunzip_work(void *arg)
{
	const struct unpack_job *j = arg;

	return unpack_bzip2(j->in, j->in_len, j->out, j->len);
}

/* co, with the memory for it: what the caller gives to unpack to has none
 * behind it before. */
static int unpack_admitted(struct mapped *m, uint64_t off, struct unpack_job *j)
{
	cleanup_free void *in = malloc(j->in_len);
	int ret;

	j->in = in;
	if (!in)
		return -ENOMEM;
	ret = image_pread(m->file, off, j->in_len, in);
	if (ret)
		return ret;
	if (j->len < OFFLOAD_MIN)
		return (int)j->work(j);
	return (int)loop_compute(m->img->loop, j->work, j);
}

/* co */
static int unpack_from(struct mapped *m, uint64_t off, struct unpack_job *j)
{
	struct memory *memory = loop_memory(m->img->loop);
	uint64_t bytes = j->in_len + j->len;
	int ret;

	if (!j->in_len || j->in_len > MAX_PACKED ||
	    !range_within(off, j->in_len, m->file->size))
		return -EIO;
	if (bytes > memory_limit(memory, MEMORY_UNPACK) / PART_OF_ACCOUNT)
		return -EFBIG;
	memory_take(memory, MEMORY_UNPACK, bytes);
	ret = unpack_admitted(m, off, j);
	memory_give(memory, MEMORY_UNPACK, bytes);
	return ret;
}

int packed_inflate(struct mapped *m, uint64_t off, uint64_t packed,
		   uint8_t *out, size_t len, int window_bits)
{
	struct unpack_job j = { inflate_work, NULL, out, packed, len,
				window_bits, false };

	return unpack_from(m, off, &j);
}

int packed_inflate_some(struct mapped *m, uint64_t off, uint64_t packed,
			uint8_t *out, size_t len, int window_bits)
{
	struct unpack_job j = { inflate_work, NULL, out, packed, len,
				window_bits, true };

	return unpack_from(m, off, &j);
}

int packed_bunzip(struct mapped *m, uint64_t off, uint64_t packed,
		  uint8_t *out, size_t len)
{
	struct unpack_job j = { bunzip_work, NULL, out, packed, len, 0, false };

	return unpack_from(m, off, &j);
}
