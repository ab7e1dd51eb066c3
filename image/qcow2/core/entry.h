/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * entry.h: L2 entries: the one place that knows how they lie in a table.
 *
 * Specification, sections "L2 table", "Standard Cluster Descriptor" and
 * "Extended L2 Entries". An entry is a word of 8 bytes; an image with extended
 * L2 entries has a bitmap of 8 more bytes behind it, which cuts the cluster into
 * 32 subclusters:
 *
 *	bits 0-31	the subcluster is allocated: its data is in the cluster
 *	bits 32-63	it reads as zeroes
 *
 * and neither: it is the backing image's. Both at once, and allocated where the
 * word names no cluster, are corruption. A compressed cluster has no bitmap.
 * Without extended entries a cluster is one subcluster of its own.
 */
#ifndef XD_IMAGE_QCOW2_ENTRY_H
#define XD_IMAGE_QCOW2_ENTRY_H

#include "common/bits.h"
#include "image/qcow2/core/header.h"

#define QCOW2_SUBCLUSTERS 32u
#define QCOW2_SUBS_ALLOCATED UINT64_C(0x00000000ffffffff)
#define QCOW2_SUBS_ZERO UINT64_C(0xffffffff00000000)

struct qcow2_entry {
	uint64_t word;			/* flags and offset */
	uint64_t bitmap;		/* 0 without extended L2 entries */
};

static inline bool qcow2_extended(const struct qcow2_header *h)
{
	return h->incompat & QCOW2_INCOMPAT_EXTENDED_L2;
}

/* Is the guest's data in a file of its own? */
static inline bool qcow2_external(const struct qcow2_header *h)
{
	return h->incompat & QCOW2_INCOMPAT_DATA_FILE;
}

/* And is that to hold what the guest sees? */
static inline bool qcow2_raw_data(const struct qcow2_header *h)
{
	return qcow2_external(h) && h->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
}

/* log2 of the bytes of an entry. */
static inline uint32_t qcow2_entry_bits(const struct qcow2_header *h)
{
	return qcow2_extended(h) ? 4 : 3;
}

/* log2 of the bytes of a subcluster. */
static inline uint32_t qcow2_sub_bits(const struct qcow2_header *h)
{
	return qcow2_extended(h) ? h->cluster_bits - 5 : h->cluster_bits;
}

/* The i-th entry of a table, or of a part of one. */
static inline struct qcow2_entry
qcow2_entry_load(const struct qcow2_header *h, const void *table, uint64_t i)
{
	const uint8_t *p = (const uint8_t *)table + (i << qcow2_entry_bits(h));

	return (struct qcow2_entry){
		load_be64(p), qcow2_extended(h) ? load_be64(p + 8) : 0,
	};
}

static inline void qcow2_entry_store(const struct qcow2_header *h, void *table,
				     uint64_t i, struct qcow2_entry e)
{
	uint8_t *p = (uint8_t *)table + (i << qcow2_entry_bits(h));

	store_be64(p, e.word);
	if (qcow2_extended(h))
		store_be64(p + 8, e.bitmap);
}

static inline bool qcow2_entry_equal(struct qcow2_entry a, struct qcow2_entry b)
{
	return a.word == b.word && a.bitmap == b.bitmap;
}

/* The "allocated" bits of subclusters [first, end); << 32: the "zero" bits. */
static inline uint64_t qcow2_subs(unsigned int first, unsigned int end)
{
	return ((UINT64_C(1) << end) - 1) & ~((UINT64_C(1) << first) - 1);
}

/* What a (sub)cluster is. Those with _ALLOC and NORMAL have a place in the
 * file; a COMPRESSED_CLUSTER has one, but not of its own. */
enum qcow2_kind {
	QCOW2_UNALLOCATED, QCOW2_UNALLOCATED_ALLOC, QCOW2_ZERO_PLAIN,
	QCOW2_ZERO_ALLOC, QCOW2_NORMAL, QCOW2_COMPRESSED_CLUSTER,
};

/* Does the word of a cluster that is not compressed name a host cluster? In an
 * external data file the first cluster has offset 0. */
static inline bool qcow2_entry_placed(const struct qcow2_header *h,
				      uint64_t word)
{
	return word & QCOW2_L2_OFFSET ||
	       (word & QCOW2_COPIED && qcow2_external(h));
}

/* Of the subcluster `sub`; 0 is the cluster without extended L2 entries. */
static inline enum qcow2_kind qcow2_entry_kind(const struct qcow2_header *h,
					       struct qcow2_entry e,
					       unsigned int sub)
{
	bool placed = qcow2_entry_placed(h, e.word);

	if (e.word & QCOW2_COMPRESSED)
		return QCOW2_COMPRESSED_CLUSTER;
	if (likely(!qcow2_extended(h))) {
		if (e.word & QCOW2_ZERO)
			return placed ? QCOW2_ZERO_ALLOC : QCOW2_ZERO_PLAIN;
		return placed ? QCOW2_NORMAL : QCOW2_UNALLOCATED;
	}
	if (e.bitmap >> (32 + sub) & 1)
		return placed ? QCOW2_ZERO_ALLOC : QCOW2_ZERO_PLAIN;
	if (e.bitmap >> sub & 1)
		return QCOW2_NORMAL;
	return placed ? QCOW2_UNALLOCATED_ALLOC : QCOW2_UNALLOCATED;
}

/* How many subclusters from `sub` on are as that one. */
static inline unsigned int qcow2_subs_alike(struct qcow2_entry e,
					    unsigned int sub)
{
	uint32_t alloc = (uint32_t)e.bitmap >> sub;
	uint32_t zero = (uint32_t)(e.bitmap >> 32) >> sub;
	uint32_t other = (alloc & 1 ? ~alloc : alloc) |
			 (zero & 1 ? ~zero : zero);
	unsigned int n = other ? (unsigned int)__builtin_ctz(other) : 32;

	return min(n, QCOW2_SUBCLUSTERS - sub);
}

#endif
