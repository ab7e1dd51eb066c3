/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * info.h: what is known of an image without reading its data.
 */
#ifndef XD_IMAGE_INFO_H
#define XD_IMAGE_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

struct image;

struct image_info_snapshot {
	char *id, *name;
	uint64_t vm_state_size;		/* bytes */
	uint32_t date_sec, date_nsec;
	uint64_t vm_clock_nsec;
	uint64_t disk_size;		/* bytes */
	int64_t icount;			/* -1: not recorded */
};

/* Of the encryption; what stands below `format` is of LUKS. */
struct image_info_encrypt {
	const char *format;		/* "aes", "luks"; NULL: none */
	const char *ivgen_alg, *ivgen_hash_alg, *hash_alg, *cipher_alg,
		*cipher_mode;		/* ivgen_hash_alg NULL: it needs none */
	char uuid[40];
	uint64_t payload_offset;	/* bytes */
	uint32_t master_key_iters;
	struct {
		bool active;
		uint32_t iters, stripes;
		uint64_t key_offset;	/* bytes */
	} slots[8];
};

struct image_info_bitmap {
	char *name;
	uint64_t granularity;		/* bytes */
	bool in_use;			/* not closed properly, or right now */
	bool enabled;			/* records writes */
};

struct image_info_extent {
	char *filename;
	const char *format;		/* "" where none is recorded */
	uint64_t virtual_size;		/* bytes */
	uint32_t cluster_size;		/* bytes, 0: it has none */
	bool compressed;
	struct image *file;		/* of its own, the image's to close;
					 * NULL: it is in the image's file */
};

struct image_info_qcow2 {
	unsigned int version;		/* 2 or 3 */
	bool lazy_refcounts, extended_l2, data_file_raw;
	unsigned int refcount_bits;
	const char *compression_type;	/* "zlib", "zstd" */
	char *data_file;		/* as recorded, NULL: none */
	uint64_t vmstate_offset;	/* where the VM state begins, guest */
};

struct image_info_vmdk {
	char *create_type;
	uint32_t cid, parent_cid;
	unsigned int nr_extents;
	struct image_info_extent *extents;
};

/* Formats of which more is known than what all have. */
enum image_info_kind {
	IMAGE_INFO_COMMON,
	IMAGE_INFO_LUKS,		/* it is all in `encrypt` */
	IMAGE_INFO_QCOW2,
	IMAGE_INFO_VMDK,
};

/* Strings that are not const are owned by the struct. */
struct image_info {
	char *backing_file;		/* as recorded, NULL: none */
	char *backing_format;		/* as recorded, NULL: none */
	uint32_t cluster_size;		/* bytes, 0: the format has none */
	bool dirty, corrupt, encrypted;
	bool no_dirty_flag;		/* nothing is known of it */
	struct image_info_encrypt encrypt;
	unsigned int nr_snapshots;
	struct image_info_snapshot *snapshots;
	unsigned int nr_bitmaps;
	struct image_info_bitmap *bitmaps;
	enum image_info_kind kind;
	union {
		struct image_info_qcow2 qcow2;
		struct image_info_vmdk vmdk;
	};
};

/* Works on an image opened with IMAGE_NO_IO. co */
int image_get_info(struct image *img, struct image_info *info,
		   struct error *err);
void image_info_free(struct image_info *info);

#endif
