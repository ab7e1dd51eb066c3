/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bitmap.h: persistent dirty bitmaps: which parts of a disk have been
 * written to since somebody last asked.
 *
 *	bitmap-dir.c	the directory: names, flags, places
 *	bitmap.c		the bits in memory, kept up to date
 *	bitmap-resize.c	for a disk of another size
 *	bitmap/store.c	to the file
 *	bitmap/ops.c	add, remove, clear, enable, disable, merge
 *
 * Specification, sections "Bitmaps extension" and "Bitmaps"; limits are those
 * of QEMU. Offsets, sizes and granularities are bytes. All of it runs in the
 * loop's one thread.
 *
 * What is on disk. An enabled bitmap must tell of every write. So before the
 * first write after opening, the directory says `in use` of it, durably: then
 * its bits on disk count for nothing. They are kept in memory, and written over
 * the old ones when the image is closed; at last the flag goes. A bitmap that
 * has it when the image is opened was not closed properly (inconsistent): all
 * that can be done is to remove it. The directory is never changed in place but
 * for flags; a new one is switched to by the header.
 */
#ifndef XD_IMAGE_QCOW2_BITMAP_H
#define XD_IMAGE_QCOW2_BITMAP_H

#include "image/qcow2/core/qcow2.h"

#define QCOW2_BITMAP_IN_USE 1u
#define QCOW2_BITMAP_AUTO 2u		/* enabled */
#define QCOW2_BITMAP_EXTRA_COMPATIBLE 4u
#define QCOW2_BITMAP_FLAGS 7u
#define QCOW2_BITMAP_TYPE_DIRTY 1u

#define QCOW2_BITMAP_HEAD 24u		/* of a directory entry */
#define QCOW2_BITMAP_MAX_NAME 1023u
#define QCOW2_BITMAP_MIN_GRANULARITY_BITS 9u
#define QCOW2_BITMAP_MAX_GRANULARITY_BITS 31u
#define QCOW2_BITMAP_MAX_ENTRIES 0x8000000u
#define QCOW2_BITMAP_MAX_BYTES (512 * MiB)	/* of its bits */
#define QCOW2_MAX_BITMAPS 65535u
#define QCOW2_BITMAP_MAX_DIR (64 * MiB - KiB)

#define QCOW2_BITMAP_ENTRY_OFFSET QCOW2_L2_OFFSET
#define QCOW2_BITMAP_ENTRY_ONES UINT64_C(1)	/* where the offset is 0 */

struct qcow2_bitmap {
	/* the directory entry */
	char *name;
	uint64_t table_offset;		/* 0: has no table yet */
	uint32_t table_entries;
	uint32_t flags;			/* as they shall be, without IN_USE */
	uint8_t type, granularity_bits;
	uint8_t *extra;			/* kept as it is */
	uint32_t extra_len;
	uint32_t dir_pos;		/* of the entry in the directory */
	uint32_t flags_on_disk;

	bool inconsistent;		/* was in use when opened */
	bool foreign;			/* has extra data that we must know */
	bool broken;			/* its table cannot be believed */

	/* the bits, once loaded: a cluster each, or all alike */
	bool loaded;
	bool changed;			/* differs from the file */
	bool moved;			/* needs a table of another size */
	uint64_t nr_bits;
	uint64_t *table;		/* host order, as on disk */
	uint8_t **chunks;		/* NULL: all ones[i] */
	uint8_t *ones;			/* booleans */
	uint8_t *chunk_changed;
	bool tracking;			/* gets all writes */
};

/* Those of an open image. */
struct qcow2_bitmaps {
	struct qcow2_bitmap *v;
	unsigned int nr, max;
	uint64_t bytes;			/* of those that were enabled at opening,
					 * as far as they are in the file */
	bool list_changed;		/* some were added or removed */
	struct qcow2_run *unused;	/* to be freed after the next store */
	size_t nr_unused, max_unused;
};

static inline uint64_t qcow2_bitmap_granularity(const struct qcow2_bitmap *b)
{
	return UINT64_C(1) << b->granularity_bits;
}

/* Somebody may look at its bits. */
static inline bool qcow2_bitmap_usable(const struct qcow2_bitmap *b)
{
	return !b->inconsistent && !b->foreign && !b->broken;
}

/* Its flags when nobody uses it. */
static inline uint32_t qcow2_bitmap_final_flags(const struct qcow2_bitmap *b)
{
	return b->flags | (b->inconsistent ? QCOW2_BITMAP_IN_USE : 0);
}

