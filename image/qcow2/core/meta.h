/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* meta.h: what each metadata cluster is, for overlap checks. */
#ifndef XD_IMAGE_QCOW2_META_H
#define XD_IMAGE_QCOW2_META_H

#include <stdint.h>

enum qcow2_meta {
	QCOW2_META_NONE, QCOW2_META_HEADER, QCOW2_META_L1, QCOW2_META_L2,
	QCOW2_META_REFTABLE, QCOW2_META_REFBLOCK, QCOW2_META_SNAPSHOTS,
	QCOW2_META_INACTIVE_L1, QCOW2_META_INACTIVE_L2, QCOW2_META_BITMAPS,
	QCOW2_META_CRYPTO,
};
const char *qcow2_meta_name(enum qcow2_meta type);

/* A hash of metadata clusters: O(1) a question, memory by their number. */
struct qcow2_meta_map {
	uint64_t *keys;			/* cluster index << 4 | type; 0: empty */
	unsigned int bits;
	uint64_t nr;
};
/* Bytes that one more of them takes, while the hash is made larger, too. */
#define QCOW2_META_BYTES 32u
int qcow2_meta_init(struct qcow2_meta_map *m);
void qcow2_meta_deinit(struct qcow2_meta_map *m);
enum qcow2_meta qcow2_meta_type(const struct qcow2_meta_map *m, uint64_t cluster);
/* -EEXIST: it is something else already. Adding the same twice is -EEXIST too. */
int qcow2_meta_add(struct qcow2_meta_map *m, uint64_t cluster,
		   enum qcow2_meta type);
void qcow2_meta_del(struct qcow2_meta_map *m, uint64_t cluster);
/* `count` clusters from `cluster` on; when one fails, none is added. */
int qcow2_meta_add_range(struct qcow2_meta_map *m, uint64_t cluster,
			 uint64_t count, enum qcow2_meta type);
void qcow2_meta_del_range(struct qcow2_meta_map *m, uint64_t cluster,
			  uint64_t count);

#endif
