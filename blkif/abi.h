/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * abi.h: the two layouts that x86 guests put requests in.
 *
 * They differ by alignment of 64 bit fields only: behind the first four bytes
 * x86_64 has a hole of four, and x86_32 has none. A request is brought to the
 * x86_64 layout, which is this program's own, as it is copied off the ring; all
 * code behind knows that one. Responses have the same fields at the same place
 * in both. What differs at all are the two numbers below, chosen once a queue.
 */
#ifndef XD_BLKIF_ABI_H
#define XD_BLKIF_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <xen/xen.h>
#include <xen/io/blkif.h>

#include "blkif/types.h"

struct abi {
	unsigned int stride;	/* from one entry of the ring to the next */
	unsigned int body;	/* where the fields behind the first four are */
};

/* struct blkif_response as it lies in a ring of either layout. */
struct abi_response {
	uint64_t id;
	uint8_t operation;
	uint8_t hole;		/* not ours to write */
	int16_t status;
} __attribute__((packed, aligned(4)));

#define ABI_HEAD 4
#define ABI_BODY 8
#define ABI_BODY_SIZE (sizeof(struct blkif_request) - ABI_BODY)

_Static_assert(sizeof(struct blkif_request) == 112 &&
	       offsetof(struct blkif_request, id) == ABI_BODY &&
	       offsetof(struct blkif_request, seg) == 24 &&
	       offsetof(struct blkif_request_indirect, indirect_grefs) == 28 &&
	       sizeof(struct blkif_request_segment) == 8 &&
	       offsetof(struct blkif_response, status) ==
	       offsetof(struct abi_response, status),
	       "xdiskd is built for x86_64");

static inline struct abi abi_of(enum blkif_abi abi)
{
	struct abi x86_64 = { sizeof(struct blkif_request), ABI_BODY };
	struct abi x86_32 = { ABI_HEAD + ABI_BODY_SIZE, ABI_HEAD };

	return abi == BLKIF_ABI_X86_32 ? x86_32 : x86_64;
}

/* From shared memory that the guest may be writing to: after the barrier the
 * compiler cannot read it a second time in place of the copy (XSA-155). */
static inline void abi_load(struct abi abi, const void *entry,
			    struct blkif_request *out)
{
	memcpy(out, entry, ABI_HEAD);
	memcpy((char *)out + ABI_BODY, (const char *)entry + abi.body,
	       ABI_BODY_SIZE);
	__asm__ volatile("" ::: "memory");
}

#endif
