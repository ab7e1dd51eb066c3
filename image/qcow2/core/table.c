/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.c: a table that is in memory as a whole. */
#include "image/qcow2/core/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "image/image.h"

int qcow2_table_init(struct qcow2_table *t, uint64_t nr)
{
	*t = (struct qcow2_table){
		.v = calloc(max(nr, UINT64_C(1)), 8),
		.nr = (uint32_t)nr,
		.dirty = calloc(1, max(qcow2_table_sectors(nr), UINT64_C(1))),
	};
	if (t->v && t->dirty)
		return 0;
	qcow2_table_free(t);
	return -ENOMEM;
}

void qcow2_table_free(struct qcow2_table *t)
{
	free(t->v);
	free(t->dirty);
	*t = (struct qcow2_table){ 0 };
}

int qcow2_table_grow(struct qcow2_table *t, uint64_t nr)
{
	uint64_t old = qcow2_table_sectors(t->nr);
	uint64_t new = qcow2_table_sectors(nr);
	uint64_t *v = realloc(t->v, nr * 8);
	uint8_t *dirty;

	if (!v)
		return -ENOMEM;
	t->v = v;
	dirty = realloc(t->dirty, new);
	if (!dirty)
		return -ENOMEM;
	t->dirty = dirty;
	memset(v + t->nr, 0, (nr - t->nr) * 8);
	memset(dirty + old, 0, new - old);
	t->nr = (uint32_t)nr;
	return 0;
}

void qcow2_table_set_dirty(struct qcow2_table *t)
{
	memset(t->dirty, 1, qcow2_table_sectors(t->nr));
	t->any_dirty = true;
}

void qcow2_table_set_clean(struct qcow2_table *t)
{
	memset(t->dirty, 0, qcow2_table_sectors(t->nr));
	t->any_dirty = false;
}

void qcow2_table_encode_sector(const struct qcow2_table *t, uint64_t sector,
			       uint8_t *out)
{
	uint64_t i = sector * QCOW2_SECTOR_ENTRIES;

	for (uint64_t k = 0; k < QCOW2_SECTOR_ENTRIES; k++, i++)
		store_be64(out + k * 8, i < t->nr ? t->v[i] : 0);
}

int qcow2_table_read(struct qcow2_table *t, struct image *file, uint64_t offset)
{
	int ret = t->nr ? image_pread(file, offset, t->nr * UINT64_C(8), t->v) :
			  0;

	for (uint32_t i = 0; !ret && i < t->nr; i++)
		t->v[i] = load_be64(&t->v[i]);
	return ret;
}

int qcow2_table_write(const struct qcow2_table *t, struct image *file,
		      uint64_t offset, uint64_t bytes)
{
	cleanup_free uint8_t *buf = NULL;

	if (posix_memalign((void **)&buf, 4096, bytes))
		return -ENOMEM;
	for (uint64_t o = 0; o < bytes; o += SECTOR_SIZE)
		qcow2_table_encode_sector(t, o / SECTOR_SIZE, buf + o);
	return image_pwrite(file, offset, bytes, buf);
}
