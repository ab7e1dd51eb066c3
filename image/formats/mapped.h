/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapped.h: what formats have in common that map blocks of a disk to places in
 * a file by a table: vdi, vpc, vmdk, qed, qcow, vhdx, parallels, bochs, cloop.
 *
 * A format says where one block is (lookup). Block status, reads, the check and
 * writes are made of that here. A format that can be written to also says where
 * new blocks may go (place) and notes them in its tables (enter). Its state
 * begins with a struct mapped.
 */
#ifndef XD_IMAGE_MAPPED_H
#define XD_IMAGE_MAPPED_H

#include "image/driver.h"
#include "image/formats/pages.h"

struct mapped;

/* Where a block is. */
struct mapped_block {
	unsigned int flags;		/* as in struct image_extent... */
	uint64_t host_offset;		/* ...of its first byte */
	uint64_t packed;		/* bytes there, if compressed */
	/* Formats with tables of tables: where the block's own one is (0: there
	 * is none) and how many blocks, from this one on, belong to it. Without
	 * a table the answer holds for all of these, which follow each other
	 * in the file if they are there at all. */
	uint64_t table, rest;
	/* With -EIO: where the block's table should be, if that is why; it holds
	 * for all of `rest` then. 0: the entry itself is wrong. */
	uint64_t lost_table;
};

struct mapped_ops {
	/* co. Blocks are 0 ... block_count - 1. -EIO: the table is corrupt. */
	int (*lookup)(struct mapped *m, uint64_t block,
		      struct mapped_block *b);
	/* co. The bytes of a compressed block; NULL: there are none. */
	int (*unpack)(struct mapped *m, const struct mapped_block *b,
		      uint8_t *out, size_t len);
	/* co, one at a time. Room for *n blocks in a row, or for fewer: at
	 * *host they begin. Whether the room reads as zeroes goes to *zero. */
	int (*place)(struct mapped *m, uint64_t block, uint64_t *n,
		     uint64_t *host, bool *zero);
	/* co, one at a time. These blocks are there now. */
	int (*enter)(struct mapped *m, uint64_t block, uint64_t n,
		     uint64_t host);
};

struct mapped {
	const struct mapped_ops *ops;
	struct image *img;
	struct image *file;		/* with the blocks; not owned */
	uint64_t block_size;		/* bytes */
	uint64_t size;			/* bytes mapped, <= blocks' total */
	uint64_t start;			/* of these on the image's disk, bytes */
	uint64_t data_start;		/* no block begins before it */
	bool told;			/* that something cannot be read */
	bool holes;			/* tell those of the file, too */
	struct crypto *crypto;		/* of blocks, by the disk's sectors;
					 * NULL: none. mapped_deinit()ed */
	struct pages pages;		/* of `file` */
	struct co_mutex placing, unpacking;

	/* the compressed block that was unpacked last */
	struct mapped_block unpacked_block;
	uint8_t *unpacked;
	bool may_keep;			/* has its place in the account */
};

/* All is set up; block_size and size are set by the driver afterwards. */
void mapped_init(struct mapped *m, const struct mapped_ops *ops,
		 struct image *img, struct image *file);
void mapped_deinit(struct mapped *m);

/* co. The verbs, for a part of an image that begins at 0. What the tables promise
 * and the file does not hold is -EIO, and the log says which block; the bytes
 * before it can be had. Only as much of a block has to be there as the disk
 * shows of it. */
int mapped_status(struct mapped *m, uint64_t off, uint64_t len,
		  struct image_extent *out);
int mapped_read(struct mapped *m, uint64_t off, uint64_t len, struct iow w);
int mapped_write(struct mapped *m, uint64_t off, uint64_t len, struct iow w);
int mapped_zero(struct mapped *m, uint64_t off, uint64_t len);
/* Adds to the counts: what the file does not hold or what is used twice. */
int mapped_check(struct mapped *m, struct image_check *result);
int mapped_flush(struct mapped *m);

/* A finding for the check: counted, and told unless there are too many. */
void mapped_corrupt(struct image_check *result, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* qemu-img tells no numbers of most formats. */
void mapped_no_numbers(struct image_check *result);
/* -ENOTSUP with the sentence, if a repair is asked for. */
int mapped_judge_repair(struct image *img, enum image_repair repair,
			struct error *err);

/* The same as verbs of a driver whose state begins with a struct mapped. */
int mapped_preadv(struct image *img, uint64_t off, uint64_t len, struct iow w);
int mapped_pwritev(struct image *img, uint64_t off, uint64_t len,
		   struct iow w);
int mapped_pwrite_zeroes(struct image *img, uint64_t off, uint64_t len,
			 unsigned int flags);
int mapped_block_status(struct image *img, uint64_t off, uint64_t len,
			struct image_extent *out);
int mapped_image_check(struct image *img, enum image_repair repair,
		       struct image_check *result, struct error *err);
int mapped_image_flush(struct image *img);
int mapped_close(struct image *img, struct error *err);

/* ---- for opening ---- */

/* co. Reads the first `len` bytes of the file, validates them, and initialises
 * the struct mapped that the driver's state begins with. */
int mapped_read_header(struct image *img, uint8_t *h, size_t len,
		       int (*validate)(const uint8_t *h, struct error *err),
		       const struct mapped_ops *ops, struct error *err);
/* Does a table of `entries` of `entry_size` bytes at `off` lie in the file? If
 * not: -EINVAL with the sentence. */
int mapped_judge_table(const struct image *file, const char *what, uint64_t off,
		       uint64_t entries, uint64_t entry_size,
		       struct error *err);
/* The limits of an image over img->file that has blocks. */
void mapped_limits(struct image *img);

/* co. image_name_backing(), unless the image is opened without. Where its
 * format is not recorded (NULL) it is raw; what looks like something else is
 * refused, so that nothing is ever read as what it is not: -ENOTSUP. */
int mapped_name_backing(struct image *img, const char *name,
			const char *format, struct error *err);

#endif
