/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * meta.c: which host cluster is which piece of metadata.
 *
 * An open-addressing hash keyed by cluster index. It answers the question
 * before every write, "is this what we think it is?", in constant time at the
 * level QEMU calls overlap-check=all, inactive L2 tables included.
 */
#include "image/qcow2/core/meta.h"

#include <errno.h>
#include <stdlib.h>

#define MIN_BITS 6
#define TYPE_MASK UINT64_C(15)

static const char *const names[] = {
	[QCOW2_META_NONE] = "no metadata",
	[QCOW2_META_HEADER] = "the header",
	[QCOW2_META_L1] = "the active L1 table",
	[QCOW2_META_L2] = "an active L2 table",
	[QCOW2_META_REFTABLE] = "the refcount table",
	[QCOW2_META_REFBLOCK] = "a refcount block",
	[QCOW2_META_SNAPSHOTS] = "the snapshot table",
	[QCOW2_META_INACTIVE_L1] = "a snapshot's L1 table",
	[QCOW2_META_INACTIVE_L2] = "a snapshot's L2 table",
	[QCOW2_META_BITMAPS] = "the bitmap directory",
	[QCOW2_META_CRYPTO] = "the encryption header",
};

const char *qcow2_meta_name(enum qcow2_meta type)
{
	return names[type];
}

int qcow2_meta_init(struct qcow2_meta_map *m)
{
	m->bits = MIN_BITS;
	m->nr = 0;
	m->keys = calloc((size_t)1 << m->bits, sizeof(*m->keys));
	return m->keys ? 0 : -ENOMEM;
}

void qcow2_meta_deinit(struct qcow2_meta_map *m)
{
	free(m->keys);
	m->keys = NULL;
	m->nr = 0;
}

/* The slot of `cluster`, or the empty one where it would go. */
static uint64_t *find_meta_slot(const struct qcow2_meta_map *m,
				uint64_t cluster)
{
	uint64_t mask = (UINT64_C(1) << m->bits) - 1;
	uint64_t i = (cluster * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - m->bits);

	while (m->keys[i] && m->keys[i] >> 4 != cluster)
		i = (i + 1) & mask;
	return &m->keys[i];
}

enum qcow2_meta qcow2_meta_type(const struct qcow2_meta_map *m,
				uint64_t cluster)
{
	return (enum qcow2_meta)(*find_meta_slot(m, cluster) & TYPE_MASK);
}

static int grow_meta_map(struct qcow2_meta_map *m)
{
	struct qcow2_meta_map bigger = { .bits = m->bits + 1, .nr = m->nr };
	size_t n = (size_t)1 << m->bits;

	bigger.keys = calloc(n * 2, sizeof(*m->keys));
	if (!bigger.keys)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (m->keys[i])
			*find_meta_slot(&bigger, m->keys[i] >> 4) = m->keys[i];
	free(m->keys);
	*m = bigger;
	return 0;
}

int qcow2_meta_add(struct qcow2_meta_map *m, uint64_t cluster,
		   enum qcow2_meta type)
{
	uint64_t *slot;
	int ret;

	if (m->nr * 2 >= UINT64_C(1) << m->bits) {
		ret = grow_meta_map(m);
		if (ret)
			return ret;
	}
	slot = find_meta_slot(m, cluster);
	if (*slot)
		return -EEXIST;
	*slot = cluster << 4 | (uint64_t)type;
	m->nr++;
	return 0;
}

/* Moves later members of the probe run up, so that no hole breaks it. */
void qcow2_meta_del(struct qcow2_meta_map *m, uint64_t cluster)
{
	uint64_t mask = (UINT64_C(1) << m->bits) - 1;
	uint64_t *slot = find_meta_slot(m, cluster);
	uint64_t i, key;

	if (!*slot)
		return;
	*slot = 0;
	m->nr--;
	for (i = (uint64_t)(slot - m->keys + 1) & mask; m->keys[i];
	     i = (i + 1) & mask) {
		key = m->keys[i];
		m->keys[i] = 0;
		*find_meta_slot(m, key >> 4) = key;
	}
}

int qcow2_meta_add_range(struct qcow2_meta_map *m, uint64_t cluster,
			 uint64_t count, enum qcow2_meta type)
{
	int ret = 0;

	for (uint64_t i = 0; !ret && i < count; i++) {
		ret = qcow2_meta_add(m, cluster + i, type);
		if (ret)
			qcow2_meta_del_range(m, cluster, i);
	}
	return ret;
}

void qcow2_meta_del_range(struct qcow2_meta_map *m, uint64_t cluster,
			  uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		qcow2_meta_del(m, cluster + i);
}