/* Clusters of its table. */
static inline uint64_t qcow2_bitmap_table_clusters(const struct qcow2 *q,
						   const struct qcow2_bitmap *b)
{
	return div_round_up((uint64_t)b->table_entries * 8, q->cluster_size);
}

/* Clusters full of bits that a disk of `size` bytes needs. A bitmap has exactly
 * so many, and none may have 0: an empty disk has no bitmaps. */
static inline uint64_t qcow2_bitmap_chunks(const struct qcow2_header *h,
					   uint64_t size,
					   uint32_t granularity_bits)
{
	uint64_t bits = div_round_up(size, UINT64_C(1) << granularity_bits);

	return div_round_up(bits, qcow2_cluster_size(h) * 8);
}

/* ---- bitmap-dir.c ---- */

/* co. Reads and judges the directory that the header names; what is in *list
 * is replaced. -EINVAL with the sentence. An image without bitmaps has 0. */
int qcow2_bitmap_list(struct image *file, const struct qcow2_header *h,
		      struct qcow2_bitmaps *list, struct error *err);
void qcow2_bitmap_list_free(struct qcow2_bitmaps *list);
/* Bytes of the directory. */
uint64_t qcow2_bitmap_dir_size(const struct qcow2_bitmaps *list);
/* dir: that many bytes, zeroed. Notes where each entry is. */
void qcow2_bitmap_dir_encode(struct qcow2_bitmaps *list, uint8_t *dir);
void qcow2_bitmap_free(struct qcow2_bitmap *b);

/* ---- bitmap.c ---- */

/* co. On opening an image for writing: the directory and the tables, which are
 * noted as metadata. q->bitmaps stays NULL where there are none. */
int qcow2_bitmaps_open(struct qcow2 *q, struct error *err);
void qcow2_bitmaps_free(struct qcow2 *q);
/* co. Before the first write: enabled bitmaps are in use from now on, durably,
 * and their bits in memory. */
int qcow2_bitmaps_begin(struct qcow2 *q);
/* Never waits. [off, off + len) is about to change. -ENOMEM: it must not. */
int qcow2_bitmaps_mark(struct qcow2 *q, uint64_t off, uint64_t len);
/* co. The bits into memory. */
int qcow2_bitmap_load(struct qcow2 *q, struct qcow2_bitmap *b);
/* Marks, unmarks all, in memory. */
int qcow2_bitmap_set(struct qcow2 *q, struct qcow2_bitmap *b, uint64_t off,
		     uint64_t len);
void qcow2_bitmap_clear(struct qcow2 *q, struct qcow2_bitmap *b);
/* The first marked part at or behind `off` and how far it goes; false: none. */
bool qcow2_bitmap_next(const struct qcow2 *q, const struct qcow2_bitmap *b,
		       uint64_t off, uint64_t *start, uint64_t *end);
/* Arrays for `entries` chunks of zeroes. */
int qcow2_bitmap_init_bits(struct qcow2 *q, struct qcow2_bitmap *b,
			   uint64_t size);
/* What lies behind the end of the disk is zero. */
void qcow2_bitmap_trim(const struct qcow2 *q, struct qcow2_bitmap *b);
/* Notes `count` clusters as a bitmap's; none of them if one is another's:
 * -EEXIST. */
int qcow2_bitmap_note(struct qcow2 *q, uint64_t offset, uint64_t count);
/* co. Flags into the directory as it is; not yet durable. In use: the bits on
 * disk count for nothing. */
int qcow2_bitmap_write_flags(struct qcow2 *q, struct qcow2_bitmap *b,
			     uint32_t flags);
int qcow2_bitmap_set_in_use(struct qcow2 *q, struct qcow2_bitmap *b);

/* `count` clusters at `offset` (bytes), all that a bitmap has, are free once the
 * change is stored. */
int qcow2_bitmap_give_up(struct qcow2 *q, uint64_t offset, uint64_t count);
int qcow2_bitmap_give_up_space(struct qcow2 *q, struct qcow2_bitmap *b);

/* ---- bitmap-resize.c ---- */

/* May its bits be looked at? -EINVAL with the sentence. */
int qcow2_bitmap_judge_use(const struct qcow2_bitmap *b, struct error *err);
/* co. Before the size changes: loads all, marks all as in use on disk. -EINVAL:
 * one that is inconsistent is in the way. */
int qcow2_bitmaps_prepare_resize(struct qcow2 *q, uint64_t size,
				 struct error *err);
/* And then in memory. What is new is not marked. */
void qcow2_bitmaps_resize(struct qcow2 *q, uint64_t size);

#endif
