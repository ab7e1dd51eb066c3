/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vmdk.h: VMware's disk images, as the files of this driver share them.
 *
 * A disk is one or several extents, which a descriptor lists. The descriptor is
 * a text file of its own, or lies within the only extent. A sparse extent:
 *
 *	header -> grain directory (GD) -> grain tables (GT) -> grains
 *
 * and a redundant copy of directory and tables. Numbers are little-endian,
 * places are sectors of 512 bytes. (Source: VMware's "Virtual Disk Format 5.0".)
 */
#ifndef XD_IMAGE_VMDK_H
#define XD_IMAGE_VMDK_H

#include "image/formats/mapped.h"

#define VMDK_MAGIC 0x564d444bu		/* "KDMV" */
#define VMDK_HEADER_BYTES 512u
#define VMDK_NO_PARENT 0xffffffffu
#define VMDK_AT_END UINT64_MAX		/* the GD is where a footer says */
#define VMDK_MAX_DESCRIPTOR (1 * MiB)
#define VMDK_MAX_EXTENTS 1024u

#define VMDK_MARKER_BYTES 12u		/* sector of the disk, bytes */

#define VMDK_F_NEWLINES (1u << 0)
#define VMDK_F_REDUNDANT (1u << 1)	/* the redundant GD is there */
#define VMDK_F_ZERO_GRAIN (1u << 2)	/* GT entry 1: zeroes */
#define VMDK_F_COMPRESSED (1u << 16)
#define VMDK_F_MARKERS (1u << 17)

/* offsets in the header of a sparse extent; numbers have 4 or 8 bytes */
enum {
	VMDK_VERSION = 4, VMDK_FLAGS = 8, VMDK_CAPACITY = 12, VMDK_GRAIN = 20,
	VMDK_DESC = 28, VMDK_DESC_SIZE = 36, VMDK_GTES = 44, VMDK_RGD = 48,
	VMDK_GD = 56, VMDK_OVERHEAD = 64, VMDK_CHECK_BYTES = 73,
	VMDK_COMPRESSION = 77,
};

enum vmdk_kind { VMDK_FLAT, VMDK_SPARSE, VMDK_ZERO };

struct vmdk_extent {
	struct mapped m;
	enum vmdk_kind kind;
	const char *type;		/* as the descriptor says, "" if none */
	struct image *part;		/* its own file, NULL: the image's */
	uint64_t file_offset;		/* flat: bytes */
	/* sparse */
	uint64_t gd, rgd;		/* bytes; rgd 0: none */
	uint64_t overhead;		/* bytes before the first grain */
	uint64_t nr_tables;
	uint32_t gtes;			/* entries a table */
	bool compressed, markers, zero_grain;
};

struct vmdk {
	char *create_type, *parent;	/* parent NULL: none */
	uint32_t cid, parent_cid;
	uint64_t cid_at;		/* its digits in the file, 0: unknown */
	int cid_digits;			/* how many */
	bool cid_changed;		/* since it was opened */
	struct vmdk_extent **extents;	/* in order */
	unsigned int nr_extents;
};

/* An extent as a descriptor lists it. */
struct vmdk_line {
	enum vmdk_kind kind;
	const char *type;
	uint64_t sectors, offset;	/* offset: in the file, sectors */
	char name[256];
};

/* Parses a descriptor (ended by a NUL). Each extent goes to add(), whose errors
 * end it. -EINVAL, -ENOTSUP with the sentence. */
int vmdk_parse(struct vmdk *v, char *text,
	       int (*add)(struct vmdk *v, void *arg,
			  const struct vmdk_line *line, struct error *err),
	       void *arg, struct error *err);

/* co. Writes to an extent with compressed grains. */
int vmdk_stream_write(struct vmdk_extent *e, uint64_t off, uint64_t len,
		      struct iow w);

/* co. image_create() for this format. */
int vmdk_create(struct loop *loop, const char *path, uint64_t size,
		const struct image_create_option *options, unsigned int nr,
		struct error *err);
extern const struct image_create_help vmdk_create_help[];

#endif
